//! Plugins: loaded once, linked once, described once per content.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pipe_core::{
    digest::Digest,
    limits::{Limit, Limits},
    stage::Stage,
};
use pipe_effects::session::Session;
use serde::{Deserialize, Serialize};
use wasmtime::{
    Engine,
    component::{Component, InstancePre, Linker},
};

use crate::{
    bindings::{
        backup::BackupPluginPre, migrate::MigratePluginPre, notify::NotifyPluginPre, precheck::PrecheckPluginPre,
        previewable::PreviewablePre, release::ReleasePluginPre, undoable::UndoablePre, verify::VerifyPluginPre,
    },
    cache::{Cache, CacheError},
    contract::{CONTRACT_VERSION, Contract},
    engine::{Ticker, engine},
    link::{linker, offers},
    state::State,
};

/// The largest component that is looked at, in bytes.
const LARGEST_COMPONENT: usize = 128 << 20;
/// What `describe` may take.
pub(crate) const DESCRIBE_DEADLINE: Duration = Duration::from_millis(200);

/// The sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime cannot run here.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
    /// What is granted cannot be opened, or leads elsewhere than when the run began.
    #[error("{0}")]
    Grant(String),
    /// No thread or directory could be made.
    #[error("cannot set up the sandbox: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a file is not a plugin that this host can call.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any plugin.
    #[error("{bytes} bytes are more than the {} MiB that a plugin may have", LARGEST_COMPONENT >> 20)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not the file that was meant.
    #[error("its sha256 is {found}, not {expected}")]
    OtherDigest {
        /// What the pipeline file says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// It does not begin as WebAssembly does.
    #[error("not a WebAssembly file: it does not begin with `\\0asm`")]
    NotWasm,
    /// It is a core module.
    #[error("a core WebAssembly module, not a component")]
    CoreModule,
    /// It cannot be compiled: cut off, damaged, or made of proposals that are not enabled.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// It exports no stage.
    #[error("not a stage plugin: it exports no stage of `pipe:stage`")]
    NoStage {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It exports more than one stage.
    #[error("it implements several stages: {}", stages.join(", "))]
    SeveralStages {
        /// Which.
        stages: Vec<String>,
    },
    /// It does not describe itself.
    #[error("it exports the stage {stage} but not `describe`")]
    NoDescribe {
        /// The stage.
        stage: Stage,
    },
    /// It was built for another contract.
    #[error("it was built for pipe:stage {wanted}; this pipe speaks {CONTRACT_VERSION}")]
    OtherContract {
        /// The version it wants.
        wanted: String,
    },
    /// It imports what the host does not offer.
    #[error("it imports what pipe does not offer: {}", imports.join(", "))]
    UnknownImports {
        /// Which.
        imports: Vec<String>,
    },
    /// Its imports or exports have the right names but other types.
    #[error("its interface differs from the contract: {0}")]
    OtherTypes(String),
    /// Describing it failed.
    #[error("it cannot be described: {0}")]
    Describe(String),
}

impl LoadError {
    /// What would help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CoreModule => {
                Some("build it for wasm32-wasip2, or wrap it with `wasm-tools component new`".to_owned())
            }
            Self::NotWasm => Some("a plugin is a .wasm file built for wasm32-wasip2".to_owned()),
            Self::NoStage { exports } if exports.is_empty() => {
                Some("a plugin exports one of the worlds in wit/stage, such as pipe:stage/verify-plugin".to_owned())
            }
            Self::NoStage { exports } => Some(format!("it exports {}", exports.join(", "))),
            Self::SeveralStages { .. } => Some("build one component for each stage".to_owned()),
            Self::NoDescribe { stage } => Some(format!("build it for the world pipe:stage/{stage}-plugin")),
            Self::OtherContract { .. } | Self::OtherTypes(_) => {
                Some(format!("build it against wit/ of this version, {CONTRACT_VERSION}"))
            }
            _ => None,
        }
    }
}

/// A capability that a plugin says it will ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRequest {
    /// A word of `allow`.
    pub word: String,
    /// What.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// What a plugin says of itself. Vendor text: shown, never trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of the settings, as text.
    pub settings_schema: String,
    /// What it will ask for.
    pub capabilities: Vec<CapabilityRequest>,
}

/// What is kept beside compiled code.
#[derive(Serialize, Deserialize)]
struct Facts {
    contract: Contract,
    description: Description,
}

/// A component that is ready to be called.
pub struct Plugin {
    /// As the pipeline file names it.
    pub name: String,
    /// sha256 of the component.
    pub digest: Digest,
    /// What it is.
    pub contract: Contract,
    /// What it says of itself.
    pub description: Description,
    pub(crate) linked: Linked,
}

/// What of a component can be called.
pub(crate) struct Linked {
    pub(crate) stage: StagePre,
    pub(crate) undo: Option<UndoablePre<State>>,
    pub(crate) preview: Option<PreviewablePre<State>>,
}

/// A linked component, by stage. The only place that branches over the six worlds.
pub(crate) enum StagePre {
    Precheck(PrecheckPluginPre<State>),
    Backup(BackupPluginPre<State>),
    Migrate(MigratePluginPre<State>),
    Release(ReleasePluginPre<State>),
    Verify(VerifyPluginPre<State>),
    Notify(NotifyPluginPre<State>),
}

/// Loads plugins and calls them. One per process.
pub struct Sandbox {
    pub(crate) engine: Engine,
    linker: Linker<State>,
    pub(crate) ticker: Ticker,
    cache: Option<Cache>,
    pub(crate) nowhere: PathBuf,
    /// Taken away with the sandbox where there is no cache to hold it.
    _scratch: Option<tempfile::TempDir>,
}

impl Sandbox {
    /// Sets up the engine. Without a usable `cache` directory, components are compiled anew, and the second value says why.
    ///
    /// # Errors
    ///
    /// The machine cannot run wasmtime, or a thread or directory cannot be made.
    pub fn new(cache: Option<&Path>) -> Result<(Self, Option<CacheError>), SandboxError> {
        let engine = engine().map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let linker = linker(&engine).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine)?;
        let (cache, refused) = match cache.map(|directory| Cache::open(directory, &engine)) {
            None => (None, None),
            Some(Ok(cache)) => (Some(cache), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let (nowhere, scratch) = match &cache {
            Some(cache) => (cache.empty_directory()?, None),
            None => {
                let scratch = tempfile::tempdir()?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        Ok((Self { engine, linker, ticker, cache, nowhere, _scratch: scratch }, refused))
    }

    /// The bytes of a plugin's file, without looking at what is in it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is larger than any plugin.
    pub fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
        read_bounded(path)
    }

    /// The sha256 of a plugin's file, without looking at what is in it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is larger than any plugin.
    pub fn digest_of_file(path: &Path) -> Result<Digest, LoadError> {
        read_bounded(path).map(|bytes| Digest::of(&bytes))
    }

    /// Loads a plugin from a file. Nothing of a file with another digest than the `expected` one is run or even looked at.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is another one, or is not a plugin that this host can call.
    pub async fn load_file(&self, name: &str, path: &Path, expected: Option<&Digest>) -> Result<Plugin, LoadError> {
        let bytes = read_bounded(path)?;
        let found = Digest::of(&bytes);
        if let Some(&expected) = expected.filter(|expected| **expected != found) {
            return Err(LoadError::OtherDigest { expected, found });
        }
        self.load(name, &bytes).await
    }

    /// Loads a plugin from its bytes: compiles it unless that was kept, finds out what it is, and lets it describe itself.
    ///
    /// # Errors
    ///
    /// It is not a plugin that this host can call.
    pub async fn load(&self, name: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let digest = Digest::of(bytes);
        if let Some(entry) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, &digest))
            && let Ok(Facts { contract, description }) = serde_json::from_slice(&entry.facts)
        {
            let linked = self.link(&contract, &entry.component)?;
            return Ok(Plugin { name: name.to_owned(), digest, contract, description, linked });
        }
        let component = self.compile(bytes)?;
        let contract = Contract::of(&self.engine, &component)?;
        let linked = self.link(&contract, &component)?;
        let description = self.describe(&linked).await?;
        let facts = Facts { contract, description };
        if let (Some(cache), Ok(json)) = (&self.cache, serde_json::to_vec(&facts))
            && let Err(error) = cache.put(&digest, &component, &json)
        {
            tracing::warn!(%error, "compiled code was not kept");
        }
        let Facts { contract, description } = facts;
        Ok(Plugin { name: name.to_owned(), digest, contract, description, linked })
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        if bytes.len() > LARGEST_COMPONENT {
            return Err(LoadError::TooLarge { bytes: bytes.len() });
        }
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(LoadError::NotWasm),
        }
        Component::new(&self.engine, bytes).map_err(|error| LoadError::Invalid(one_line(&error)))
    }

    /// Links a component once. Every call instantiates from here.
    fn link(&self, contract: &Contract, component: &Component) -> Result<Linked, LoadError> {
        let unknown: Vec<String> = contract.imports.iter().filter(|import| !offers(import)).cloned().collect();
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports { imports: unknown });
        }
        let other_types = |error: wasmtime::Error| LoadError::OtherTypes(one_line(&error));
        let pre: InstancePre<State> = self.linker.instantiate_pre(component).map_err(other_types)?;
        let undo = if contract.undo { Some(UndoablePre::new(pre.clone()).map_err(other_types)?) } else { None };
        let preview = contract.preview.then(|| PreviewablePre::new(pre.clone()).map_err(other_types)).transpose()?;
        let stage = match contract.stage {
            Stage::Precheck => StagePre::Precheck(PrecheckPluginPre::new(pre).map_err(other_types)?),
            Stage::Backup => StagePre::Backup(BackupPluginPre::new(pre).map_err(other_types)?),
            Stage::Migrate => StagePre::Migrate(MigratePluginPre::new(pre).map_err(other_types)?),
            Stage::Release => StagePre::Release(ReleasePluginPre::new(pre).map_err(other_types)?),
            Stage::Verify => StagePre::Verify(VerifyPluginPre::new(pre).map_err(other_types)?),
            Stage::Notify => StagePre::Notify(NotifyPluginPre::new(pre).map_err(other_types)?),
        };
        Ok(Linked { stage, undo, preview })
    }

    /// Lets a plugin describe itself: with nothing granted, a frozen clock, fixed randomness and little time.
    async fn describe(&self, linked: &Linked) -> Result<Description, LoadError> {
        let limits = Limits::default().with(Limit::LogLines, 10);
        let session = Arc::new(Session::powerless().limited(limits));
        self.describe_call(linked, session, DESCRIBE_DEADLINE)
            .await
            .map_err(|failure| LoadError::Describe(failure.message))
    }
}

/// Reads a file, but never more than a plugin may have, and never something that is not a file.
fn read_bounded(path: &Path) -> Result<Vec<u8>, LoadError> {
    use std::io::{Error, ErrorKind, Read as _};
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(Error::new(ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LARGEST_COMPONENT as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LARGEST_COMPONENT {
        return Err(LoadError::TooLarge { bytes: usize::try_from(metadata.len()).unwrap_or(usize::MAX) });
    }
    Ok(bytes)
}

/// An error with its causes, on one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
