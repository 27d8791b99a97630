//! The file in a release that says what it is: `.pipe-release.json`.

use std::{fs, path::Path};

use pipe_sdk::Failure;
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, failed},
    tree::Tree,
};

/// Name of the file, at the top of a release.
pub(crate) const MANIFEST: &str = ".pipe-release.json";

/// As large as the file may be.
const MAX_BYTES: u64 = 64 << 20;

/// What a release is, and who made it. A directory without one is none of our business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Shape of this file: 1.
    pub(crate) format: u32,
    /// Version, which is also the directory's name.
    pub(crate) version: String,
    /// Run that made it.
    pub(crate) run: String,
    /// Step of that run.
    pub(crate) step: String,
    /// When that run started, in milliseconds since 1970-01-01 UTC.
    pub(crate) created_unix_ms: u64,
    /// Every file with its sha256, every link, every directory.
    pub(crate) content: Tree,
}

impl Manifest {
    /// Reads the manifest of a directory. Nothing where there is none, or none that we wrote.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join(MANIFEST);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_BYTES => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path)(error)),
        }
        let bytes = fs::read(&path).map_err(failed(&path))?;
        Ok(serde_json::from_slice::<Self>(&bytes).ok().filter(|manifest| manifest.format == 1))
    }

    /// Writes it into a directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(self).map_err(|error| Failure::other(error.to_string()))?;
        disk::write(&directory.join(MANIFEST), &bytes)
    }

    /// Whether this step of this run made the release.
    pub(crate) fn made_by(&self, run: &str, step: &str) -> bool {
        self.run == run && self.step == step
    }
}
