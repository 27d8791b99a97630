//! What a component is: which stage it implements, what it imports, whether it can undo. Read from the binary alone.

use pipe_core::stage::Stage;
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, component::Component};

use crate::plugin::LoadError;

/// The version of `pipe:stage` and `pipe:host` that this host speaks.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// The part of a version that must agree: `0.1` of `0.1.7`.
const TRACK: &str = "0.1";

/// What a component's imports and exports say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The stage it implements.
    pub stage: Stage,
    /// Version of `pipe:stage` that it was built for.
    pub version: String,
    /// Whether it exports `undo`.
    pub undo: bool,
    /// Whether it exports `preview`.
    pub preview: bool,
    /// Everything it imports, sorted: `pipe:host/sql@0.1.0`. Interfaces that hold only types are left out.
    pub imports: Vec<String>,
}

impl Contract {
    /// Reads the contract off a compiled component.
    pub(crate) fn of(engine: &Engine, component: &Component) -> Result<Self, LoadError> {
        let ty = component.component_type();
        let mut exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        exports.sort_unstable();
        let version = stage_version(&exports)?;
        let exported = |interface: &str| exports.iter().any(|name| is_stage_interface(name, interface));
        let stages: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| exported(stage.word())).collect();
        let stage = match stages.as_slice() {
            [stage] => *stage,
            [] => return Err(LoadError::NoStage { exports }),
            several => {
                let names = several.iter().map(ToString::to_string).collect();
                return Err(LoadError::SeveralStages { stages: names });
            }
        };
        if !exported("describe") {
            return Err(LoadError::NoDescribe { stage });
        }
        let mut imports: Vec<String> =
            ty.imports(engine).map(|(name, _)| name.to_owned()).filter(|name| !holds_only_types(name)).collect();
        imports.sort_unstable();
        Ok(Self { stage, version, undo: exported("undo"), preview: exported("preview"), imports })
    }
}

/// The version of `pipe:stage` in the exports, checked against ours. One interface of another track is enough to refuse: which
/// of several is listed first means nothing.
fn stage_version(exports: &[String]) -> Result<String, LoadError> {
    let ours = |version: &&str| *version == TRACK || version.starts_with(&format!("{TRACK}."));
    let versions =
        || exports.iter().filter_map(|name| name.strip_prefix("pipe:stage/")?.split_once('@').map(|(_, v)| v));
    if let Some(other) = versions().filter(|version| !ours(version)).max() {
        return Err(LoadError::OtherContract { wanted: other.to_owned() });
    }
    match versions().max() {
        Some(version) => Ok(version.to_owned()),
        None => Err(LoadError::NoStage { exports: exports.to_vec() }),
    }
}

fn is_stage_interface(export: &str, interface: &str) -> bool {
    export
        .strip_prefix("pipe:stage/")
        .and_then(|rest| rest.split_once('@'))
        .is_some_and(|(name, version)| name == interface && version.starts_with(TRACK))
}

/// Interfaces without a function: importing one asks for nothing.
fn holds_only_types(import: &str) -> bool {
    let name = import.split('@').next().unwrap_or(import);
    matches!(name, "pipe:stage/types" | "pipe:host/errors" | "wasi:io/error")
}
