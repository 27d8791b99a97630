//! Free space of the file system that holds a path.

use nix::sys::statvfs::statvfs;
use pipe_capability::{path::PathRequest, word::Word};

use crate::{blocking::effect_error, error::EffectError, path::resolve, session::Session};

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What an unprivileged user may still fill.
    pub available: u64,
}

impl Session {
    /// The space of the file system that holds `path`. Capability: `disk`.
    ///
    /// # Errors
    ///
    /// The grant does not cover the path, or nothing is there.
    pub async fn disk_free(&self, path: &str) -> Result<Space, EffectError> {
        let (base, text) = (self.world.base.clone(), path.to_owned());
        let resolved =
            self.blocking(move |_| Ok(resolve(&base, &text))).await.map_err(|error| effect_error(error, path))?;
        let rule = match self.grant.disk(&PathRequest { shown: path, resolved: &resolved }) {
            Ok(rule) => rule.to_string(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        self.used(Word::Disk.as_str(), path.to_owned(), rule, false).await?;
        let space = self.blocking(move |_| statvfs(&resolved).map_err(std::io::Error::from)).await;
        let space = space.map_err(|error| effect_error(error, format_args!("free space of {path}")))?;
        let block = space.fragment_size();
        Ok(Space {
            total: space.blocks().saturating_mul(block),
            available: space.blocks_available().saturating_mul(block),
        })
    }
}
