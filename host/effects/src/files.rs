//! Files for a guest: how one is opened, and what WASI cannot tell about it, its permission bits and its owner.

mod open;

use std::{io, path::Path};

use cap_std::fs::{Dir, MetadataExt as _};
use pipe_capability::{path::PathRequest, word::Word};

pub use self::open::{How, Opened, Place, open};
use crate::{
    blocking::effect_error,
    error::EffectError,
    path::{Pinned, grantable, resolve_to_name},
    session::Session,
};

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
            .blocking(move |_| Ok(resolve_to_name(&base, &text)))
            .await
            .map_err(|error| effect_error(error, path))?;
        let (rule, root) = match self.grant.read(&PathRequest { shown: path, resolved: &resolved }) {
            Ok(rule) => (rule.to_string(), rule.resolved.clone()),
            Err(denial) => {
                // As for a guest's own look at it: what is missing cannot be granted by itself.
                let named = grantable::for_reading(&resolved);
                let shown = named.strip_prefix(&self.world.base).unwrap_or(named).to_string_lossy();
                let reachable = || self.grant.path_line(Word::Read, &PathRequest { shown: &shown, resolved: named });
                let denial = if named == resolved { denial } else { denial.with_hint(reachable()) };
                return Err(self.refuse(denial).await);
            }
        };
        self.used(Word::Read.as_str(), path.to_owned(), rule, false).await?;
        let copy = self.world.copies.get(&root).cloned();
        let attributes = self.blocking(move |_| attributes(&root, copy.as_deref(), &resolved)).await;
        attributes.map_err(|error| effect_error(error, format_args!("attributes of {path}")))
    }
}

/// Reads at the granted place only, or in its copy, whatever was put in the way since the decision.
fn attributes(root: &Path, copy: Option<&Path>, resolved: &Path) -> io::Result<Attributes> {
    let below = resolved.strip_prefix(root).unwrap_or(Path::new(""));
    let metadata = match (Pinned::open(copy.unwrap_or(root))?, below == Path::new("")) {
        (Pinned::Directory(directory), true) => Dir::from_std_file(directory).dir_metadata()?,
        (Pinned::Directory(directory), false) => Dir::from_std_file(directory).symlink_metadata(below)?,
        (Pinned::Name { parent, name }, true) => Dir::from_std_file(parent).symlink_metadata(name)?,
        (Pinned::Name { .. }, false) => return Err(io::ErrorKind::NotADirectory.into()),
    };
    Ok(Attributes { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
}
