//! File systems on which a journal would be corrupted: SQLite's log needs locks and shared memory that hold for every process.

use std::path::Path;

use nix::sys::statfs::statfs;

use crate::JournalError;

/// `f_type` of statfs(2), and the name for people. 9p and FUSE are not here: they are local more often than not.
const REFUSED: [(u32, &str); 11] = [
    (0x0000_6969, "NFS"),
    (0x0000_517B, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x00C3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0000_564C, "NCP"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

/// Refuses a directory on a network file system.
pub(crate) fn refuse(directory: &Path) -> Result<(), JournalError> {
    let kind = statfs(directory)
        .map_err(|errno| JournalError::unusable(directory, std::io::Error::from(errno)))?
        .filesystem_type();
    match name(kind.0 as u32) {
        Some(kind) => Err(JournalError::NetworkFileSystem { path: directory.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The number is signed on some machines: only its 32 bits count.
fn name(magic: u32) -> Option<&'static str> {
    REFUSED.iter().find(|(refused, _)| *refused == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_have_names_and_local_ones_do_not() {
        assert_eq!(name(0x6969), Some("NFS"));
        assert_eq!(name(-11_317_950_i32 as u32), Some("CIFS"), "sign-extended");
        for local in [0xEF53, 0x0102_1994, 0x5846_5342, 0x9123_683E, 0x794C_7630, 0x0102_1997, 0x6573_5546] {
            assert_eq!(name(local), None, "{local:#x}");
        }
    }
}
