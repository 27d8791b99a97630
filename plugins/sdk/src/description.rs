//! What a plugin says of itself.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::describe::exports::pipe::stage::describe as guest;
use crate::schema;

/// What every plugin has, whatever its stage.
pub trait Plugin {
    /// The step's `with`. Derive `Deserialize` and `JsonSchema`, with `#[serde(deny_unknown_fields)]`; doc comments
    /// become the descriptions that operators read.
    type Settings: DeserializeOwned + JsonSchema;

    /// Name, purpose, and what the plugin will ask for. Called with nothing granted; must not depend on anything outside.
    fn describe() -> Description;
}

/// A word of the pipeline file's `allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// HTTP requests.
    Http,
    /// Connections.
    Tcp,
    /// TLS handshakes.
    Tls,
    /// Databases.
    Sql,
    /// Messages by mail.
    Mail,
    /// Reading files.
    Read,
    /// Writing files.
    Write,
    /// Free space.
    Disk,
    /// Variables.
    Env,
    /// Secrets, filled in by the host.
    Secrets,
    /// Secrets in plaintext.
    Reveal,
    /// Programs.
    Exec,
    /// Artifacts.
    Artifacts,
}

impl Word {
    /// As it stands in the pipeline file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Sql => "sql",
            Self::Mail => "mail",
            Self::Read => "read",
            Self::Write => "write",
            Self::Disk => "disk",
            Self::Env => "env",
            Self::Secrets => "secrets",
            Self::Reveal => "reveal",
            Self::Exec => "exec",
            Self::Artifacts => "artifacts",
        }
    }
}

/// What a plugin says of itself. The SDK adds the schema of its settings.
#[derive(Clone, Debug)]
pub struct Description {
    name: String,
    version: String,
    summary: String,
    capabilities: Vec<guest::CapabilityRequest>,
}

impl Description {
    /// `name` in lower case, digits and `-`; `version` a semantic version; `summary` one sentence.
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), summary: summary.into(), capabilities: Vec::new() }
    }

    /// Adds a capability that the plugin will ask for: `subject` in the words of the pipeline file where it is known
    /// (`GET <peer>:<path>`), `reason` with the settings that make it ask.
    #[must_use]
    pub fn asks(mut self, word: Word, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        let word = word.as_str().to_owned();
        self.capabilities.push(guest::CapabilityRequest { word, subject: subject.into(), reason: reason.into() });
        self
    }

    pub(crate) fn with_schema<T: JsonSchema>(self) -> guest::Description {
        guest::Description {
            name: self.name,
            version: self.version,
            summary: self.summary,
            settings_schema: schema::of::<T>(),
            capabilities: self.capabilities,
        }
    }
}
