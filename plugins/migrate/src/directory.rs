//! The migrations of a directory, read whole before anything is touched.

use std::{collections::BTreeMap, fs};

use pipe_sdk::{Failure, files};
use sha2::{Digest, Sha256};

use crate::version::{Direction, Entry, FileName, Version};

/// As large as a single file may be.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// As large as all files may be together.
const MAX_ALL_BYTES: u64 = 64 << 20;
/// As many entries as the directory may have.
const MAX_ENTRIES: usize = 20_000;

/// The SQL of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// File it was read from, without directories.
    pub(crate) file: String,
    /// What will run.
    pub(crate) text: String,
    /// sha256 of the file as it is, in hexadecimal.
    pub(crate) checksum: String,
}

/// A migration, with both of its directions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Migration {
    /// `007`.
    pub(crate) version: Version,
    /// `007_add_patients`.
    pub(crate) name: String,
    /// Applies it.
    pub(crate) up: Script,
    /// Takes it back. Not every migration has one.
    pub(crate) down: Option<Script>,
}

/// Reads a granted directory.
pub(crate) fn read(directory: &str) -> Result<Vec<Migration>, Failure> {
    let explain = |error| files::explain(directory, &error);
    let mut scripts = Vec::new();
    let mut total = 0;
    for (count, entry) in fs::read_dir(directory).map_err(explain)?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(Failure::settings(format!("{directory} holds more than {MAX_ENTRIES} entries")));
        }
        let entry = entry.map_err(explain)?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Failure::settings(format!("file name {:?} is not UTF-8", entry.file_name())));
        };
        if Entry::of(&name) == Entry::Other {
            continue;
        }
        let bytes = files::read(&entry.path().to_string_lossy(), MAX_FILE_BYTES)?;
        total += bytes.len() as u64;
        if total > MAX_ALL_BYTES {
            let limit = MAX_ALL_BYTES >> 20;
            return Err(Failure::settings(format!(
                "the migrations in {directory} are larger than {limit} MiB together"
            )));
        }
        scripts.push((name, bytes));
    }
    let migrations = pair(scripts).map_err(Failure::settings)?;
    if migrations.is_empty() {
        return Err(Failure::settings(format!("{directory} holds no migration (NNN_name.up.sql)")));
    }
    Ok(migrations)
}

/// Puts the files of each version together, in the order of their numbers.
pub(crate) fn pair(files: Vec<(String, Vec<u8>)>) -> Result<Vec<Migration>, String> {
    let mut ups = BTreeMap::new();
    let mut downs = BTreeMap::new();
    for (file, bytes) in files {
        match Entry::of(&file) {
            Entry::Other => {}
            Entry::Misnamed => return Err(misnamed(&file)),
            Entry::Migration(name) => {
                let script = script(file, &bytes)?;
                let into = if name.direction == Direction::Up { &mut ups } else { &mut downs };
                keep(into, name, script)?;
            }
        }
    }
    let mut migrations = Vec::with_capacity(ups.len());
    for (number, (name, up)) in ups {
        let down = downs.remove(&number);
        if let Some((other, script)) = down.as_ref().filter(|(other, _)| other.name != name.name) {
            return Err(format!(
                "{} and {} have the same version but not the same name: {} and {}",
                up.file, script.file, name.name, other.name
            ));
        }
        let down = down.map(|(_, script)| script);
        migrations.push(Migration { version: name.version, name: name.name, up, down });
    }
    match downs.into_values().next() {
        Some((_, script)) => Err(format!("{} has no {} beside it", script.file, script.file.replace(".down.", ".up."))),
        None => Ok(migrations),
    }
}

fn misnamed(file: &str) -> String {
    format!(
        "{file} is not named like a migration: NNN_name.up.sql or NNN_name.down.sql, with at most 18 digits in front \
         and letters, digits, `_`, `-` and `.` behind"
    )
}

fn keep(into: &mut BTreeMap<i64, (FileName, Script)>, name: FileName, script: Script) -> Result<(), String> {
    let number = name.version.number;
    if let Some((_, other)) = into.get(&number) {
        return Err(format!("{} and {} have the same version {number}", other.file, script.file));
    }
    into.insert(number, (name, script));
    Ok(())
}

fn script(file: String, bytes: &[u8]) -> Result<Script, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(format!("{file} is empty; where nothing is to be done, let it say so in a comment"));
    }
    if text.contains('\0') {
        return Err(format!("{file} holds a zero byte"));
    }
    Ok(Script { text: text.to_owned(), checksum: checksum(bytes), file })
}

/// sha256 in hexadecimal.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair_of(files: &[(&str, &str)]) -> Result<Vec<Migration>, String> {
        pair(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn orders_by_number_and_not_by_text() {
        let migrations =
            pair_of(&[("10_c.up.sql", "c"), ("9_b.up.sql", "b"), ("9_b.down.sql", "-b"), ("001_a.up.sql", "a")]);
        let names: Vec<_> = migrations
            .unwrap()
            .into_iter()
            .map(|migration| (migration.name, migration.down.map(|down| down.text)))
            .collect();
        assert_eq!(
            names,
            [("001_a".to_owned(), None), ("9_b".to_owned(), Some("-b".to_owned())), ("10_c".to_owned(), None)]
        );
    }

    #[test]
    fn the_checksum_is_that_of_the_file() {
        let migrations = pair_of(&[("1_a.up.sql", "\u{feff}abc")]).unwrap();
        assert_eq!(migrations[0].up.text, "abc");
        assert_eq!(migrations[0].up.checksum, checksum("\u{feff}abc".as_bytes()));
        assert_eq!(checksum(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn refuses_what_is_not_clear() {
        let refused = |files: &[(&str, &str)]| pair_of(files).unwrap_err();
        assert!(refused(&[("1_a.up.sql", "a"), ("01_b.up.sql", "b")]).contains("same version 1"));
        assert!(refused(&[("1_a.up.sql", "a"), ("1_b.down.sql", "b")]).contains("not the same name"));
        assert!(refused(&[("1_a.down.sql", "a")]).contains("has no 1_a.up.sql beside it"));
        assert!(refused(&[("1_a.up.sql", " \n")]).contains("is empty"));
        assert!(refused(&[("V1__a.sql", "a")]).contains("not named like a migration"));
        assert!(refused(&[("1_a.up.sql", "a\0b")]).contains("zero byte"));
        assert_eq!(pair(vec![("1_a.up.sql".to_owned(), vec![0xff])]).unwrap_err(), "1_a.up.sql is not UTF-8");
    }

    #[test]
    fn reads_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("2_b.up.sql"), "b").unwrap();
        fs::write(directory.path().join("1_a.up.sql"), "a").unwrap();
        fs::write(directory.path().join("README.md"), [0xff]).unwrap();
        fs::create_dir(directory.path().join("old")).unwrap();
        let names: Vec<_> =
            read(directory.path().to_str().unwrap()).unwrap().into_iter().map(|migration| migration.name).collect();
        assert_eq!(names, ["1_a", "2_b"]);
        assert_eq!(read("/nonexistent/x").unwrap_err().message, "/nonexistent/x does not exist");
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path().to_str().unwrap()).unwrap_err().message.contains("holds no migration"));
    }
}
