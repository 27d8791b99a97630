//! A run that another process left, on its way to being gone on with.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use pipe_core::{
    event::{EventKind, Outcome},
    id::{RunId, StepId},
    redact::Redactor,
};
use pipe_journal::{Durability, Journal, JournalError, Ownership, Reader, RunFilter};
use pipe_runner::{Begun, Coming, Pins, Prepared, RunState};

use super::{
    loading::{self, Loaded},
    ownership,
};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Which run.
#[derive(Clone, Debug, Args)]
pub(crate) struct LeftRun {
    /// The run: its name or the beginning of it, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,

    /// The pipeline file whose `state` directory holds it
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Go on although the journal is not as it was written: somebody knows what `pipe log verify` finds, and answers for it
    #[arg(long)]
    pub(crate) accept_changed_record: bool,
}

/// A run that this process owns now.
pub(crate) struct Left {
    pub(crate) state: PathBuf,
    pub(crate) begun: Begun,
    ownership: Arc<Ownership>,
    /// That its record was changed, and somebody accepts that.
    accepted: Option<EventKind>,
    /// Why the outputs of its steps cannot be opened: without them it cannot be gone on with, but it can be given up.
    sealed: Option<JournalError>,
}

/// Takes a run over: no other process may be running it. **The whole journal is checked first**: what was done, what undoes it
/// and who approved it is known from nowhere else.
///
/// # Errors
///
/// There is no such run, another process runs it, or its record cannot be read, or was changed.
pub(crate) fn take(which: &LeftRun, state: Option<&Path>, printer: Printer) -> Result<Left, Failure> {
    let left = take_again(which, state)?;
    let accepted = match Reader::open(&left.state)?.verify(None) {
        Ok(_) => None,
        Err(error @ JournalError::Changed { .. }) if which.accept_changed_record => {
            printer.warning(&error.to_string());
            Some(EventKind::ChangedRecordAccepted { actor: loading::actor(), found: error.to_string() })
        }
        Err(error @ JournalError::Changed { .. }) => {
            return Err(Failure::new(Exit::Invalid, error.to_string())
                .hint("find out who did that; where it is known and does no harm, `--accept-changed-record` goes on"));
        }
        // What of it can be read may be all that this run needs.
        Err(error) => {
            printer.warning(&error.to_string());
            None
        }
    };
    Ok(Left { accepted, ..left })
}

/// [`take`], of a run that this process has had before.
///
/// # Errors
///
/// As there, without the check.
pub(crate) fn take_again(which: &LeftRun, state: Option<&Path>) -> Result<Left, Failure> {
    let state = loading::reading_state(state, which.file.as_deref())?;
    let found = loading::find_run(&Reader::open(&state)?, &which.run)?;
    let ownership = ownership::take(&state, &found.pipeline, &found.environment, Some(&found.run))?;
    // With the lock: nothing is added to it by anybody else from here on.
    let reader = Reader::open(&state)?;
    let (events, sealed) = match reader.events_with_outputs(&found.run) {
        Err(error @ JournalError::Sealed { .. }) => (reader.events(&found.run)?, Some(error)),
        read => (read?, None),
    };
    let begun = Begun::of(&found.run, &events)?;
    Ok(Left { state, begun, ownership, accepted: None, sealed })
}

impl Left {
    /// Refuses a run that has ended.
    ///
    /// # Errors
    ///
    /// It has.
    pub(crate) fn needs_open(&self) -> Result<(), Failure> {
        match self.begun.state.outcome {
            Some(outcome) if !self.begun.is_open() => {
                let message = format!("run {} has ended: {outcome}", self.begun.run);
                Err(Failure::new(Exit::Usage, message).hint("`pipe status` lists the runs that have not"))
            }
            _ => Ok(()),
        }
    }

    /// A later run of its pipeline and environment that left something, where there is one: one that has not ended counts.
    ///
    /// # Errors
    ///
    /// The record cannot be read.
    pub(crate) fn followed_by(&self) -> Result<Option<RunId>, Failure> {
        let filter = RunFilter {
            pipeline: Some(self.begun.pipeline.clone()),
            environment: Some(self.begun.environment.clone()),
            limit: None,
        };
        let runs = Reader::open(&self.state)?.runs(&filter)?;
        let mut later = runs.into_iter().take_while(|run| run.run != self.begun.run);
        Ok(later.find(|run| !leaves_nothing(run.outcome)).map(|run| run.run))
    }

    /// What comes next in it by the clock. Nothing where it has no phases, or its copies are gone.
    pub(crate) fn coming(&self) -> Option<Coming> {
        self.begun.coming(&Pins::of(&self.state), jiff::Timestamp::now())
    }

    /// Sets everything up to go on, from what the run was begun with. Secrets are resolved afresh.
    ///
    /// # Errors
    ///
    /// A copy cannot be read, a secret is missing, or a grant is no longer what it was.
    pub(crate) async fn prepare(
        &self,
        printer: Printer,
        redactor: Redactor,
    ) -> Result<(Prepared, Arc<Journal>), Failure> {
        if let Some(error) = &self.sealed {
            return Err(error.clone().into());
        }
        let pins = Pins::of(&self.state);
        let begun = &self.begun;
        let loaded = Loaded {
            checked: begun.pipeline(&pins)?,
            run: begun.run.clone(),
            started: begun.started,
            state: self.state.clone(),
            previous: begun.previous.clone(),
            copies: begun.copies,
            bytes: begun.plugins(&pins),
            asked_by: Vec::new(),
            signers: Some(begun.signers.clone()),
        };
        // With the lock nobody is writing them any more.
        let artifacts = self.state.join("artifacts").join(begun.run.as_str());
        let known: Vec<&Path> = begun.state.artifacts.iter().map(|known| Path::new(&known.artifact.location)).collect();
        if let Err(error) = pipe_effects::artifact::remove_unknown(&artifacts, &known) {
            printer.warning(&format!("what run {} stored and did not write down stays: {error}", begun.run));
        }
        let (prepared, journal) =
            loading::prepare(loaded, Arc::clone(&self.ownership), begun.policies(&pins)?, printer, redactor).await?;
        self.held_against(&prepared, printer)?;
        for path in prepared.not_copied() {
            printer.warning(&format!("{} was too large to be copied: what is there now is used", path.display()));
        }
        Ok((prepared, journal))
    }

    /// How often its watch looks.
    ///
    /// # Errors
    ///
    /// Its pipeline cannot be read, or has no watch.
    pub(crate) fn every(&self) -> Result<std::time::Duration, Failure> {
        let watch = self.begun.pipeline(&Pins::of(&self.state))?.pipeline.watch;
        let message = format!("the pipeline of run {} has no watch", self.begun.run);
        watch.map(|watch| watch.guard.every).ok_or_else(|| Failure::new(Exit::Internal, message))
    }

    /// Holds the plan that was made again against the one that the run began with.
    fn held_against(&self, prepared: &Prepared, printer: Printer) -> Result<(), Failure> {
        let (begun, version) = (&self.begun, env!("CARGO_PKG_VERSION"));
        if prepared.plan.digest() == begun.plan {
            return Ok(());
        }
        if begun.has_replaced() {
            return Ok(());
        }
        if begun.version == version {
            let message = format!("the plan of run {} cannot be made again from what it was begun with", begun.run);
            return Err(Failure::new(Exit::Internal, message)
                .hint("something that the plan covers has changed outside of its copies"));
        }
        printer.warning(&format!("run {} was begun by pipe {}, and this is {version}", begun.run, begun.version));
        Ok(())
    }

    /// What is to be written down before anything else.
    pub(crate) fn accepted(&self) -> Option<EventKind> {
        self.accepted.clone()
    }

    /// Writes down what a person says of the run, and nothing else.
    ///
    /// # Errors
    ///
    /// The journal cannot be written.
    pub(crate) async fn record(&self, events: Vec<EventKind>, redactor: Redactor) -> Result<RunState, Failure> {
        let mut state = self.begun.state.clone();
        let events: Vec<EventKind> = self.accepted().into_iter().chain(events).collect();
        events.iter().for_each(|event| state.apply(event));
        let journal = Journal::open_owned(Arc::clone(&self.ownership), redactor)?;
        journal.append(&self.begun.run, events, Durability::Durable).await?;
        journal.close().await?;
        Ok(state)
    }

    /// Gives up what the run has by the database of its pipeline.
    ///
    /// # Errors
    ///
    /// The copy of its pipeline cannot be read, a secret is missing, or the database cannot be asked.
    pub(crate) async fn give_up(&self, note: &str, redactor: &Redactor) -> Result<(), Failure> {
        let pipeline = self.begun.pipeline(&Pins::of(&self.state))?.pipeline;
        ownership::give_up(&pipeline, &self.state, &self.begun.run, note, redactor).await
    }

    /// A step of the run, by its name as it is printed.
    ///
    /// # Errors
    ///
    /// No step of that name has begun.
    pub(crate) fn step(&self, name: &str) -> Result<StepId, Failure> {
        let steps = &self.begun.state.steps;
        steps.iter().find(|known| known.step.to_string() == name).map(|known| known.step.clone()).ok_or_else(|| {
            let known: Vec<String> = steps.iter().map(|known| format!("\"{}\"", known.step)).collect();
            Failure::new(Exit::Usage, format!("no step \"{name}\" has begun in run {}", self.begun.run))
                .hint(format!("these have: {}", known.join(", ")))
        })
    }
}

/// Whether everything is as it was before a run that ended so.
const fn leaves_nothing(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Failed | Outcome::Interrupted | Outcome::RolledBack))
}
