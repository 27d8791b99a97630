//! Everything that a process has started, and its end.

use std::{
    collections::{HashMap, VecDeque},
    fs,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// One process as `/proc/PID/stat` tells it.
struct Process {
    pid: Pid,
    parent: Pid,
    /// Ended, and not yet waited for.
    ended: bool,
}

/// Sends SIGKILL to every process below `root`, parents before their children. How many were still alive.
///
/// One pass: a process that was started meanwhile is found by the next one.
pub(crate) fn kill_below(root: Pid) -> usize {
    let below = below(root);
    below.iter().filter(|&&pid| kill(pid, Signal::SIGKILL).is_ok()).count()
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

/// The living processes below `root`, parents before their children.
fn below(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Process>> = HashMap::new();
    for process in processes() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = VecDeque::from([root]);
    while let Some(parent) = open.pop_front() {
        for process in children.remove(&parent).unwrap_or_default() {
            open.push_back(process.pid);
            if !process.ended {
                found.push(process.pid);
            }
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

/// `12 (a name) S 1 …`. The name may hold spaces and parentheses.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Process { pid: Pid::from_raw(pid), parent: Pid::from_raw(parent), ended: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_anything() {
        let process = parse(12, "12 (a) S 1 (b) Z 77 12 12 0\n").unwrap();
        assert_eq!((process.parent, process.ended), (Pid::from_raw(77), true));
        assert!(parse(12, "12 (a").is_none());
    }

    #[test]
    fn children_are_found_and_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        assert!(below(nix::unistd::getpid()).contains(&pid));
        kill(pid, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!below(nix::unistd::getpid()).contains(&pid));
    }
}
