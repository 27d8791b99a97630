//! A world, a session in it, and a ledger that tells what was written down.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use pipe_capability::{grant::Grant, http::HttpRule, secret::SecretSlot, sql::SqlRule, tcp::TcpRule, tls::TlsRule};
use pipe_core::{
    digest::Digest,
    event::{Artifact, LogLevel, Refusal, Started, Use, Verification},
    id::StepId,
    proof::ProofKey,
};
use pipe_effects::{
    ledger::{KnownArtifact, Ledger, LedgerError},
    session::Session,
    sql::{Marking, Phase},
    world::{Peer, TlsMode, World},
};

/// What was written down.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) uses: Mutex<Vec<Use>>,
    pub(crate) denials: Mutex<Vec<Refusal>>,
    pub(crate) logs: Mutex<Vec<(LogLevel, String)>>,
    pub(crate) broken: Mutex<bool>,
    pub(crate) started: Mutex<Vec<Started>>,
    pub(crate) unmarked: Mutex<Vec<String>>,
}

impl Recorded {
    /// `word subject`, with `!` behind an effect.
    pub(crate) fn used(&self) -> Vec<String> {
        let uses = self.uses.lock().unwrap();
        uses.iter().map(|u| format!("{} {}{}", u.word, u.subject, if u.effect { " !" } else { "" })).collect()
    }

    pub(crate) fn denied(&self) -> Vec<Refusal> {
        self.denials.lock().unwrap().clone()
    }
}

#[async_trait]
impl Ledger for Recorded {
    async fn used(&self, used: Use) -> Result<(), LedgerError> {
        self.used_at_once(used)
    }

    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError> {
        uses.into_iter().try_for_each(|used| self.used_at_once(used))
    }

    fn used_at_once(&self, used: Use) -> Result<(), LedgerError> {
        if *self.broken.lock().unwrap() {
            return Err(LedgerError("the disk is full".to_owned()));
        }
        self.uses.lock().unwrap().push(used);
        Ok(())
    }

    async fn denied(&self, refusal: Refusal) {
        self.denials.lock().unwrap().push(refusal);
    }

    fn logged(&self, level: LogLevel, message: String, _: BTreeMap<String, String>) {
        self.logs.lock().unwrap().push((level, message));
    }

    fn progress(&self, _: String, _: u64, _: Option<u64>) {}

    async fn checkpoint(&self, _: &str, _: &[u8], _: &str) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn artifact_stored(&self, _: Artifact) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn artifact_verified(&self, _: Verification) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn artifact(&self, _: &Digest) -> Option<KnownArtifact> {
        None
    }

    async fn started(&self, started: Started) -> Result<(), LedgerError> {
        self.started.lock().unwrap().push(started);
        Ok(())
    }

    async fn unmarked(&self, peer: &str, statement: &str) -> Result<(), LedgerError> {
        self.unmarked.lock().unwrap().push(format!("{peer}: {statement}"));
        Ok(())
    }
}

/// What is marked as the first try of the run with this number.
pub(crate) fn marking(run: u32) -> Marking {
    Marking { run: format!("20261127150000-{run:06x}").parse().unwrap(), phase: Phase::Apply, round: 0, wave: 0 }
}

pub(crate) fn peer(name: &str, url: &str) -> Peer {
    Peer {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        password: None,
        bearer: None,
        secret_path: None,
        tls: TlsMode::VerifyFull,
        ca: None,
        client: None,
        addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        pinned: None,
    }
}

/// Puts a session together.
pub(crate) struct Outside {
    pub(crate) world: World,
    pub(crate) grant: Grant,
}

impl Default for Outside {
    fn default() -> Self {
        Self { world: World { proofs: Some(ProofKey::new(&PROOF_KEY)), ..World::empty() }, grant: Grant::default() }
    }
}

/// The key of every test's record.
pub(crate) const PROOF_KEY: [u8; 32] = [7; 32];

/// What the record proves of a text.
pub(crate) fn proof(word: &str, text: &str) -> Option<Digest> {
    Some(ProofKey::new(&PROOF_KEY).of(word, text.as_bytes()))
}

impl Outside {
    pub(crate) fn peer(mut self, peer: Peer) -> Self {
        self.world.peers.insert(peer.name.clone(), peer);
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.world.redactor.register(name, &value.to_owned().into()).unwrap();
        self.world.secrets.0.insert(name.to_owned(), value.to_owned().into());
        self
    }

    pub(crate) fn http(mut self, rule: &str) -> Self {
        self.grant.http.push(HttpRule::parse(rule).unwrap());
        self
    }

    pub(crate) fn tcp(mut self, rule: &str, networks: &[&str]) -> Self {
        let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        self.grant.tcp.push(TcpRule::parse(rule).unwrap().with_addresses(networks));
        self
    }

    pub(crate) fn tls(mut self, rule: &str, networks: &[&str]) -> Self {
        let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        self.grant.tls.push(TlsRule::parse(rule).unwrap().with_addresses(networks).unwrap());
        self
    }

    pub(crate) fn sql(mut self, rule: &str) -> Self {
        self.grant.sql.push(SqlRule::parse(rule).unwrap());
        self
    }

    pub(crate) fn slot(mut self, name: &str, to: &str, header: &str, format: Option<&str>) -> Self {
        self.grant.secrets.push(SecretSlot::new(name, to, Some(header), format).unwrap());
        self
    }

    pub(crate) fn session(self) -> (Arc<Session>, Arc<Recorded>) {
        let (session, ledger) = self.plain("test");
        (Arc::new(session), ledger)
    }

    /// A session of an attempt at a step, whose SQL takes effect once.
    pub(crate) fn attempt(self, step: &str, marking: Marking) -> (Arc<Session>, Arc<Recorded>) {
        let (session, ledger) = self.plain(step);
        (Arc::new(session.marked(marking)), ledger)
    }

    fn plain(self, step: &str) -> (Session, Arc<Recorded>) {
        let ledger = Arc::new(Recorded::default());
        let session = Session::new(
            StepId::new(step),
            Arc::new(self.grant),
            Arc::new(self.world),
            Arc::clone(&ledger) as Arc<dyn Ledger>,
        );
        (session, ledger)
    }
}
