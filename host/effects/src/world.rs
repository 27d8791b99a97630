//! What exists outside, as far as the pipeline file names it: peers, secrets, places. Made once per run.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use ipnet::IpNet;
use pipe_core::{proof::ProofKey, redact::Redactor};
use secrecy::SecretString;
use url::Url;

/// How a connection to a peer is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS, with the certificate checked against the roots and the name. For `https` there is no other mode.
    #[default]
    VerifyFull,
    /// No TLS. For databases and mail servers on loopback, and `http`.
    Disable,
}

/// A client certificate, and the secret that is the key to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// PEM file of the certificate and those it was issued by.
    pub certificate: PathBuf,
    /// Name of the secret that is the private key, as PEM.
    pub key: String,
}

/// A named address with its TLS and login. Known to the host alone.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Name in the pipeline file.
    pub name: String,
    /// `https://…`, `http://…`, `postgres://user@host:port/database`, `sqlite:/absolute/path`, `smtp://user@host:port` or
    /// `smtps://…`. Never a password.
    pub url: Url,
    /// Name of the secret that is the password: of the database user, of the mail user, or of HTTP Basic with the URL's user.
    pub password: Option<String>,
    /// Name of the secret that is sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Name of the secret that is put before the path of every request.
    pub secret_path: Option<String>,
    /// Transport security.
    pub tls: TlsMode,
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks who calls.
    pub client: Option<ClientIdentity>,
    /// Networks whose private or special addresses the peer may have.
    pub addresses: Vec<IpNet>,
    /// Where the file of an SQLite database lay when the run began, without links. A guest that may write there could put a
    /// link in its place; then the peer is refused. Nothing: the file is wherever the URL leads.
    pub pinned: Option<PathBuf>,
}

/// The values of secrets. Resolved before the first step, registered with the redactor, wiped when dropped.
#[derive(Default)]
pub struct Secrets(pub BTreeMap<String, SecretString>);

impl Secrets {
    /// The value of a secret, or nothing where the pipeline file does not declare it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }
}

/// Everything outside that a run may reach, before any grant is looked at.
pub struct World {
    /// By name.
    pub peers: BTreeMap<String, Peer>,
    /// By name.
    pub secrets: Secrets,
    /// Knows the secrets.
    pub redactor: Redactor,
    /// Proves what the record leaves out of statements, queries and arguments. Without one nothing is proven.
    pub proofs: Option<ProofKey>,
    /// The operator's variables. A guest sees those that its grant names.
    pub environment: BTreeMap<String, String>,
    /// Directory of the pipeline file, canonical: relative paths begin here.
    pub base: PathBuf,
    /// Directory that holds the run's artifacts. Exists, mode 0700.
    pub artifacts: PathBuf,
    /// Program and leading arguments that start the supervisor: `["/usr/bin/pipe", "__confine"]`.
    pub supervisor: Vec<OsString>,
    /// What no grant may reach for writing: state, cache, policy, the pipeline file, plugins, `pipe` itself. Canonical.
    pub protected: Vec<PathBuf>,
    /// Whether programs run even where the kernel cannot confine them. The record then says so.
    pub unconfined: bool,
    /// Where what a path of a grant names is read instead: a copy that the run made when it began.
    pub copies: BTreeMap<PathBuf, PathBuf>,
}

impl World {
    /// A world in which there is nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            peers: BTreeMap::new(),
            secrets: Secrets::default(),
            redactor: Redactor::default(),
            proofs: None,
            environment: BTreeMap::new(),
            base: PathBuf::from("/nonexistent"),
            artifacts: PathBuf::from("/nonexistent"),
            supervisor: Vec::new(),
            protected: Vec::new(),
            unconfined: false,
            copies: BTreeMap::new(),
        }
    }
}
