//! One call in process: a Store, an instance with all host interfaces linked, the verb, and the end of the session.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pipe_capability::{env::EnvRule, grant::Grant, path::PathRule};
use pipe_core::{
    digest::Digest,
    event::{Artifact, LogLevel, Refusal, Started, Use, Verification},
    id::StepId,
};
use pipe_effects::{
    ledger::{KnownArtifact, Ledger, LedgerError},
    session::Session,
    world::World,
};
use pipe_sandbox::{Call, CallContext, Plugin, Sandbox};

use crate::{Row, quantile};

const CALLS: usize = 500;

/// The standard precheck, with a check that needs a decision and a record alone, and with one that also asks the system on
/// a thread for blocking work.
pub(crate) fn measure() -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let cache = tempfile::tempdir().expect("a folder");
    let (sandbox, _) = Sandbox::new(Some(cache.path())).expect("a sandbox");
    let bytes = std::fs::read(component()).expect("the standard precheck, built with pipe");
    let load = || runtime.block_on(sandbox.load("std:precheck", &bytes)).expect("a plugin");
    let began = Instant::now();
    let plugin = load();
    let cold = began.elapsed();
    let warm: Vec<Duration> = (0..20).map(|_| timed(|| drop(load()))).collect();
    let grant = Arc::new(Grant {
        disk: vec![PathRule::new("/", "/")],
        env: vec![EnvRule::parse("BENCH").expect("a rule")],
        ..Grant::default()
    });
    let environment = BTreeMap::from([("BENCH".to_owned(), "1".to_owned())]);
    let world = Arc::new(World { base: PathBuf::from("/"), environment, ..World::empty() });
    let calls = |check: &str| {
        let ledger = Arc::new(Counting::default());
        let call = || {
            let session = Session::new(StepId::new("bench"), Arc::clone(&grant), Arc::clone(&world), ledger.clone());
            runtime.block_on(one(&sandbox, &plugin, session, check));
        };
        let taken: Vec<Duration> = (0..CALLS).map(|_| timed(call)).skip(CALLS / 10).collect();
        assert_eq!(ledger.uses.load(Ordering::Relaxed), CALLS, "every call asks once");
        taken
    };
    let env = calls(r#"{"kind":"env-required","names":["BENCH"]}"#);
    let disk = calls(r#"{"kind":"disk-free","path":"/","min":"1B"}"#);
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let row = |what: &str, calls: Vec<Duration>| {
        let median = quantile(calls.clone(), 0.5);
        Row {
            what: format!("instantiate and call in process: precheck, one {what}"),
            target: "<= 100 us",
            measured: format!("{:.1} us (p99 {:.1})", micros(median), micros(quantile(calls, 0.99))),
            met: Some(median <= Duration::from_micros(100)),
        }
    };
    vec![
        row("env-required", env),
        row("disk-free", disk),
        Row {
            what: "load a plugin: cached, and compiled".to_owned(),
            target: "",
            measured: format!("{:.0} us, {:.0} ms", micros(quantile(warm, 0.5)), cold.as_secs_f64() * 1e3),
            met: None,
        },
    ]
}

async fn one(sandbox: &Sandbox, plugin: &Plugin, session: Session, check: &str) {
    let context = CallContext {
        run: "20261123021500-9f3c1a".to_owned(),
        pipeline: "bench".to_owned(),
        environment: "bench".to_owned(),
        step: "bench".to_owned(),
        instance: None,
        attempt: 1,
        idempotency_key: String::new(),
        started_unix_ms: 0,
        settings: format!(r#"{{"check":[{check}]}}"#),
    };
    let report = sandbox.call(plugin, Call::Precheck, context, Arc::new(session), Duration::from_secs(300)).await;
    assert!(report.is_ok(), "{report:?}");
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Where `host/cli/build.rs` builds the standard plugins.
fn component() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_pipe")).ancestors().nth(2).expect("a target folder");
    target.join("plugins/wasm32-wasip2/release/precheck.wasm")
}

/// A ledger that counts and keeps nothing.
#[derive(Default)]
pub(crate) struct Counting {
    uses: AtomicUsize,
}

#[async_trait]
impl Ledger for Counting {
    async fn used(&self, _: Use) -> Result<(), LedgerError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError> {
        self.uses.fetch_add(uses.len(), Ordering::Relaxed);
        Ok(())
    }

    fn used_at_once(&self, _: Use) -> Result<(), LedgerError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn denied(&self, refusal: Refusal) {
        panic!("refused: {refusal:?}");
    }

    fn logged(&self, _: LogLevel, _: String, _: BTreeMap<String, String>) {}

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

    async fn started(&self, _: Started) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), LedgerError> {
        Ok(())
    }
}
