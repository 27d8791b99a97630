//! Unpacks a tar archive into a directory, and nowhere else.

use std::{
    ffi::{OsStr, OsString},
    fs::Permissions,
    io::{self, Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path},
    time::{Duration, SystemTime},
};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use nix::fcntl::OFlag;

use super::{
    archive::open_directory,
    listing::{Kind, Member, members},
    problem,
};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
};

/// Runs `work` on a directory that must be empty, and empties it again where that fails.
pub(super) fn into_empty<T>(directory: &Dir, work: impl FnOnce(&Dir) -> io::Result<T>) -> io::Result<T> {
    if directory.entries()?.next().is_some() {
        return Err(problem(ErrorKind::Invalid, "the directory to unpack into is not empty"));
    }
    work(directory).inspect_err(|_| empty(directory))
}

fn empty(directory: &Dir) {
    for entry in directory.entries().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let _ = directory.remove_file(&name).or_else(|_| directory.remove_dir_all(&name));
    }
}

/// Unpacks `content` into `root`: how many entries there were.
///
/// Owners are not restored, nor are set-user-id, set-group-id, sticky and write bits of others. No entry goes through a
/// symbolic link, and no link leads out.
pub(super) fn unpack(content: &mut dyn Read, root: &Dir) -> io::Result<u64> {
    let mut last = Last { root, names: Vec::new(), directory: None };
    members(content, |member, data| {
        let path = member.path.display().to_string();
        one(&mut last, member, data).map_err(|error| {
            let error = effect_error(error, "cannot be unpacked");
            io::Error::other(EffectError { message: format!("{} {}", path.escape_debug(), error.message), ..error })
        })
    })
}

fn one(last: &mut Last<'_>, member: Member, data: &mut dyn Read) -> io::Result<()> {
    let mut names = plain_names(&member.path)?;
    if member.kind == Kind::Directory {
        let directory = last.descend(&names)?;
        // The owner must be able to go on unpacking, and to remove it again.
        let mode = member.mode & 0o755 | 0o700;
        return match names.last() {
            Some(_) => directory.set_permissions(".", cap_std::fs::Permissions::from_std(Permissions::from_mode(mode))),
            None => Ok(()),
        };
    }
    let Some(name) = names.pop() else { return Err(problem(ErrorKind::Invalid, "has no name")) };
    let depth = names.len();
    let parent = last.descend(&names)?;
    match member.kind {
        Kind::File => file(parent, &name, member.mode, member.modified, data),
        Kind::Link(target) if stays_inside(&target, depth) => parent.symlink_contents(target, &name),
        Kind::Link(_) => Err(problem(ErrorKind::Invalid, "is a link that leads out of the archive")),
        Kind::Directory | Kind::Other => Err(problem(ErrorKind::Invalid, "is neither file nor directory nor link")),
    }
}

/// The names in an entry's path, which must lead nowhere but down.
fn plain_names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::CurDir => {}
            _ => return Err(problem(ErrorKind::Invalid, "leads out of the archive")),
        }
    }
    Ok(names)
}

/// Whether a link in a directory `depth` levels down stays inside.
///
/// `..` is taken at the beginning only: there it means the real directories that were made here. Behind a name it could
/// mean the parent of whatever that name links to.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut up = 0;
    let mut down = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir if !down => up += 1,
            _ => return false,
        }
    }
    up <= depth
}

fn file(parent: &Dir, name: &OsStr, mode: u32, modified: u64, data: &mut dyn Read) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut file = parent.open_with(name, &options)?.into_std();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = data.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        file.write_all(&buffer[..read])?;
    }
    if let Some(time) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(modified)) {
        file.set_modified(time)?;
    }
    file.set_permissions(Permissions::from_mode(mode & 0o755))
}

/// The directory that the last entry went into: the next one mostly goes there too.
struct Last<'r> {
    root: &'r Dir,
    names: Vec<OsString>,
    directory: Option<Dir>,
}

impl Last<'_> {
    /// The directory `names` levels down, made where it is missing. Every level is a real directory.
    fn descend(&mut self, names: &[OsString]) -> io::Result<&Dir> {
        if self.directory.is_none() || self.names != names {
            self.directory = None;
            let mut directory = self.root.try_clone()?;
            for name in names {
                let mut builder = DirBuilder::new();
                builder.mode(0o700);
                match directory.create_dir_with(name, &builder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => directory = open_directory(&directory, name)?,
                }
            }
            self.names = names.to_vec();
            self.directory = Some(directory);
        }
        Ok(self.directory.as_ref().unwrap_or(self.root))
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use tar::{Builder, EntryType, Header};

    use super::*;

    enum Entry<'a> {
        File(&'a str),
        Directory(&'a str),
        Link(&'a str, &'a str),
        Hard(&'a str, &'a str),
        Fifo(&'a str),
    }

    /// A tar archive with names as they are given, sane or not.
    fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for entry in entries {
            let (kind, path, target) = match entry {
                Entry::File(path) => (EntryType::Regular, path, ""),
                Entry::Directory(path) => (EntryType::Directory, path, ""),
                Entry::Link(path, target) => (EntryType::Symlink, path, *target),
                Entry::Hard(path, target) => (EntryType::Link, path, *target),
                Entry::Fifo(path) => (EntryType::Fifo, path, ""),
            };
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o6777);
            header.set_size(if kind == EntryType::Regular { 4 } else { 0 });
            let raw = header.as_gnu_mut().unwrap();
            raw.name[..path.len()].copy_from_slice(path.as_bytes());
            raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            builder.append(&header, if kind == EntryType::Regular { &b"data"[..] } else { &[][..] }).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(entries: &[Entry<'_>]) -> (tempfile::TempDir, io::Result<u64>) {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("in");
        std::fs::create_dir(&inner).unwrap();
        let root = Dir::open_ambient_dir(&inner, ambient_authority()).unwrap();
        let result = into_empty(&root, |root| unpack(&mut tar(entries).as_slice(), root));
        (place, result)
    }

    #[test]
    fn nothing_leads_out() {
        for (entries, reason) in [
            (vec![Entry::File("../evil")], "leads out"),
            (vec![Entry::File("/evil")], "leads out"),
            (vec![Entry::File("a/../../evil")], "leads out"),
            (vec![Entry::Link("l", "/etc")], "leads out"),
            (vec![Entry::Link("l", "..")], "leads out"),
            (vec![Entry::Link("a/l", "../..")], "leads out"),
            (vec![Entry::Link("a/b/up", "../.."), Entry::Link("l", "a/b/up/..")], "leads out"),
            (vec![Entry::Link("l", "."), Entry::File("l/evil")], "cannot be unpacked"),
            (vec![Entry::Link("l", "x"), Entry::File("l")], "cannot be unpacked"),
            (vec![Entry::Hard("h", "/etc/passwd")], "neither"),
            (vec![Entry::Fifo("p")], "neither"),
        ] {
            let (place, result) = unpacked(&entries);
            let error = result.unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!place.path().join("evil").exists());
            assert_eq!(std::fs::read_dir(place.path().join("in")).unwrap().count(), 0, "not emptied after {error}");
        }
    }

    #[test]
    fn modes_are_cut_down() {
        let (place, result) = unpacked(&[Entry::Directory("d/"), Entry::File("d/f"), Entry::Link("d/up", "../d/f")]);
        assert_eq!(result.unwrap(), 3);
        let mode = |path: &str| std::fs::metadata(place.path().join("in").join(path)).unwrap().permissions().mode();
        assert_eq!(mode("d") & 0o7777, 0o755);
        assert_eq!(mode("d/f") & 0o7777, 0o755);
        assert_eq!(std::fs::read(place.path().join("in/d/up")).unwrap(), b"data");
    }

    #[test]
    fn a_name_does_not_fill_the_memory() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let error = super::super::listing::list(&mut header.as_bytes().as_slice()).unwrap_err();
        assert!(error.to_string().contains("name of more than"), "{error}");
    }
}
