//! One call of a stage: a fresh instance in a Store of its own, a deadline over everything, and an end that leaves nothing
//! going on outside.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use pipe_core::{
    digest::Digest,
    event::{LogLevel, Wave},
    limits::Limit,
    report::{Failure, FailureKind, Finding, StageReport},
};
use pipe_effects::session::{Overrun, Session};
use tokio::time::Instant;
use wasmtime::{
    Store,
    component::{ResourceTable, ResourceTableError},
};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, I32Exit, WasiCtxBuilder};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::{
    bindings::types,
    convert,
    filesystem::Fence,
    http::Sender,
    limits::{HOST_CALL_BYTES, Limiter},
    lines::{LineBudget, Output},
    network,
    plugin::{Description, Linked, Plugin, Sandbox, SandboxError, StagePre},
    report,
    state::State,
};

/// For whom and for what a stage is called. See `pipe:stage/types.context`.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The run.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
    /// The environment.
    pub environment: String,
    /// The step.
    pub step: String,
    /// The set key, where the step is repeated.
    pub instance: Option<String>,
    /// From 1.
    pub attempt: u32,
    /// Stable over attempts.
    pub idempotency_key: String,
    /// Milliseconds since 1970.
    pub started_unix_ms: u64,
    /// JSON text.
    pub settings: String,
}

/// A backup of the same run, as the migrate stage is told of it.
#[derive(Clone, Debug)]
pub struct BackupArtifact {
    /// Step that took it.
    pub step: String,
    /// Its digest.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Whether the host saw it verified.
    pub verified: bool,
}

/// How one step ended, as the notify stage is told of it.
#[derive(Clone, Debug)]
pub struct StepSummary {
    /// The step.
    pub step: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub status: String,
    /// Why it failed.
    pub message: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// What it found.
    pub findings: Vec<Finding>,
}

/// What a step saved before it acted.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What is asked of the plugin, beside the context. The variant must be that of the plugin's stage.
#[derive(Clone, Debug)]
pub enum Call {
    /// `precheck.check`
    Precheck,
    /// `backup.take`
    Backup,
    /// `migrate.apply`
    Migrate {
        /// Backups so far.
        backups: Vec<BackupArtifact>,
    },
    /// `release.publish`
    Release {
        /// Which part, where the step has waves.
        wave: Option<Wave>,
    },
    /// `verify.probe`
    Verify,
    /// `notify.send`
    Notify {
        /// What happened.
        event: String,
        /// One line for people.
        headline: String,
        /// How far the run has come.
        steps: Vec<StepSummary>,
    },
    /// `undo.undo`
    Undo {
        /// Everything the step saved.
        receipts: Vec<Receipt>,
    },
    /// `preview.preview`. What the stage would do is `done` of the report.
    Preview,
}

impl Sandbox {
    /// Calls a stage within the session's limits, and returns when nothing of the call is going on any more: at the deadline,
    /// the wall time over guest code and host calls, the guest is stopped, the
    /// Store is dropped, and every host operation has ended.
    ///
    /// # Errors
    ///
    /// Whatever went wrong, as a failure of the step: the stage's own, or one that the host names.
    pub async fn call(
        &self,
        plugin: &Plugin,
        call: Call,
        context: CallContext,
        session: Arc<Session>,
        deadline: Duration,
    ) -> Result<StageReport, Failure> {
        let stored = Arc::new(Mutex::new(HashSet::new()));
        let stage = (!matches!(call, Call::Undo { .. } | Call::Preview)).then_some(plugin.contract.stage);
        let result = match self.store(&session, &stored, WasiCtxBuilder::new()) {
            Ok(mut store) => {
                store.data_mut().ends = Some(Instant::now() + deadline);
                let context = convert::context(context, deadline);
                let ended = self.bounded(&session, deadline, dispatch(&mut store, plugin, call, context)).await;
                judge(&store, ended)
            }
            Err(error) => Err(host_failure(FailureKind::Other, format!("cannot set up the call: {error}"))),
        };
        // The Store is gone here. Only what the host does on the guest's behalf may still be going on.
        session.close().await;
        let report = result.map_err(|failure| report::checked_failure(failure, &session.world.redactor))?;
        let stored = stored.lock().map(|stored| stored.clone()).unwrap_or_default();
        report::checked(report, stage, &stored, &session.world.redactor)
    }

    /// Calls `describe` with a frozen clock and fixed randomness, and instantiates every other export as well, so that a
    /// type that differs from the contract is found before a deployment starts.
    pub(crate) async fn describe_call(
        &self,
        linked: &Linked,
        session: Arc<Session>,
        deadline: Duration,
    ) -> Result<Description, Failure> {
        let mut builder = WasiCtxBuilder::new();
        builder
            .wall_clock(Frozen)
            .monotonic_clock(Frozen)
            .secure_random(Deterministic::new(vec![4]))
            .insecure_random(Deterministic::new(vec![4]))
            .insecure_random_seed(4);
        let mut store = self
            .store(&session, &Arc::default(), builder)
            .map_err(|error| host_failure(FailureKind::Other, error.to_string()))?;
        let described = self
            .bounded(&session, deadline, async {
                if let Some(undo) = &linked.undo {
                    undo.instantiate_async(&mut store).await?;
                }
                if let Some(preview) = &linked.preview {
                    preview.instantiate_async(&mut store).await?;
                }
                convert::describe(&mut store, &linked.stage).await
            })
            .await;
        let result = judge(&store, described.map(|inner| inner.map(Ok)));
        drop(store);
        session.close().await;
        result
    }

    /// A Store with nothing in it but what this call may touch.
    fn store(
        &self,
        session: &Arc<Session>,
        stored: &Arc<Mutex<HashSet<Digest>>>,
        mut builder: WasiCtxBuilder,
    ) -> Result<Store<State>, SandboxError> {
        let lines = LineBudget::new(Arc::clone(session));
        builder
            .stdout(Output::new(lines.clone(), LogLevel::Info))
            .stderr(Output::new(lines.clone(), LogLevel::Warning));
        builder.max_random_size(1 << 20);
        network::check_addresses(&mut builder, session);
        let fence = Fence::new(Arc::clone(session), &self.nowhere).map_err(SandboxError::Grant)?;
        let mut table = ResourceTable::new();
        let limiter = Limiter::new(*session.limits());
        table.set_max_capacity(limiter.most(Limit::Handles));
        let state = State {
            session: Arc::clone(session),
            limiter,
            table,
            fence,
            lines,
            sockets: 0,
            variables: None,
            ends: None,
            receipts: 0,
            stored: Arc::clone(stored),
            wasi: builder.build(),
            http: WasiHttpCtx::new(),
            sender: Sender { session: Arc::clone(session) },
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOST_CALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }

    /// Runs guest code until it ends, its time is over, or the session is cancelled.
    async fn bounded<T>(
        &self,
        session: &Session,
        deadline: Duration,
        guest: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<wasmtime::Result<T>, Failure> {
        let _running = self.ticker.running();
        tokio::select! {
            biased;
            () = session.cancellation().cancelled() => {
                Err(overrun(session).unwrap_or_else(|| {
                    host_failure(FailureKind::Interrupted, "interrupted by the operator".to_owned())
                }))
            }
            () = tokio::time::sleep(deadline) => {
                session.cancellation().cancel();
                let after = pipe_core::units::format_duration(deadline);
                Err(Failure { retryable: true, ..host_failure(FailureKind::Deadline, format!("did not end within {after}")) })
            }
            // Whatever the guest makes of the end.
            result = guest => overrun(session).map_or(Ok(result), Err),
        }
    }
}

/// Calls the verb. The only place that knows which world goes with which call.
async fn dispatch(
    store: &mut Store<State>,
    plugin: &Plugin,
    call: Call,
    context: types::Context,
) -> wasmtime::Result<Result<StageReport, Failure>> {
    let Linked { stage, undo, preview } = &plugin.linked;
    match (call, stage, undo) {
        (Call::Precheck, StagePre::Precheck(pre), _) => convert::precheck(store, pre, context).await,
        (Call::Backup, StagePre::Backup(pre), _) => convert::backup(store, pre, context).await,
        (Call::Migrate { backups }, StagePre::Migrate(pre), _) => convert::migrate(store, pre, context, backups).await,
        (Call::Release { wave }, StagePre::Release(pre), _) => convert::release(store, pre, context, wave).await,
        (Call::Verify, StagePre::Verify(pre), _) => convert::verify(store, pre, context).await,
        (Call::Notify { event, headline, steps }, StagePre::Notify(pre), _) => {
            convert::notify(store, pre, context, event, headline, steps).await
        }
        (Call::Undo { receipts }, _, Some(pre)) => convert::undo(store, pre, context, receipts).await,
        (Call::Undo { .. }, _, None) => {
            Ok(Err(host_failure(FailureKind::Other, "the plugin cannot undo: it exports no `undo`".to_owned())))
        }
        (Call::Preview, _, _) => match preview {
            Some(pre) => convert::preview(store, pre, context).await,
            None => Ok(Err(host_failure(
                FailureKind::Other,
                "the plugin cannot say what it would do: it exports no `preview`".to_owned(),
            ))),
        },
        (_, _, _) => {
            let stage = plugin.contract.stage;
            Ok(Err(host_failure(
                FailureKind::Other,
                format!("the plugin implements {stage}, not the stage of the step"),
            )))
        }
    }
}

/// Names what ended the call where it was not the stage itself.
fn judge<T>(store: &Store<State>, ended: Result<wasmtime::Result<Result<T, Failure>>, Failure>) -> Result<T, Failure> {
    let error = match ended? {
        Ok(result) => return result,
        Err(error) => error,
    };
    if let Some(refused) = &store.data().limiter.refused {
        return Err(host_failure(FailureKind::OutOfMemory, format!("the plugin wanted {refused}")));
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Err(host_failure(FailureKind::Trap, format!("the plugin exited with {code} instead of returning")));
    }
    // The cause alone: a backtrace of numbers tells the operator nothing.
    let cause = error.root_cause();
    let what = match (error.downcast_ref::<wasmtime::Trap>(), cause.downcast_ref::<ResourceTableError>()) {
        (Some(trap), _) => format!("the plugin trapped: {trap}"),
        (None, Some(ResourceTableError::Full)) => {
            let limits = store.data().limiter.limits;
            format!("the plugin wanted {}", limits.exceeded(Limit::Handles, "open handles"))
        }
        // wasmtime has no type for it.
        (None, None) if cause.to_string().starts_with("resource limit exceeded: instance count") => {
            let limits = store.data().limiter.limits;
            format!("the plugin wanted {}", limits.exceeded(Limit::Instances, "core instances"))
        }
        (None, _) => format!("the plugin broke the contract: {cause}"),
    };
    let clean = store.data().lines.clean(&what);
    Err(host_failure(FailureKind::Trap, clean))
}

/// The failure of a call that had to be ended, since it filled the journal.
fn overrun(session: &Session) -> Option<Failure> {
    let overrun = session.overrun()?;
    let kind = if overrun == Overrun::Refusals { FailureKind::Denied } else { FailureKind::Other };
    Some(host_failure(kind, overrun.to_string()))
}

/// A failure that the host found, not the stage.
fn host_failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message, retryable: false, findings: Vec::new(), hint: None }
}

/// A clock that stands still, so that a description is the same every time.
struct Frozen;

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
