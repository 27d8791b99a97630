//! What a process of the run left behind, before another one goes on with it; and what keeps SQL from happening twice.

use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::{event::EventKind, id::StepId, stage::Stage};
use pipe_effects::{
    ledger::{Ledger, LedgerError},
    remains::{self, Remain, Witness},
    session::Session,
    sql::{Marking, Phase},
};
use pipe_journal::{JournalError, Recorded};
use pipe_pipeline::Step;
use pipe_sandbox::Call;

use crate::{error::RunError, ledger::StepLedger, prepare::Prepared, record::Recorder, step::Stepper};

/// Ends what processes of the run that are dead have left behind, and returns once it is proven gone.
pub(crate) async fn end(prepared: &Prepared, recorder: &Recorder) -> Result<(), RunError> {
    let remains = started(recorder)?;
    if remains.is_empty() {
        return Ok(());
    }
    let swept = remains::end(&prepared.world, recorder, remains, remains::ENDING).await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (programs, sessions, ended) = (count(swept.programs), count(swept.sessions), count(swept.ended.len()));
    Ok(recorder.durable(EventKind::RemainsEnded { programs, sessions, ended }).await?)
}

/// Everything that the run has started since it was last swept.
fn started(recorder: &Recorder) -> Result<Vec<Remain>, JournalError> {
    let mut remains = Vec::new();
    recorder.journal().reader()?.each_event(recorder.run(), |stored| {
        let Recorded::Known(event) = &stored.event else { return };
        match event.started() {
            Some((step, started)) => remains.push(Remain { step: step.clone(), started }),
            None if matches!(event, EventKind::RemainsEnded { .. }) => remains.clear(),
            None => {}
        }
    })?;
    Ok(remains)
}

#[async_trait]
impl Witness for Recorder {
    fn ledger(&self, step: &StepId) -> Arc<dyn Ledger> {
        Arc::new(StepLedger::new(self.clone(), step.clone(), 0))
    }

    async fn ending(&self, remain: &Remain) -> Result<(), LedgerError> {
        let Remain { step, started } = remain.clone();
        let found = EventKind::RemainFound { step, started };
        self.durable(found).await.map_err(|error| LedgerError(error.to_string()))
    }
}

impl Stepper<'_> {
    /// The session, with what makes its SQL take effect once. Not that of checks and messages: what they write is a probe,
    /// and each attempt needs its own.
    pub(crate) fn marked(&self, session: Session, step: &Step, call: &Call) -> Session {
        if matches!(step.stage, Stage::Precheck | Stage::Verify | Stage::Notify) {
            return session;
        }
        let phase = if matches!(call, Call::Undo { .. }) { Phase::Undo } else { Phase::Apply };
        let round = self.recorder.state().step(&step.id).map_or(0, |known| known.undone + known.again);
        let wave = if let Call::Release { wave: Some(wave) } = call { wave.index } else { 0 };
        session.marked(Marking { run: self.recorder.run().clone(), phase, round, wave })
    }
}
