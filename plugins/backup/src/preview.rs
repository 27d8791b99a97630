//! What would be saved, and how much of it as far as looking tells.

use std::{fs, path::Path};

use pipe_sdk::{
    Failure, files,
    process::Command,
    units::{Bytes, count},
};

use crate::{
    settings::{Archive, Encrypt, Item, VerifyArchive, VerifyDump},
    take::{self, Source},
};

/// Entries of a directory that are counted. To know that there are more is enough.
const MOST_ENTRIES: usize = 10_000;
/// As deep as directories are counted.
const MAX_DEPTH: usize = 64;

/// What a directory holds.
#[derive(Default)]
struct Size {
    files: u64,
    bytes: u64,
    seen: usize,
    /// Whether there was more than is counted.
    more: bool,
}

/// A line for each artifact, and one for how it is read back.
pub(crate) fn preview(items: &[Item]) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for planned in take::plan(items)? {
        let name = &planned.name;
        match &planned.source {
            Source::Directory(archive) => {
                lines.push(format!("store {} as {name}, {}", held(archive)?, how(&archive.encrypt)));
                lines.push(match archive.verify {
                    VerifyArchive::Listing => format!("list {name} to its end"),
                });
            }
            Source::Dump { dump, producer, verifier } => {
                let (producer, verifier) = (shown(producer), shown(verifier));
                lines.push(format!("store what {producer} writes of {} as {name}, {}", dump.peer, how(&dump.encrypt)));
                lines.push(match dump.verify {
                    VerifyDump::Read => format!("read {name} back with {verifier}"),
                    VerifyDump::Restore(_) => format!("restore {name} with {verifier}"),
                });
            }
        }
    }
    Ok(lines)
}

fn how(encrypt: &Encrypt) -> String {
    encrypt.secret().map_or("not encrypted".to_owned(), |secret| format!("encrypted with the secret {secret}"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.program()).chain(command.arguments().iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

/// The directory and what is in it. An empty one would be refused.
fn held(archive: &Archive) -> Result<String, Failure> {
    take::not_empty(&archive.directory)?;
    let size = Size::of(Path::new(&archive.directory), MOST_ENTRIES)?;
    let least = if size.more { "at least " } else { "" };
    let files = count(size.files, "file", "files");
    Ok(format!("{} ({least}{files}, {})", archive.directory, Bytes(size.bytes)))
}

impl Size {
    /// Counts `most` entries.
    fn of(directory: &Path, most: usize) -> Result<Self, Failure> {
        let mut size = Self::default();
        size.add(directory, most, 0)?;
        Ok(size)
    }

    fn add(&mut self, directory: &Path, most: usize, depth: usize) -> Result<(), Failure> {
        let explain = |path: &Path, error| files::explain(&path.to_string_lossy(), &error);
        for entry in fs::read_dir(directory).map_err(|error| explain(directory, error))? {
            if self.seen == most || depth > MAX_DEPTH {
                self.more = true;
                return Ok(());
            }
            self.seen += 1;
            let path = entry.map_err(|error| explain(directory, error))?.path();
            let found = fs::symlink_metadata(&path).map_err(|error| explain(&path, error))?;
            if found.is_dir() {
                self.add(&path, most, depth + 1)?;
            } else if found.is_file() {
                self.files += 1;
                self.bytes += found.len();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(items: Value) -> Result<Vec<String>, Failure> {
        preview(&serde_json::from_value::<Vec<Item>>(items).unwrap())
    }

    #[test]
    fn a_directory_is_counted_without_following_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("data");
        fs::create_dir_all(root.join("deep")).unwrap();
        let archive = json!([{ "kind": "archive", "directory": root, "encrypt": "backup" }]);
        fs::remove_dir(root.join("deep")).unwrap();
        assert!(said(archive.clone()).unwrap_err().message.contains("is empty"));
        fs::create_dir(root.join("deep")).unwrap();
        fs::write(root.join("deep/a"), "12345").unwrap();
        fs::write(root.join("b"), "1").unwrap();
        std::os::unix::fs::symlink("/", root.join("everything")).unwrap();
        assert_eq!(
            said(archive).unwrap(),
            [
                format!("store {} (2 files, 6 B) as data, encrypted with the secret backup", root.display()),
                "list data to its end".to_owned()
            ]
        );
    }

    #[test]
    fn a_directory_without_end_is_counted_to_where_that_is_enough() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        for (most, files, more) in [(2, 2, true), (3, 3, false)] {
            let size = Size::of(directory.path(), most).unwrap();
            assert_eq!((size.files, size.more), (files, more), "{most}");
        }
    }

    #[test]
    fn a_dump_is_named_with_its_programs() {
        let lines = said(json!([{ "kind": "pg-dump", "peer": "main", "encrypt": false }])).unwrap();
        assert_eq!(
            lines,
            [
                "store what pg_dump --format=custom --no-password writes of main as main.dump, not encrypted",
                "read main.dump back with pg_restore --file=/dev/null"
            ]
        );
        assert!(
            said(json!([{ "kind": "pg-dump", "peer": "m", "encrypt": false, "arguments": ["--file=x"] }])).is_err()
        );
    }
}
