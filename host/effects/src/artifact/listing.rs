//! The entries of a tar archive, one after the other.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
};

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::problem;
use crate::error::ErrorKind;

/// The longest name that an entry may have, in bytes. Else an archive could fill the memory with one.
const LONGEST_NAME: u64 = 64 * 1024;

/// What one entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, and where it leads.
    Link(PathBuf),
    /// Something that is listed but not unpacked.
    Other,
}

/// One entry.
pub(super) struct Member {
    /// As the archive says. May lead anywhere.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
    /// As the archive says.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

/// Reads an archive to its end: how many entries it has.
pub(super) fn list(content: &mut dyn Read) -> io::Result<u64> {
    members(content, |_, _| Ok(()))
}

/// Hands every entry with its data to `each`: how many there were.
///
/// Reads the entries as they stand and joins long names itself, within bounds.
pub(super) fn members(
    content: &mut dyn Read,
    mut each: impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
) -> io::Result<u64> {
    let mut archive = Archive::new(content);
    let (mut name, mut link) = (None, None);
    let mut count = 0;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        match entry.header().entry_type() {
            EntryType::GNULongName => name = Some(text(&mut entry)?),
            EntryType::GNULongLink => link = Some(text(&mut entry)?),
            EntryType::XHeader => {
                let data = bounded(&mut entry)?;
                for extension in PaxExtensions::new(&data) {
                    let extension = extension?;
                    match extension.key_bytes() {
                        b"path" => name = Some(path(extension.value_bytes().to_vec())),
                        b"linkpath" => link = Some(path(extension.value_bytes().to_vec())),
                        b"size" => {
                            return Err(problem(
                                ErrorKind::Invalid,
                                "the archive holds a kind of entry that is not known",
                            ));
                        }
                        _ => {}
                    }
                }
            }
            EntryType::XGlobalHeader => {}
            kind => {
                let header = entry.header();
                let target = link.take().or_else(|| entry.link_name_bytes().map(|bytes| path(bytes.into_owned())));
                let member = Member {
                    path: name.take().unwrap_or_else(|| path(entry.path_bytes().into_owned())),
                    kind: match (kind, target) {
                        (EntryType::Directory, _) => Kind::Directory,
                        (EntryType::Regular | EntryType::Continuous, _) => Kind::File,
                        (EntryType::Symlink, Some(target)) => Kind::Link(target),
                        _ => Kind::Other,
                    },
                    mode: header.mode()?,
                    modified: header.mtime()?,
                };
                count += 1;
                each(member, &mut entry)?;
            }
        }
    }
    Ok(count)
}

/// A long name, without the NUL at its end.
fn text(entry: &mut Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let mut data = bounded(entry)?;
    if data.last() == Some(&0) {
        data.pop();
    }
    Ok(path(data))
}

fn bounded(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    if entry.size() > LONGEST_NAME {
        return Err(problem(ErrorKind::Limit, format!("the archive holds a name of more than {LONGEST_NAME} bytes")));
    }
    let mut data = Vec::new();
    entry.read_to_end(&mut data)?;
    Ok(data)
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
