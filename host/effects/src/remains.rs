//! Proof that nothing is left of what a dead process had started: programs and database sessions.
//!
//! A process that is killed takes its programs with it, and its database sessions end soon, as a rule. Rules have exceptions
//! (a supervisor that is stopped, a network that died with the process, a statement that waits for a lock), and whoever
//! resumes or undoes must not share the world with them. So each was journaled when it was started, and is looked for here.

mod program;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pipe_capability::grant::Grant;
use pipe_core::{
    event::{Started, StartedProgram, StartedSession},
    id::StepId,
};

pub(crate) use self::program::born;
use crate::{
    error::EffectError,
    ledger::{Ledger, LedgerError},
    session::Session,
    sql::sessions_at,
    world::World,
};

/// How long the end of one thing may take that was told to end.
pub const ENDING: Duration = Duration::from_secs(30);

/// Something that a dead process had started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remain {
    /// The step that started it.
    pub step: StepId,
    /// What.
    pub started: Started,
}

/// Who writes down what becomes of the remains.
#[async_trait]
pub trait Witness: Send + Sync {
    /// Where the uses of a step's secrets and what a server says go.
    fn ledger(&self, step: &StepId) -> Arc<dyn Ledger>;

    /// Something is still there, and is about to be ended. Durable before it returns.
    async fn ending(&self, remain: &Remain) -> Result<(), LedgerError>;
}

/// What was looked for, and what was still there. Nothing of either is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many programs were looked for.
    pub programs: usize,
    /// How many database sessions were looked for.
    pub sessions: usize,
    /// What was still there.
    pub ended: Vec<Remain>,
}

/// Something may still be there, so nothing else may begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemainsError {
    /// A program does not end.
    #[error("{name} of step \"{step}\" (process {pid}) is still there: {why}")]
    Program {
        /// The step.
        step: StepId,
        /// The program.
        name: String,
        /// Its supervisor.
        pid: u32,
        /// Why it is not gone.
        why: String,
    },
    /// A session does not end, or nobody can say whether it has.
    #[error("session {backend} of step \"{step}\" at {peer} may still be there: {why}")]
    Session {
        /// The step.
        step: StepId,
        /// The peer.
        peer: String,
        /// The server's process.
        backend: i32,
        /// Why it is not known to be gone.
        why: String,
    },
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] LedgerError),
}

impl RemainsError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Program { pid, .. } => Some(format!("end it by hand, as with `kill -9 {pid}`, and try again")),
            Self::Session { backend, peer, .. } => {
                let statement = format!("SELECT pg_terminate_backend({backend})");
                Some(format!("let a database administrator run `{statement}` at {peer}, and try again"))
            }
            Self::Record(_) => None,
        }
    }
}

/// Ends what is still there of `remains`, and returns once all of it is gone. To be called before anything else of a run that
/// goes on or is undone, by the process that owns it.
///
/// # Errors
///
/// Something does not end within `within`, or a server cannot be asked. The first such thing is named; nothing of the run
/// may begin.
pub async fn end(
    world: &Arc<World>,
    witness: &dyn Witness,
    remains: Vec<Remain>,
    within: Duration,
) -> Result<Swept, RemainsError> {
    let mut swept = Swept::default();
    let mut sessions: BTreeMap<String, Vec<(StepId, StartedSession)>> = BTreeMap::new();
    // All programs first: they may have sessions of their own.
    for Remain { step, started } in remains {
        match started {
            Started::Program(program) => {
                swept.programs += 1;
                if end_program(world, witness, &step, &program, within).await? {
                    swept.ended.push(Remain { step, started: Started::Program(program) });
                }
            }
            Started::DatabaseSession(session) => {
                swept.sessions += 1;
                sessions.entry(session.peer.clone()).or_default().push((step, session));
            }
        }
    }
    for (peer, sessions) in sessions {
        let of_peer = OfPeer { world, witness, peer: &peer, within };
        swept.ended.extend(of_peer.end(sessions).await?);
    }
    Ok(swept)
}

/// Ends a program. Whether it was still there.
async fn end_program(
    world: &World,
    witness: &dyn Witness,
    step: &StepId,
    program: &StartedProgram,
    within: Duration,
) -> Result<bool, RemainsError> {
    let failed = |why: String| {
        let (step, name, pid) = (step.clone(), program.name.clone(), program.pid);
        RemainsError::Program { step, name, pid, why }
    };
    let found = program::find(program).map_err(|error| failed(error.to_string()))?;
    let mut ended = false;
    if let Some(found) = found
        && !found.ends_by_itself().await
    {
        let started = Started::Program(program.clone());
        witness.ending(&Remain { step: step.clone(), started }).await?;
        found.end(within).await.map_err(failed)?;
        ended = true;
    }
    let (program, state) = (program.clone(), world.artifacts.parent().map(Path::to_owned));
    let swept = tokio::task::spawn_blocking(move || program::sweep(&program, state.as_deref()));
    swept.await.unwrap_or_else(|lost| Err(lost.to_string())).map_err(failed)?;
    Ok(ended)
}

/// The sessions at one peer.
struct OfPeer<'a> {
    world: &'a Arc<World>,
    witness: &'a dyn Witness,
    peer: &'a str,
    within: Duration,
}

impl OfPeer<'_> {
    /// Ends them. What was still there.
    async fn end(&self, sessions: Vec<(StepId, StartedSession)>) -> Result<Vec<Remain>, RemainsError> {
        let Some((first, _)) = sessions.first() else { return Ok(Vec::new()) };
        let ledger = self.witness.ledger(first);
        let session = Session::new(first.clone(), Arc::new(Grant::default()), Arc::clone(self.world), ledger);
        let session = Arc::new(session);
        let ended = self.end_in(&session, &sessions).await;
        session.close().await;
        ended
    }

    async fn end_in(
        &self,
        session: &Arc<Session>,
        sessions: &[(StepId, StartedSession)],
    ) -> Result<Vec<Remain>, RemainsError> {
        let failed = |(step, session): &(StepId, StartedSession), why: String| RemainsError::Session {
            step: step.clone(),
            peer: session.peer.clone(),
            backend: session.backend,
            why,
        };
        let unasked = |error: EffectError| failed(&sessions[0], format!("the server cannot be asked: {error}"));
        let mut ended = Vec::new();
        // One connection for each server: a peer may have had several addresses.
        let mut addresses: Vec<&str> = sessions.iter().map(|(_, session)| session.address.as_str()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            let server = sessions_at(session, self.peer, address).await.map_err(unasked)?;
            for one in sessions.iter().filter(|(_, session)| session.address == address) {
                let (step, started) = (one.0.clone(), one.1.clone());
                if !server.has(&started).await.map_err(unasked)? {
                    continue;
                }
                let remain = Remain { step, started: Started::DatabaseSession(started.clone()) };
                self.witness.ending(&remain).await?;
                let deadline = Instant::now() + self.within;
                let mut refused = None;
                loop {
                    if let Err(error) = server.terminate(&started).await {
                        refused = Some(error);
                    }
                    if !server.has(&started).await.map_err(unasked)? {
                        break;
                    }
                    if Instant::now() >= deadline {
                        let waited = format!("it did not end within {} s", self.within.as_secs());
                        return Err(failed(one, refused.map_or(waited, |error| error.to_string())));
                    }
                    tokio::time::sleep(program::LOOK_AGAIN).await;
                }
                ended.push(remain);
            }
            server.leave().await;
        }
        Ok(ended)
    }
}
