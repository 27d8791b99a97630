//! Which calls to the kernel matter, and what each is called: the same in every run, whatever numbers and names were drawn.

use std::{
    ffi::CStr,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use nix::{libc, unistd::Pid};

/// Where the scene keeps what the program prints, in its folder.
pub(crate) const SAID: &str = "said";

/// A call that begins.
pub(crate) struct Seen<'s> {
    /// The process.
    pub(crate) leader: Pid,
    /// Folder of the scene: what lies elsewhere does not matter.
    pub(crate) home: &'s Path,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

/// What a call is about.
enum About {
    /// An open file or socket, by the number of this argument.
    Open(usize),
    /// A path, in this argument.
    Path(usize),
    /// A path in the second of these arguments, below the directory in the first.
    Below(usize, usize),
    /// As [`About::Below`], where the flags say that a file may be made.
    Making(u64),
    /// A process that is begun, if these are its flags.
    Process(u64),
}

/// What a call that matters is called: `rename live/www/current`. Reading, waiting and memory do not matter, nor do terminal
/// and pipes, nor SQLite's own locks: the kernel takes those back with the process, wherever it dies.
pub(crate) fn name(seen: &Seen<'_>) -> Option<String> {
    let (word, about) = seen.about()?;
    let what = match about {
        About::Process(flags) if flags & libc::CLONE_THREAD as u64 != 0 => return None,
        About::Making(flags) if flags & libc::O_CREAT as u64 == 0 => return None,
        About::Process(_) => "of a program".to_owned(),
        About::Open(at) => seen.shown(&seen.link(&format!("fd/{}", seen.arguments[at]))?)?,
        About::Path(at) => seen.shown(&seen.link("cwd")?.join(seen.path(at)?))?,
        About::Below(folder, path) => seen.shown(&seen.below(folder, path)?)?,
        About::Making(_) => seen.shown(&seen.below(0, 1)?)?,
    };
    Some(format!("{word} {what}"))
}

impl Seen<'_> {
    fn about(&self) -> Option<(&'static str, About)> {
        let argument = |at: usize| self.arguments[at];
        Some(match self.number {
            libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 | libc::SYS_pwritev | libc::SYS_pwritev2 => {
                ("write", About::Open(0))
            }
            libc::SYS_sendto | libc::SYS_sendmsg => ("send", About::Open(0)),
            libc::SYS_connect => ("connect", About::Open(0)),
            libc::SYS_fsync | libc::SYS_fdatasync => ("sync", About::Open(0)),
            libc::SYS_ftruncate => ("truncate", About::Open(0)),
            libc::SYS_flock => ("lock", About::Open(0)),
            libc::SYS_renameat | libc::SYS_renameat2 => ("rename", About::Below(2, 3)),
            libc::SYS_linkat => ("link", About::Below(2, 3)),
            libc::SYS_symlinkat => ("symlink", About::Below(1, 2)),
            libc::SYS_unlinkat => ("unlink", About::Below(0, 1)),
            libc::SYS_mkdirat => ("mkdir", About::Below(0, 1)),
            libc::SYS_openat => ("open", About::Making(argument(2))),
            libc::SYS_openat2 => ("open", About::Making(self.number_at(argument(2))?)),
            libc::SYS_clone => ("start", About::Process(argument(0))),
            libc::SYS_clone3 => ("start", About::Process(self.number_at(argument(0))?)),
            number => return older(number),
        })
    }

    /// What `/proc` says of the process.
    fn link(&self, what: &str) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/{what}", self.leader)).ok()
    }

    fn below(&self, folder: usize, path: usize) -> Option<PathBuf> {
        let folder = match self.arguments[folder] as i32 {
            libc::AT_FDCWD => self.link("cwd")?,
            number => self.link(&format!("fd/{number}"))?,
        };
        Some(folder.join(self.path(path)?))
    }

    fn path(&self, at: usize) -> Option<PathBuf> {
        let mut bytes = [0; 512];
        let read = self.memory()?.read_at(&mut bytes, self.arguments[at]).ok()?;
        let text = CStr::from_bytes_until_nul(&bytes[..read]).ok()?;
        Some(PathBuf::from(text.to_str().ok()?))
    }

    fn number_at(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory()?.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    fn memory(&self) -> Option<File> {
        File::open(format!("/proc/{}/mem", self.leader)).ok()
    }

    /// A path of the scene without what differs from run to run; a socket of the network. Nothing else.
    fn shown(&self, path: &Path) -> Option<String> {
        let Ok(path) = path.strip_prefix(self.home) else {
            return path.to_str()?.starts_with("socket:").then(|| "a socket".to_owned());
        };
        // What it prints goes there.
        path.to_str().filter(|path| *path != SAID).map(steady)
    }
}

/// The calls that only older machines have.
#[cfg(target_arch = "x86_64")]
fn older(number: i64) -> Option<(&'static str, About)> {
    Some(match number {
        libc::SYS_rename => ("rename", About::Path(1)),
        libc::SYS_link => ("link", About::Path(1)),
        libc::SYS_symlink => ("symlink", About::Path(1)),
        libc::SYS_unlink => ("unlink", About::Path(0)),
        libc::SYS_rmdir => ("unlink", About::Path(0)),
        libc::SYS_mkdir => ("mkdir", About::Path(0)),
        libc::SYS_fork | libc::SYS_vfork => ("start", About::Process(0)),
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn older(_: i64) -> Option<(&'static str, About)> {
    None
}

/// Hashes, names of runs, process ids and random names replaced: everything of four letters or digits that holds a digit.
fn steady(path: &str) -> String {
    let word = |word: &str| -> String {
        let drawn = word.len() >= 4 && word.chars().any(|c| c.is_ascii_digit());
        if drawn { "*".to_owned() } else { word.to_owned() }
    };
    let (mut steady, mut rest) = (String::new(), path);
    while let Some(at) = rest.find(|c: char| !c.is_ascii_alphanumeric()) {
        let (before, after) = rest.split_at(at);
        let (separator, after) = after.split_at(after.chars().next().map_or(0, char::len_utf8));
        steady += &word(before);
        steady += separator;
        rest = after;
    }
    let steady = steady + &word(rest);
    // Random names without a digit.
    match steady.find(".partial-").filter(|at| steady[..*at].ends_with('/')) {
        Some(at) => steady[..at].to_owned() + ".partial-*",
        None => steady,
    }
}
