//! Everything that a process has started, and its end.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::unix::fs::MetadataExt as _,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};

use super::protocol::Bounds;

/// One process as `/proc/PID/stat` tells it.
struct Process {
    pid: Pid,
    parent: Pid,
    /// Ended, and not yet waited for.
    ended: bool,
    threads: u64,
}

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Processes and their threads, those that have ended and were not waited for among them.
    pub(super) processes: u64,
    /// What they hold in memory or have there swapped out, in bytes. Not what they map of files.
    pub(super) memory: u64,
}

/// What everything below `root` takes. Memory that several hold is counted for each of them as long as that keeps within
/// `bounds`, and once else; it is not counted where there are too many processes.
pub(super) fn used_below(root: Pid, bounds: &Bounds) -> Used {
    let below = below(root);
    let processes = below.iter().map(|process| process.threads.max(1)).sum();
    if processes > bounds.processes {
        return Used { processes, memory: 0 };
    }
    let sum = |of: fn(Pid) -> u64| below.iter().map(|process| of(process.pid)).fold(0, u64::saturating_add);
    let memory = sum(held);
    Used { processes, memory: if memory > bounds.memory { sum(share) } else { memory } }
}

/// How many processes and threads a user has.
pub(super) fn of_user(user: Uid) -> u64 {
    let own = |process: &Process| {
        fs::metadata(format!("/proc/{}", process.pid)).is_ok_and(|metadata| metadata.uid() == user.as_raw())
    };
    processes().iter().filter(|process| own(process)).map(|process| process.threads.max(1)).sum()
}

/// What a process holds, in bytes.
fn held(pid: Pid) -> u64 {
    amounts(&format!("/proc/{pid}/status"), &["RssAnon", "RssShmem", "VmSwap"]).unwrap_or_default()
}

/// Its share of what it holds, in bytes. All of it where the process lets nobody look.
fn share(pid: Pid) -> u64 {
    amounts(&format!("/proc/{pid}/smaps_rollup"), &["Pss_Anon", "Pss_Shmem", "SwapPss"]).unwrap_or_else(|| held(pid))
}

/// The sum of lines such as `RssAnon:     120 kB`, in bytes. Nothing where there are none.
fn amounts(path: &str, names: &[&str]) -> Option<u64> {
    // A process may call itself anything, so the text need not be UTF-8.
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let amount = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let kilobytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
        names.contains(&name).then(|| kilobytes.saturating_mul(1024))
    };
    text.lines().filter_map(amount).reduce(u64::saturating_add)
}

/// Sends SIGKILL to every process below `root`, parents before their children. How many were still alive.
///
/// One pass: a process that was started meanwhile is found by the next one.
pub(crate) fn kill_below(root: Pid) -> usize {
    let below = below(root).into_iter().filter(|process| !process.ended);
    below.filter(|process| kill(process.pid, Signal::SIGKILL).is_ok()).count()
}

/// Sends SIGKILL to every process whose environment holds `mark`. How many there were.
///
/// The last resort when a supervisor has gone before its program: what it leaves behind can no longer be told by its
/// parent. A process that changed its environment is not found.
pub(crate) fn kill_marked(mark: &[u8]) -> usize {
    let own = nix::unistd::getpid();
    let marked = |process: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.windows(mark.len().max(1)).any(|window| window == mark)
    };
    let marked = processes().into_iter().filter(|process| !process.ended && process.pid != own && marked(process));
    marked.filter(|process| kill(process.pid, Signal::SIGKILL).is_ok()).count()
}

/// The processes below `root`, parents before their children.
fn below(root: Pid) -> Vec<Process> {
    let mut children: HashMap<Pid, Vec<Process>> = HashMap::new();
    for process in processes() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = VecDeque::from([root]);
    while let Some(parent) = open.pop_front() {
        for process in children.remove(&parent).unwrap_or_default() {
            open.push_back(process.pid);
            found.push(process);
        }
    }
    found
}

/// All processes that can be seen.
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A process may call itself anything, so the text need not be UTF-8.
    let stat = |pid| Some(String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned());
    numbers.filter_map(|pid| parse(pid, &stat(pid)?)).collect()
}

/// Fields between the parent of a process and the number of its threads.
const THREADS_AFTER_PARENT: usize = 15;

/// `12 (a name) S 1 …`. The name may hold spaces and parentheses.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let threads = fields.nth(THREADS_AFTER_PARENT).and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let ended = matches!(state, "Z" | "X" | "x");
    Some(Process { pid: Pid::from_raw(pid), parent: Pid::from_raw(parent), ended, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_anything() {
        let process = parse(12, "12 (a) S 1 (b) Z 77 12 12 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0\n").unwrap();
        assert_eq!((process.parent, process.ended, process.threads), (Pid::from_raw(77), true, 9));
        assert!(parse(12, "12 (a").is_none());
    }

    #[test]
    fn children_are_found_and_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let found = || below(nix::unistd::getpid()).iter().any(|process| process.pid == pid);
        assert!(found());
        kill(pid, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!found());
    }

    #[test]
    fn what_a_process_holds_is_counted_and_shared_by_those_who_hold_it() {
        // Nobody reads it: without this the compiler would leave it out.
        let hold = std::hint::black_box(vec![1_u8; 32 << 20]);
        let own = nix::unistd::getpid();
        for memory in [held(own), share(own)] {
            assert!(memory >= hold.len() as u64, "{memory}");
        }
        let bounds = |processes, memory| Bounds { processes, memory, ..Bounds::default() };
        for memory in [0, u64::MAX] {
            let used = used_below(nix::unistd::getppid(), &bounds(u64::MAX, memory));
            assert!(used.processes >= 1 && used.memory >= hold.len() as u64, "{used:?}");
        }
        assert_eq!(used_below(nix::unistd::getppid(), &bounds(0, 0)).memory, 0);
        assert!(of_user(nix::unistd::getuid()) >= 1);
        assert_eq!(amounts("/proc/self/status", &["NoSuchLine"]), None);
    }
}
