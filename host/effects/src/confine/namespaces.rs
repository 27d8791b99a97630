//! A supervisor that is the first process of a world of its own.
//!
//! Nothing that the program starts can then outlive the supervisor: the kernel ends what is left of such a world when its
//! first process ends. It also sees no other process, and its view of the disk can be made read-only.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Seek as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

use super::{
    Inherited, files, limits,
    own::{self, Shown},
    protocol::{LIFELINE, Namespaces, PROGRAM, SPECIFICATION, STATUS, Specification},
    root,
};

/// Leaves this thread's namespaces, as far as the kernel lets an ordinary administrator: what it starts next is the first
/// process of new ones. To be called in a thread that ends afterwards.
pub(crate) fn leave(network: bool) -> nix::Result<Namespaces> {
    unshare(flags(network))?;
    Ok(Namespaces { network, users: false })
}

fn flags(network: bool) -> CloneFlags {
    let flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
    if network { flags | CloneFlags::CLONE_NEWNET } else { flags }
}

/// The same for a process that is no administrator, by way of a user namespace in which it is one. Runs this very program
/// once more as the first process there, to its end. Nothing where the kernel does not allow it.
pub(super) fn run_inside(inherited: &mut Inherited) -> io::Result<Option<ExitStatus>> {
    let network = inherited.specification.reach.ports.is_empty();
    let (user, group) = (geteuid(), getegid());
    // Opened out here: what is open for writing within could not be made read-only there.
    let mut specification = tempfile::tempfile_in(&inherited.specification.scratch)?;
    if unshare(flags(network) | CloneFlags::CLONE_NEWUSER).is_err() {
        return Ok(None);
    }
    // Everybody stays who they are.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    // What the first process needs to set its world up. It lets go of it before it starts the program.
    for capability in [caps::Capability::CAP_SYS_ADMIN, caps::Capability::CAP_SETPCAP] {
        caps::raise(None, caps::CapSet::Inheritable, capability).map_err(io::Error::other)?;
        caps::raise(None, caps::CapSet::Ambient, capability).map_err(io::Error::other)?;
    }
    inherited.specification.namespaces = Some(Namespaces { network, users: true });
    specification.write_all(&serde_json::to_vec(&inherited.specification)?)?;
    specification.rewind()?;
    let map = |parent_fd: OwnedFd, child_fd| FdMapping { parent_fd, child_fd };
    let mut mappings = vec![
        map(inherited.lifeline.try_clone()?.into(), LIFELINE),
        map(inherited.status.try_clone()?.into(), STATUS),
        map(specification.into(), SPECIFICATION),
    ];
    if let Some(file) = &inherited.pinned {
        mappings.push(map(file.try_clone()?.into(), PROGRAM));
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(std::env::args_os().skip(1)).fd_mappings(mappings).map_err(io::Error::other)?;
    let mut inside = command.spawn()?;
    drop(command);
    super::leave_streams()?;
    inside.wait().map(Some)
}

/// What could be done to the view that the program has of the machine.
#[derive(Debug, Default)]
pub(super) struct View {
    /// `/proc` shows its own processes and no others.
    pub(super) processes: bool,
    /// What it may not write is read-only.
    pub(super) read_only: bool,
    /// Nothing is there but what it may see.
    pub(super) apart: bool,
    /// Its own directory is a file system that holds no more than it may.
    pub(super) bounded: bool,
    /// The program, where its content was checked: in its place, and in this view alone.
    pub(super) program: Option<File>,
    /// What could not be done, and why.
    pub(super) without: Vec<String>,
}

/// Sets up what the program sees: all of the machine, but read-only where it may not write; or, where it may use sockets of
/// UNIX, nothing but what it may see. `pinned`: the content of the program, where it was checked.
pub(super) fn set_up_view(specification: &Specification, pinned: Option<&File>) -> io::Result<View> {
    // Nothing of this comes back to the host. Where that cannot be had, nothing is changed.
    if let Err(error) = mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE) {
        return Ok(View { without: vec![format!("mounts of its own ({error})")], ..View::default() });
    }
    let nothing_special = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mut without = Vec::new();
    let mut done =
        |what: &str, result: io::Result<()>| result.map_err(|error| without.push(format!("{what} ({error})"))).is_ok();
    let processes = mount(Some("proc"), "/proc", Some("proc"), nothing_special, NONE).map_err(io::Error::from);
    let processes = done("a /proc of its own", processes);
    limits::bound_numbers(&specification.bounds);
    let scratch = specification.scratch.as_path();
    // Where this cannot be had, the content runs from where it is, and the program cannot tell where that was.
    let program = pinned.and_then(|content| Shown::new(Path::new(&specification.program), content, scratch).ok());
    let bounded = done("a bounded temporary folder", own::bound(scratch, specification.bounds.scratch));
    let apart = !specification.reach.sockets.is_empty();
    if apart {
        root::enter(specification)?;
    }
    let granted = specification.reach.write.iter().map(AsRef::as_ref);
    let writable: Vec<&Path> = granted.chain([scratch]).collect();
    let mounted = |path: &Path| apart || bounded && path == scratch;
    let read_only = done("read-only mounts", make_read_only(&writable, mounted));
    let program = program.and_then(Shown::open);
    Ok(View { processes, read_only, apart, bounded, program, without })
}

/// For a mount that needs no source, type or options.
pub(super) const NONE: Option<&str> = None;

/// Makes every mount read-only but those of `writable`, which get one of their own each, unless they are `mounted`.
fn make_read_only(writable: &[&Path], mounted: impl Fn(&Path) -> bool) -> io::Result<()> {
    for path in writable.iter().filter(|path| !mounted(path)) {
        // By descriptor: what was a link a moment ago is not followed.
        let opened = files::open(path)?;
        let place = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        mount(Some(&place), &place, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    }
    let table = fs::read("/proc/self/mountinfo")?;
    for mounted in table.split(|&byte| byte == b'\n').filter_map(Mounted::parse) {
        if writable.iter().any(|path| mounted.at.starts_with(path)) {
            continue;
        }
        let flags = mounted.flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        match mount(NONE, &mounted.at, NONE, flags, NONE) {
            Ok(()) => {}
            // Another one lies on top of it.
            Err(Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR) if table_hides(&table, &mounted.at) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Where it is now lies below the new mounts.
    std::env::set_current_dir(std::env::current_dir()?)
}

/// Whether something is mounted above the directory that holds `at`, later than `at`.
fn table_hides(table: &[u8], at: &Path) -> bool {
    let places = table.split(|&byte| byte == b'\n').filter_map(Mounted::parse).map(|mounted| mounted.at);
    let after: Vec<PathBuf> = places.skip_while(|place| place != at).skip(1).collect();
    after.iter().any(|place| at.starts_with(place))
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    at: PathBuf,
    /// What must stay as it is.
    flags: MsFlags,
}

impl Mounted {
    /// `36 35 98:0 /root /mnt rw,noatime …`
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ').skip(4);
        let at = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
        let options = std::str::from_utf8(fields.next()?).ok()?;
        let flag = |option: &str| match option {
            "nosuid" => MsFlags::MS_NOSUID,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        };
        Some(Self { at, flags: options.split(',').map(flag).collect() })
    }
}

/// Undoes `\040` and its kin.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        rest = if value.is_some() { &after[3..] } else { after };
        plain.push(value.unwrap_or(byte));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_keeps_its_flags_and_its_name() {
        let line = br"36 35 98:0 /mnt1 /mnt\0402\134x rw,nosuid,noatime shared:1 - ext3 /dev/root rw,errors=continue";
        let mounted = Mounted::parse(line).unwrap();
        assert_eq!(mounted.at, Path::new(r"/mnt 2\x"));
        assert_eq!(mounted.flags, MsFlags::MS_NOSUID | MsFlags::MS_NOATIME);
        assert_eq!(Mounted::parse(b""), None);
    }

    #[test]
    fn a_mount_below_a_later_one_is_hidden() {
        let table =
            b"1 0 0:1 / / rw - x x x\n2 1 0:1 / /a/b rw - x x x\n3 1 0:1 / /a rw - x x x\n4 1 0:1 / /c rw - x x x";
        assert!(table_hides(table, Path::new("/a/b")));
        assert!(!table_hides(table, Path::new("/a")));
        assert!(!table_hides(table, Path::new("/c")));
        assert!(!table_hides(table, Path::new("/")));
    }
}
