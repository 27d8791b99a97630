//! Whether a program keeps within what it may use up.
//!
//! What the kernel bounds for a single process or file is set in [`super::limits`]. What a whole tree holds is nowhere
//! bounded without a control group, which few hosts may make: so it is looked at, many times a second, and a tree that holds
//! too much is ended. In between the kernel is asked to take the program first when memory runs out.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::{
    libc,
    sys::statvfs::statvfs,
    unistd::{self, Pid},
};
use pipe_capability::exec::Bound;

use super::{protocol::Bounds, tree};

/// How often a tree is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// How many times longer a pause is than the look before it, at least.
const PAUSES: u32 = 20;

/// The part of its processes up to which a tree is looked at at leisure. One that grows has to be met before it is large.
const AT_LEISURE: u64 = 8;

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(500);

/// How many files of a folder are counted. More of them are too many.
const MOST_FILES: usize = 100_000;

/// Asks the kernel to end this process and what it starts before others, where memory runs out.
pub(super) fn be_first_to_go() {
    // Where it may not be asked, somebody else has decided already.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

/// Looks at the tree of a program now and then.
pub(super) struct Bounded<'s> {
    bounds: &'s Bounds,
    scratch: &'s Path,
    /// Whether the folder is a file system of its own that holds no more than it may.
    apart: bool,
    /// This process, as `/proc` has it.
    root: Pid,
    next: Instant,
}

impl<'s> Bounded<'s> {
    pub(super) fn new(bounds: &'s Bounds, scratch: &'s Path, apart: bool) -> Self {
        let own = fs::read_link("/proc/self").ok().and_then(|name| name.to_str()?.parse().ok());
        let root = own.map_or_else(unistd::getpid, Pid::from_raw);
        Self { bounds, scratch, apart, root, next: Instant::now() + EVERY }
    }

    /// How long it is until the next look.
    pub(super) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// What the program has more of than it may, if it is time to look.
    pub(super) fn look(&mut self) -> Option<Bound> {
        if self.pause().is_zero() { self.look_now() } else { None }
    }

    /// What the program has more of than it may.
    pub(super) fn look_now(&mut self) -> Option<Bound> {
        let began = Instant::now();
        let used = tree::used_below(self.root, self.bounds);
        let exceeded = if used.processes > self.bounds.processes {
            Some(Bound::Processes)
        } else if used.memory > self.bounds.memory {
            Some(Bound::Memory)
        } else {
            self.is_full().then_some(Bound::Scratch)
        };
        let leisure = used.processes <= self.bounds.processes / AT_LEISURE;
        let pause = if leisure { (began.elapsed() * PAUSES).min(LONGEST) } else { Duration::ZERO };
        self.next = Instant::now() + EVERY.max(pause);
        exceeded
    }

    /// What a program came up against that ended by itself.
    pub(super) fn of_end(&self, ended: ExitStatus) -> Option<Bound> {
        use std::os::unix::process::ExitStatusExt as _;
        match ended.signal() {
            Some(libc::SIGXFSZ) => Some(Bound::FileSize),
            Some(libc::SIGXCPU) => Some(Bound::Cpu),
            _ => (!ended.success() && self.is_full()).then_some(Bound::Scratch),
        }
    }

    fn is_full(&self) -> bool {
        if self.apart {
            statvfs(self.scratch).is_ok_and(|free| free.blocks_available() == 0 || free.files_available() == 0)
        } else {
            size(self.scratch).is_none_or(|size| size > self.bounds.scratch)
        }
    }
}

/// What the files below `folder` take on the disk, in bytes. Nothing where there are too many of them.
fn size(folder: &Path) -> Option<u64> {
    let (mut open, mut bytes, mut files) = (vec![PathBuf::from(folder)], 0, 0);
    while let Some(folder) = open.pop() {
        // What is removed meanwhile takes nothing.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            bytes += metadata.blocks() * 512;
            if files > MOST_FILES {
                return None;
            }
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_measured_with_what_lies_deep_in_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("elsewhere")).unwrap();
        let size = size(folder.path()).unwrap();
        assert!((100_000..200_000).contains(&size), "{size}");
    }

    #[test]
    fn it_is_not_looked_at_too_often() {
        let bounds = Bounds { processes: 0, ..Bounds::default() };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut bounded = Bounded::new(&bounds, Path::new("/nonexistent"), false);
        assert_eq!(bounded.look(), None);
        std::thread::sleep(bounded.pause());
        assert_eq!(bounded.look(), Some(Bound::Processes));
        assert_eq!(bounded.look(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
