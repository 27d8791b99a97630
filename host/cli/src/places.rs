//! Where pipe keeps its own things: state that must not be lost, and a cache that may be.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::{exit::Exit, failure::Failure};

/// The policy above every pipeline on this machine. Nothing that an operator can set leads elsewhere.
pub(crate) const SYSTEM_POLICY: &str = "/etc/pipe/policy.toml";

/// The state directory: what the operator says, else what the pipeline file says, else the user's own.
///
/// # Errors
///
/// None is said and there is no home directory.
pub(crate) fn state(option: Option<&Path>, pipeline: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = option.or(pipeline) {
        return Ok(path.to_owned());
    }
    let strategy = etcetera::choose_base_strategy().map_err(|_| {
        Failure::new(Exit::Usage, "there is no home directory to keep state in").hint("say `--state DIR`")
    })?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("pipe"))
}

/// The directory of compiled plugins, or nothing where there is no home directory.
pub(crate) fn cache() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("pipe"))
}

/// A path as one word of a command that a person may paste.
pub(crate) fn in_shell(path: &Path) -> String {
    pipe_core::text::in_shell(&path.to_string_lossy()).into_owned()
}
