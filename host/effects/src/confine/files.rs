//! The files and ports of a program, held by Landlock.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};
use nix::{
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{SFlag, fstat},
};

use super::protocol::Reach;

/// What is asked of the kernel at least: files with their truncation, and TCP ports. Linux 6.7.
pub(super) const FLOOR: ABI = ABI::V4;

/// The newest interface that is known here. What it has beyond the floor is used where the kernel has it too.
const NEWEST: ABI = ABI::V10;

/// Where programs and libraries lie. Everybody on the machine may read them.
const SYSTEM: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store", "/etc/alternatives"];

/// What the C library and TLS libraries look up. Nothing in it is secret.
const SETTINGS: [&str; 22] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/os-release",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
];

/// Devices that hold nothing.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// Devices that are read only.
const RANDOM: [&str; 2] = ["/dev/random", "/dev/urandom"];

/// Every directory and file that a program may read without a grant, as far as it is there.
pub(crate) fn readable_by_all() -> impl Iterator<Item = &'static Path> {
    SYSTEM.into_iter().chain(SETTINGS).map(Path::new)
}

/// Every device that a program may use without a grant.
pub(super) fn devices() -> impl Iterator<Item = &'static Path> {
    DEVICES.into_iter().chain(RANDOM).map(Path::new)
}

/// What the current thread and what it starts from now on may touch. Nothing of it is in force yet.
pub(super) struct Files {
    ruleset: RulesetCreated,
}

impl Files {
    /// Whether the kernel can do what is asked of it, and an empty fence.
    pub(super) fn new() -> Result<Self, RulesetError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(FLOOR))?
            .handle_access(AccessNet::from_all(FLOOR))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        Ok(Self { ruleset })
    }

    /// Adds what every program may touch, its own directory and what it was granted. `processes`: whether `/proc` shows its
    /// own processes and no others.
    pub(super) fn allow(mut self, reach: &Reach, scratch: &Path, processes: bool) -> io::Result<Self> {
        for path in readable_by_all().chain(RANDOM.into_iter().map(Path::new)) {
            self = self.allow_if_there(path, reading())?;
        }
        for path in DEVICES {
            self =
                self.allow_if_there(Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate)?;
        }
        if processes {
            self = self.allow_if_there(Path::new("/proc"), AccessFs::ReadFile | AccessFs::ReadDir)?;
        }
        for path in &reach.read {
            self = self.allow_opened(&open(path)?, reading())?;
        }
        for path in reach.write.iter().map(AsRef::as_ref).chain([scratch]) {
            self = self.allow_opened(&open(path)?, writing())?;
        }
        for path in &reach.sockets {
            self = match open(path) {
                Ok(socket) => self.allow_opened(&socket, AccessFs::ResolveUnix.into())?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => self,
                Err(error) => return Err(error),
            };
        }
        for &port in &reach.ports {
            let rule = NetPort::new(port, AccessNet::ConnectTcp);
            self.ruleset = self.ruleset.add_rule(rule).map_err(io::Error::other)?;
        }
        Ok(self)
    }

    /// Adds the program's own file.
    pub(super) fn allow_program(self, program: impl AsFd) -> io::Result<Self> {
        self.allow_opened(&program, AccessFs::ReadFile | AccessFs::Execute)
    }

    /// Puts it in force for this thread, for good. The version of the interface, or nothing where it is not.
    pub(super) fn restrict(self) -> Result<Option<i32>, RulesetError> {
        let status = self.ruleset.restrict_self()?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, kernel_abi } => Some(kernel_abi.unwrap_or(effective_abi as i32)),
            _ => None,
        })
    }

    fn allow_if_there(self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<Self> {
        match open_following(path) {
            Ok(opened) => self.allow_opened(&opened, access),
            Err(_) => Ok(self),
        }
    }

    fn allow_opened(mut self, opened: &impl AsFd, access: BitFlags<AccessFs>) -> io::Result<Self> {
        let kind = SFlag::from_bits_truncate(fstat(opened)?.st_mode) & SFlag::S_IFMT;
        let access = if kind == SFlag::S_IFDIR { access } else { access & AccessFs::from_file(NEWEST) };
        let rule = PathBeneath::new(opened.as_fd(), access);
        self.ruleset = self.ruleset.add_rule(rule).map_err(io::Error::other)?;
        Ok(self)
    }
}

/// Opens a path of the grant as a mere name. It has no links: one that has come since was put there by somebody.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(AT_FDCWD, path, how).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

/// The same for a path of the system's or of the rule's program, where links are as trustworthy as what they lead to.
pub(super) fn open_following(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)
}

/// Reading, and running what is read: native code that may read can run it in any case.
fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute
}

/// Everything that can be done with files, but for devices and for running what was written.
fn writing() -> BitFlags<AccessFs> {
    let not = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev | AccessFs::ResolveUnix;
    AccessFs::from_all(NEWEST) & !not
}
