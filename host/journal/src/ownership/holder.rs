//! Who holds an ownership, and whether that process is still there.

use std::fs;

use jiff::Timestamp;
use pipe_core::id::RunId;
use rusqlite::{Connection, OptionalExtension as _};

use super::Claim;
use crate::{clock::boot_id, error::Fault};

/// Who took an ownership last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// How often it was taken or unlocked until then.
    pub epoch: u64,
    /// The run. Nothing for what is done between runs.
    pub run: Option<RunId>,
    /// Its process. Nothing after `pipe unlock`, until another process takes it.
    pub pid: Option<u32>,
    /// When that process started, in clock ticks since the machine did: with the number, it is the name of one process.
    pub ticks: Option<u64>,
    /// Identity of the machine's start.
    pub boot: Option<String>,
    /// User and host.
    pub actor: String,
    /// Since when, by the wall clock.
    pub since: Timestamp,
}

/// What can be said of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is there.
    Running,
    /// It is there, and was stopped by a signal.
    Stopped,
    /// It has ended.
    Gone,
    /// Nobody knows: it may be in another namespace, or not have written its name yet.
    Unknown,
}

impl Holder {
    /// The process that asks.
    pub(super) fn this_process(claim: Claim<'_>) -> Self {
        let pid = std::process::id();
        Self {
            epoch: 0,
            run: claim.run.cloned(),
            pid: Some(pid),
            ticks: process(pid).map(|(_, ticks)| ticks),
            boot: boot_id(),
            actor: claim.actor.to_owned(),
            since: Timestamp::now(),
        }
    }

    /// Whether its process is still there.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let (Some(pid), Some(ticks), Some(boot)) = (self.pid, self.ticks, &self.boot) else { return Liveness::Unknown };
        match (boot_id(), process(pid)) {
            (None, _) => Liveness::Unknown,
            (Some(now), _) if now != *boot => Liveness::Gone,
            (Some(_), Some((b'T' | b't', found))) if found == ticks => Liveness::Stopped,
            (Some(_), Some((state, found))) if found == ticks && !matches!(state, b'Z' | b'X') => Liveness::Running,
            (Some(_), _) => Liveness::Gone,
        }
    }

    /// As people say it: `run 20261123021500-9f3c1a, process 4711 of root@host, since 2026-11-23 02:15:00Z`.
    #[must_use]
    pub fn tell(&self) -> String {
        let run = self.run.as_ref().map_or_else(|| "no run".to_owned(), |run| format!("run {run}"));
        let process = self.pid.map_or_else(|| "unlocked by".to_owned(), |pid| format!("process {pid} of"));
        format!("{run}, {process} {}, since {}", self.actor, self.since.strftime("%Y-%m-%d %H:%M:%SZ"))
    }
}

/// Who took it last. Nothing where nobody ever has.
pub(super) fn find(connection: &Connection, pipeline: &str, environment: &str) -> Result<Option<Holder>, Fault> {
    let odd = |what: &str| Fault::Damaged(format!("the owner of {pipeline} in {environment}: {what}"));
    let mut statement = connection.prepare_cached(
        "SELECT epoch, run, pid, ticks, boot, actor, since FROM ownership WHERE pipeline = ?1 AND environment = ?2",
    )?;
    let row = statement
        .query_row([pipeline, environment], |row| {
            let ticks: Option<i64> = row.get(3)?;
            let texts: (Option<String>, String) = (row.get(1)?, row.get(6)?);
            let epoch: i64 = row.get(0)?;
            Ok((epoch, texts, row.get(2)?, ticks, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let Some((epoch, (run, since), pid, ticks, boot, actor)) = row else { return Ok(None) };
    Ok(Some(Holder {
        epoch: epoch.cast_unsigned(),
        run: run.map(|run| run.parse()).transpose().map_err(|_| odd("its run is no run"))?,
        pid,
        ticks: ticks.map(i64::cast_unsigned),
        boot,
        actor,
        since: since.parse().map_err(|_| odd("its time is no time"))?,
    }))
}

/// State and start of a process, from the kernel. Its name, in brackets, may hold anything.
fn process(pid: u32) -> Option<(u8, u64)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // Field 22; the state is field 3.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32) -> Holder {
        let run: RunId = "20261123021500-9f3c1a".parse().expect("a run");
        let claim = Claim { pipeline: "hms", environment: "production", run: Some(&run), actor: "ada@host" };
        Holder { pid: Some(pid), ticks: process(pid).map(|(_, ticks)| ticks), ..Holder::this_process(claim) }
    }

    #[test]
    fn a_process_is_known_by_its_number_its_start_and_the_machines() {
        let this = holder(std::process::id());
        assert_eq!(this.liveness(), Liveness::Running);
        assert_eq!(Holder { ticks: Some(1), ..this.clone() }.liveness(), Liveness::Gone, "its number was used again");
        let other_boot = Some("00000000-0000-0000-0000-000000000000".to_owned());
        assert_eq!(Holder { boot: other_boot, ..this.clone() }.liveness(), Liveness::Gone);
        assert_eq!(Holder { pid: None, ..this }.liveness(), Liveness::Unknown);
    }

    #[test]
    fn one_that_was_stopped_or_has_ended_is_told_so() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("starts");
        let sleeping = holder(child.id());
        assert_eq!(sleeping.liveness(), Liveness::Running);
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stops");
        let stopped = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            sleeping.liveness() == Liveness::Stopped
        });
        assert!(stopped);
        child.kill().expect("ends");
        child.wait().expect("has ended");
        assert_eq!(sleeping.liveness(), Liveness::Gone);
    }
}
