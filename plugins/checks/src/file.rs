//! `kind = "file"`: a file or directory, and what is expected of it.

use std::fs;
use std::io::{self, Read as _};
use std::time::SystemTime;

use pipe_sdk::files::{explain, stat};
use pipe_sdk::units::{Bytes, Period};
use pipe_sdk::{Context, ErrorKind, Failure, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Check, Options};

/// What a path leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Directory,
}

const fn yes() -> bool {
    true
}

crate::check_settings! {
    /// Looks at a file or a directory: that it is there, and what else is asked for. Needs `allow.read`.
    pub struct FileCheck {
        /// Path, as in the grant.
        #[schemars(length(min = 1))]
        pub path: String,
        /// What it is.
        #[serde(default)]
        pub r#type: FileType,
        /// `false`: nothing may be there.
        #[serde(default = "yes")]
        pub exists: bool,
        /// Most permission bits that it may have, in octal: `"0640"`.
        #[schemars(regex(pattern = "^0?[0-7]{3,4}$"))]
        pub max_mode: Option<String>,
        /// Least size.
        pub min_size: Option<Bytes>,
        /// Hash of its content, in hexadecimal.
        #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
        pub sha256: Option<String>,
        /// Most time that may have passed since it was written: `"24h"`.
        pub newer_than: Option<Period>,
        /// Text that is expected in it.
        #[schemars(length(min = 1))]
        pub contains: Option<String>,
    }
}

impl FileCheck {
    fn mode(&self) -> Result<Option<u32>, Failure> {
        let parse = |text: &String| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        let wrong = || Failure::settings("`max_mode` is no mode, such as \"0640\"");
        self.max_mode.as_ref().map(|text| parse(text).ok_or_else(wrong)).transpose()
    }

    fn asks_for_content(&self) -> bool {
        self.min_size.is_some() || self.sha256.is_some() || self.contains.is_some()
    }

    /// Looks at a path where nothing may be.
    fn absent(&self) -> Result<Finding, Failure> {
        let (path, expected) = (&self.path, "absent");
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(Finding::fail(format!("{path} exists")).with_observed("present").with_expected(expected)),
            Err(error) => match stat(path) {
                Err(refusal) if refusal.kind == ErrorKind::Denied => Err(refusal.into()),
                _ if error.kind() == io::ErrorKind::NotFound => {
                    Ok(Finding::pass(format!("{path} does not exist")).with_observed("absent").with_expected(expected))
                }
                _ => Err(explain(path, &error)),
            },
        }
    }

    fn present(&self) -> Result<Finding, Failure> {
        let path = &self.path;
        let metadata = fs::metadata(path).map_err(|error| explain(path, &error))?;
        let is_type = match self.r#type {
            FileType::File => metadata.is_file(),
            FileType::Directory => metadata.is_dir(),
        };
        if !is_type {
            let wanted = if self.r#type == FileType::File { "a file" } else { "a directory" };
            return Ok(Finding::fail(format!("{path} is not {wanted}")).with_expected(wanted));
        }
        let (mut seen, mut unmet) = (Vec::new(), Vec::new());
        if self.r#type == FileType::File {
            seen.push(Bytes(metadata.len()).to_string());
        }
        if let Some(least) = self.min_size
            && metadata.len() < least.0
        {
            unmet.push(format!("has {} bytes, fewer than {least}", metadata.len()));
        }
        if let Some(most) = self.mode()? {
            let mode = stat(path)?.mode;
            if mode & !most != 0 {
                unmet.push(format!("mode {mode:04o} grants more than {most:04o}"));
            }
            seen.push(format!("mode {mode:04o}"));
        }
        if let Some(most) = self.newer_than {
            let written = metadata.modified().map_err(|error| explain(path, &error))?;
            // A file from the future is new.
            let age = SystemTime::now().duration_since(written).unwrap_or_default();
            let age = Period(std::time::Duration::from_secs(age.as_secs()));
            if age.0 > most.0 {
                unmet.push(format!("was written {age} ago, longer than {most}"));
            }
            seen.push(format!("written {age} ago"));
        }
        if self.sha256.is_some() || self.contains.is_some() {
            self.content(&mut seen, &mut unmet)?;
        }
        let finding = if unmet.is_empty() {
            Finding::pass(format!("{path} is as expected"))
        } else {
            Finding::fail(format!("{path} {}", unmet.join("; ")))
        };
        Ok(finding.with_observed(if seen.is_empty() { "present".to_owned() } else { seen.join(", ") }))
    }

    /// Reads the file once, for its hash and for the text in it.
    fn content(&self, seen: &mut Vec<String>, unmet: &mut Vec<String>) -> Result<(), Failure> {
        let mut file = fs::File::open(&self.path).map_err(|error| explain(&self.path, &error))?;
        let mut hash = Sha256::new();
        let mut search = Search::new(self.contains.as_deref().unwrap_or_default());
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer).map_err(|error| explain(&self.path, &error))?;
            if read == 0 {
                break;
            }
            let part = &buffer[..read];
            if self.sha256.is_some() {
                hash.update(part);
            }
            search.push(part);
        }
        if let Some(expected) = &self.sha256 {
            let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            if !digest.eq_ignore_ascii_case(expected) {
                unmet.push(format!("has sha256 {digest}, not {expected}"));
            }
            seen.push(format!("sha256 {digest}"));
        }
        if let Some(text) = &self.contains
            && !search.found
        {
            unmet.push(format!("does not hold {text:?}"));
        }
        Ok(())
    }
}

/// Looks for a text in a stream, also where it lies across two parts.
struct Search<'t> {
    text: &'t [u8],
    tail: Vec<u8>,
    found: bool,
}

impl<'t> Search<'t> {
    const fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), tail: Vec::new(), found: false }
    }

    fn push(&mut self, part: &[u8]) {
        if self.found || self.text.is_empty() {
            return;
        }
        self.tail.extend_from_slice(part);
        self.found = self.tail.windows(self.text.len()).any(|window| window == self.text);
        let keep = self.tail.len().min(self.text.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
    }
}

impl Check for FileCheck {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("file {}", self.path)
    }

    fn validate(&self) -> Result<(), Failure> {
        self.mode()?;
        let more = self.asks_for_content() || self.max_mode.is_some() || self.newer_than.is_some();
        if !self.exists && more {
            return Err(Failure::settings("what must not exist can have no other expectation"));
        }
        if self.r#type == FileType::Directory && self.asks_for_content() {
            return Err(Failure::settings("a directory has no `min_size`, `sha256` or `contains`"));
        }
        Ok(())
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        if self.exists { self.present() } else { self.absent() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use pipe_sdk::Status;
    use serde_json::{Value, json};

    use super::*;

    /// A file of its own, gone with the value.
    struct Sample(std::path::PathBuf);

    impl Sample {
        fn new(name: &str, content: &[u8], mode: u32) -> Self {
            let path = std::env::temp_dir().join(format!("pipe-checks-{}-{name}", std::process::id()));
            fs::write(&path, content).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
            Self(path)
        }

        fn look(&self, settings: Value) -> Result<Finding, Failure> {
            let mut settings = settings;
            settings["path"] = json!(self.0);
            let check: FileCheck = serde_json::from_value(settings).expect("settings");
            check.validate()?;
            if check.exists { check.present() } else { check.absent() }
        }
    }

    impl Drop for Sample {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_is_held_against_every_expectation() {
        let file = Sample::new("abc", b"abc", 0o640);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (settings, status) in [
            (json!({}), Status::Pass),
            (json!({ "max_mode": "0640", "min_size": "3B", "sha256": abc, "newer_than": "1h" }), Status::Pass),
            (json!({ "max_mode": "600" }), Status::Fail),
            (json!({ "min_size": "4B" }), Status::Fail),
            (json!({ "sha256": abc.replace('b', "c") }), Status::Fail),
            (json!({ "contains": "bc" }), Status::Pass),
            (json!({ "contains": "cd" }), Status::Fail),
            (json!({ "type": "directory" }), Status::Fail),
            (json!({ "exists": false }), Status::Fail),
        ] {
            let finding = file.look(settings.clone()).expect("it can be looked at");
            assert_eq!(finding.status, status, "{settings}: {}", finding.message);
        }
        assert!(file.look(json!({ "exists": false, "contains": "a" })).is_err());
        assert!(file.look(json!({ "max_mode": "89" })).is_err());
    }

    #[test]
    fn what_is_missing_fails_unless_that_is_expected() {
        let gone = Sample::new("gone", b"", 0o600);
        fs::remove_file(&gone.0).expect("removed");
        let failure = gone.look(json!({})).expect_err("missing");
        assert!(failure.message.ends_with("does not exist"), "{}", failure.message);
        assert_eq!(gone.look(json!({ "exists": false })).expect("absent").status, Status::Pass);
    }

    #[test]
    fn a_text_is_found_across_two_parts() {
        let mut search = Search::new("marker");
        search.push(b"xx mar");
        search.push(b"k");
        search.push(b"er yy");
        assert!(search.found);
    }
}
