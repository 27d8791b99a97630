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

/// Size of a tar block, in bytes.
const BLOCK: usize = 512;

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
    let mut archive = Archive::new(&mut *content);
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
    end(content)?;
    Ok(count)
}

/// An archive ends with two blocks of zeros, of which one was read, and nothing but zeros may follow. Else it was cut off,
/// or is no archive and only begins like an empty one.
fn end(content: &mut dyn Read) -> io::Result<()> {
    let (mut buffer, mut rest) = (vec![0; 64 * 1024], 0);
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if buffer[..read].iter().any(|&byte| byte != 0) {
            return Err(problem(ErrorKind::Invalid, "there is something behind the end of the archive"));
        }
        rest += read;
    }
    if rest < BLOCK {
        return Err(problem(ErrorKind::Invalid, "the archive has no end: it was cut off, or is none"));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder.append_data(&mut header, "n".repeat(300), &b"hello"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn only_what_has_an_end_is_an_archive() {
        let whole = archive();
        assert_eq!(list(&mut whole.as_slice()).unwrap(), 1);
        assert_eq!(list(&mut [0; 1024].as_slice()).unwrap(), 0);
        let padded = [whole.as_slice(), &[0; 10240]].concat();
        assert_eq!(list(&mut padded.as_slice()).unwrap(), 1);
        let followed = [whole.as_slice(), b"x"].concat();
        assert!(list(&mut followed.as_slice()).is_err());
        for kept in [0, 1, 512, 600, whole.len() - 1024, whole.len() - 512, whole.len() - 1] {
            assert!(list(&mut &whole[..kept]).is_err(), "{kept} bytes");
        }
        assert!(list(&mut [0; 512].as_slice()).is_err());
        assert!(list(&mut b"PGDMP".repeat(500).as_slice()).is_err());
    }
}
