//! What a program may use up, and the privileges that it does not get.

use std::io;

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::protocol::Reach;

/// Open descriptors of a process, where its rule does not say.
pub(crate) const OPEN_FILES: u64 = 1024;

/// A memory dump of one byte: the one size at which the kernel gives none to a crash handler either.
const NO_DUMP: u64 = 1;

/// What an administrator keeps: to use the files that were granted, whoever owns them.
const KEPT: [Capability; 4] =
    [Capability::CAP_DAC_OVERRIDE, Capability::CAP_CHOWN, Capability::CAP_FOWNER, Capability::CAP_FSETID];

/// Sets the limits of this process and what it starts, for good. Never above those that it has.
pub(super) fn set(reach: &Reach) -> io::Result<()> {
    lower(Resource::RLIMIT_CORE, NO_DUMP)?;
    lower(Resource::RLIMIT_NOFILE, reach.open_files)?;
    if let Some(seconds) = reach.cpu {
        lower(Resource::RLIMIT_CPU, seconds)?;
    }
    if let Some(bytes) = reach.memory {
        // What it allocates. Programs reserve many times their memory in addresses.
        lower(Resource::RLIMIT_DATA, bytes)?;
    }
    Ok(())
}

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let (_, most) = getrlimit(resource)?;
    let to = to.min(most);
    Ok(setrlimit(resource, to, to)?)
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
