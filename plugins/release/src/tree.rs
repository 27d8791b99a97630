//! What a directory holds, with the sha256 of every file: the same for a source, a copy and a release.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::Path,
};

use pipe_sdk::Failure;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{disk::failed, manifest::MANIFEST};

/// As many files, links and directories as a release may have.
const MAX_ENTRIES: usize = 100_000;
/// As deep as its directories may be.
const MAX_DEPTH: usize = 64;
/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A file, as far as its bytes go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// Size.
    pub(crate) bytes: u64,
}

/// Everything below a directory. Paths are relative to it, with `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// Files.
    pub(crate) files: BTreeMap<String, Entry>,
    /// Symbolic links and where they point.
    pub(crate) links: BTreeMap<String, String>,
    /// Directories.
    pub(crate) directories: BTreeSet<String>,
}

/// Whether the manifest at the top belongs to what is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A source must not have one: it would be taken for ours.
    Source,
    /// A release has one, and it is not part of its content.
    Release,
}

impl Tree {
    /// Reads a directory to its last byte.
    pub(crate) fn scan(root: &Path, origin: Origin) -> Result<Self, Failure> {
        let mut tree = Self::default();
        // All names before the first byte: what cannot be copied is found at once, and not after an hour of reading.
        tree.descend(root, "", 0, origin)?;
        for (path, entry) in &mut tree.files {
            *entry = digest(&root.join(path))?;
        }
        Ok(tree)
    }

    /// Size of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|entry| entry.bytes).sum()
    }

    fn len(&self) -> usize {
        self.files.len() + self.links.len() + self.directories.len()
    }

    fn descend(&mut self, directory: &Path, prefix: &str, depth: usize, origin: Origin) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::settings(format!("{prefix} lies deeper than {MAX_DEPTH} directories")));
        }
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let entry = entry.map_err(failed(directory))?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| Failure::settings(format!("file name {name:?} in {prefix:?} is not UTF-8")))?;
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if path == MANIFEST {
                match origin {
                    Origin::Release => continue,
                    Origin::Source => {
                        return Err(Failure::settings(format!(
                            "the source holds {MANIFEST}, which is the name of the manifest of a release"
                        )));
                    }
                }
            }
            self.take(&entry.path(), path, depth, origin)?;
        }
        Ok(())
    }

    fn take(&mut self, from: &Path, path: String, depth: usize, origin: Origin) -> Result<(), Failure> {
        if self.len() >= MAX_ENTRIES {
            return Err(Failure::settings(format!("more than {MAX_ENTRIES} files, links and directories")));
        }
        let kind = fs::symlink_metadata(from).map_err(failed(from))?.file_type();
        if kind.is_symlink() {
            let target = link_target(from, &path)?;
            self.links.insert(path, target);
        } else if kind.is_dir() {
            self.directories.insert(path.clone());
            self.descend(from, &path, depth + 1, origin)?;
        } else if kind.is_file() {
            self.files.insert(path, Entry::default());
        } else {
            return Err(Failure::settings(format!("{path} is neither file, directory nor symbolic link")));
        }
        Ok(())
    }

    /// The first thing in which `self` differs from what it should be.
    pub(crate) fn difference(&self, wanted: &Self) -> Option<String> {
        let files = (self.files.keys().chain(wanted.files.keys())).find_map(|path| {
            match (self.files.get(path), wanted.files.get(path)) {
                (Some(_), None) => Some(format!("file {path} is too many")),
                (None, _) => Some(format!("file {path} is missing")),
                (Some(found), Some(entry)) => (found != entry).then(|| format!("file {path} is not the same")),
            }
        });
        let links = || {
            let mut paths = self.links.keys().chain(wanted.links.keys());
            let differs = paths.find(|path| self.links.get(*path) != wanted.links.get(*path));
            differs.map(|path| format!("symbolic link {path} is not the same"))
        };
        let directories = || {
            let differs = self.directories.symmetric_difference(&wanted.directories).next();
            differs.map(|path| format!("directory {path} is not in both"))
        };
        files.or_else(links).or_else(directories)
    }
}

/// Where a link in the tree points, if it may.
fn link_target(from: &Path, path: &str) -> Result<String, Failure> {
    let leaves = |target: &str| {
        Failure::settings(format!(
            "{path} is a symbolic link{target} which leads out of the release, or may; only links of the form `name` and \
             `../name` that stay inside are copied"
        ))
    };
    match fs::read_link(from) {
        Ok(target) => match target.to_str().filter(|target| stays_inside(path, target)) {
            Some(target) => Ok(target.to_owned()),
            None => Err(leaves(&format!(" to {},", target.display()))),
        },
        // WASI does not even show a guest where a link points that leaves its directory.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(leaves("")),
        Err(error) => Err(failed(from)(error)),
    }
}

/// Size and sha256 of a file.
fn digest(path: &Path) -> Result<Entry, Failure> {
    let mut file = fs::File::open(path).map_err(failed(path))?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk).map_err(failed(path))?;
        if count == 0 {
            return Ok(Entry { sha256: hex(&hash.finalize()), bytes });
        }
        hash.update(&chunk[..count]);
        bytes += count as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a link at `path` points into the tree: relative, first `..` and then names. A `..` behind a name is refused,
/// since the name may itself be a link, and what lies above its target is anybody's guess.
fn stays_inside(path: &str, target: &str) -> bool {
    let depth = path.matches('/').count();
    let parts: Vec<_> = target.split('/').collect();
    let up = parts.iter().take_while(|part| **part == "..").count();
    let plain = |part: &&str| !part.is_empty() && *part != ".." && *part != ".";
    !target.is_empty() && up <= depth && parts[up..].iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        for (path, target) in [("a", "b"), ("d/a", "../b"), ("d/e/a", "../../b/c"), ("d/a", "..")] {
            assert!(stays_inside(path, target), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", ""),
            ("a", "/etc/passwd"),
            ("a", "../b"),
            ("d/a", "../../b"),
            ("a", "b/../../c"),
            ("a", "b/.."),
            ("a", "./b"),
            ("a", "b//c"),
            ("a", "b/"),
            ("a", ".."),
        ] {
            assert!(!stays_inside(path, target), "{path} -> {target}");
        }
    }

    #[test]
    fn scans_and_compares() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("css/empty")).unwrap();
        fs::write(root.path().join("index.html"), "abc").unwrap();
        fs::write(root.path().join("css/a.css"), "").unwrap();
        std::os::unix::fs::symlink("../index.html", root.path().join("css/home")).unwrap();
        let tree = Tree::scan(root.path(), Origin::Source).unwrap();
        assert_eq!(
            tree.files["index.html"],
            Entry { sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(), bytes: 3 }
        );
        assert_eq!(tree.links["css/home"], "../index.html");
        assert!(tree.directories.contains("css/empty"));
        assert_eq!(tree.difference(&tree), None);

        let mut other = tree.clone();
        other.files.remove("css/a.css");
        assert_eq!(tree.difference(&other).as_deref(), Some("file css/a.css is too many"));
        assert_eq!(other.difference(&tree).as_deref(), Some("file css/a.css is missing"));
        fs::write(root.path().join("index.html"), "abd").unwrap();
        let changed = Tree::scan(root.path(), Origin::Source).unwrap();
        assert_eq!(changed.difference(&tree).as_deref(), Some("file index.html is not the same"));
        let mut other = tree.clone();
        other.directories.insert("x".to_owned());
        assert_eq!(tree.difference(&other).as_deref(), Some("directory x is not in both"));
        let mut other = tree.clone();
        other.links.insert("css/home".to_owned(), "a.css".to_owned());
        assert_eq!(tree.difference(&other).as_deref(), Some("symbolic link css/home is not the same"));
    }

    #[test]
    fn a_source_with_a_manifest_or_a_bad_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(MANIFEST), "{}").unwrap();
        assert!(Tree::scan(root.path(), Origin::Source).is_err());
        assert_eq!(Tree::scan(root.path(), Origin::Release).unwrap(), Tree::default());
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("x")).unwrap();
        assert!(Tree::scan(root.path(), Origin::Release).unwrap_err().to_string().contains("leads out"));
    }
}
