//! What WASI cannot tell about a file: its permission bits and its owner.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir, fs::MetadataExt as _};
use pipe_capability::{path::PathRequest, word::Word};

use crate::{blocking::effect_error, error::EffectError, path::resolve, session::Session};

/// Attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The lower twelve bits.
    pub mode: u32,
    /// User id of the owner.
    pub owner: u32,
}

impl Session {
    /// The attributes of a file, without following a link at its end. Capability: `read`.
    ///
    /// # Errors
    ///
    /// The grant does not cover the file, or it is not there.
    pub async fn stat(&self, path: &str) -> Result<Attributes, EffectError> {
        let (base, text) = (self.world.base.clone(), path.to_owned());
        let resolved = self
            .blocking(move |_| Ok(resolve_to_link(&base, &text)))
            .await
            .map_err(|error| effect_error(error, path))?;
        let (rule, root) = match self.grant.read(&PathRequest { shown: path, resolved: &resolved, directory: false }) {
            Ok(rule) => (rule.to_string(), rule.resolved.clone()),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        self.used(Word::Read.as_str(), path.to_owned(), rule, false).await?;
        let attributes = self.blocking(move |_| attributes(&root, &resolved)).await;
        attributes.map_err(|error| effect_error(error, format_args!("attributes of {path}")))
    }
}

/// Like [`resolve`], but a link at the very end stays.
fn resolve_to_link(base: &Path, text: &str) -> PathBuf {
    let path = base.join(text);
    // `file_name` is nothing for a path that ends in `..`; a trailing `/` or `/.` means the directory behind a link.
    let end: Option<OsString> = match path.file_name() {
        Some(name) if !text.ends_with('/') && !text.ends_with("/.") => Some(name.to_owned()),
        _ => None,
    };
    match (end, path.parent()) {
        (Some(name), Some(parent)) => resolve(base, parent).join(name),
        _ => resolve(base, text),
    }
}

/// Reads below the granted directory only, whatever was put in the way since the decision.
fn attributes(root: &Path, resolved: &Path) -> std::io::Result<Attributes> {
    let directory = Dir::open_ambient_dir(root, ambient_authority())?;
    let metadata = match resolved.strip_prefix(root) {
        Ok(below) if below != Path::new("") => directory.symlink_metadata(below)?,
        _ => directory.dir_metadata()?,
    };
    Ok(Attributes { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
}
