//! What a program may use up, and the privileges that it does not get.

use std::{fs, io};

use caps::{CapSet, Capability};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    utsname::uname,
};

use super::protocol::Bounds;

/// A memory dump of one byte: the one size at which the kernel gives none to a crash handler either.
const NO_DUMP: u64 = 1;

/// What an administrator keeps: to use the files that were granted, whoever owns them.
const KEPT: [Capability; 4] =
    [Capability::CAP_DAC_OVERRIDE, Capability::CAP_CHOWN, Capability::CAP_FOWNER, Capability::CAP_FSETID];

/// How much of the time on the processor is left to a process that was told it is over, in seconds.
const LAST_SECONDS: u64 = 1;

/// How many times more processes the kernel lets there be than the supervisor. It is to be the one that says so.
const BEYOND: u64 = 2;

/// The processes and threads of a supervisor, and room for those that it is about to wait for.
const OF_SUPERVISOR: u64 = 16;

/// The version of Linux from which on a namespace of processes has a highest number of its own.
const OWN_NUMBERS: (u32, u32) = (6, 14);

/// Numbers that the kernel keeps from processes.
const RESERVED_NUMBERS: u64 = 300;

/// The highest number that the kernel gives to a process.
const HIGHEST_NUMBER: u64 = 1 << 22;

/// Sets the limits of this process and what it starts, for good. Never above those that it has. `others`: how many processes
/// its user has beside those of this program, as the kernel counts them.
pub(super) fn set(bounds: &Bounds, others: u64) -> io::Result<()> {
    lower(Resource::RLIMIT_CORE, NO_DUMP, NO_DUMP)?;
    lower(Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files)?;
    lower(Resource::RLIMIT_FSIZE, bounds.file_size, bounds.file_size)?;
    let most = bounds.processes.saturating_mul(BEYOND).saturating_add(OF_SUPERVISOR).saturating_add(others);
    lower(Resource::RLIMIT_NPROC, most, most)?;
    if let Some(seconds) = bounds.cpu {
        // The signal that comes first says what it was.
        lower(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(LAST_SECONDS))?;
    }
    Ok(())
}

/// Bounds the processes of this namespace of processes, where each has numbers of its own. Elsewhere the supervisor alone
/// counts them: there the same file speaks of the whole machine.
pub(super) fn bound_numbers(bounds: &Bounds) {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    if version(&release).is_some_and(|version| version >= OWN_NUMBERS) {
        let most = bounds.processes.saturating_mul(BEYOND).saturating_add(RESERVED_NUMBERS).min(HIGHEST_NUMBER);
        let _ = fs::write("/proc/sys/kernel/pid_max", most.to_string());
    }
}

/// The first two numbers of a release of Linux: `6.14.0-rc1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, most) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(most), hard.min(most))?)
}

/// Lets go of the privileges of an administrator, for this thread and what it starts from now on.
pub(super) fn drop_privileges() -> Result<(), caps::errors::CapsError> {
    let had = caps::read(None, CapSet::Permitted)?;
    caps::clear(None, CapSet::Ambient)?;
    if had.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)? {
            if !KEPT.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    let kept = KEPT.into_iter().filter(|capability| had.contains(capability)).collect();
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_from_an_older_one() {
        for (release, own) in [
            ("6.14.0", true),
            ("6.18.44-fc-v657", true),
            ("7.0.0-rc1", true),
            ("6.14-rc7", true),
            ("6.13.9", false),
            ("5.15.0-1-amd64", false),
            ("6", false),
            ("", false),
            ("of ours", false),
        ] {
            assert_eq!(version(release).is_some_and(|version| version >= OWN_NUMBERS), own, "{release}");
        }
    }
}
