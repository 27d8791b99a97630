//! Reading through the writer's connection: short questions, whose answers hold what was appended before.

use pipe_core::{
    digest::Digest,
    id::{RunId, StepId},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Journal;
use crate::{
    JournalError, Outputs, Receipt, RunFilter, RunSummary, StoredEvent, Verified, error::Fault, events, history,
    outputs, queue::Task, reader, receipt, seal,
};

impl Journal {
    /// Runs, newest first. This and all reading sees what was appended before, as far as it could be written.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<RunSummary>, JournalError> {
        self.read(move |connection| history::runs(connection, &filter)).await
    }

    /// The newest run of a pipeline in an environment that succeeded.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn last_succeeded(&self, pipeline: &str, environment: &str) -> Result<Option<RunSummary>, JournalError> {
        let (pipeline, environment) = (pipeline.to_owned(), environment.to_owned());
        self.read(move |connection| history::last_succeeded(connection, &pipeline, &environment)).await
    }

    /// The events of a run, in order. None where there is no such run. Without the values of outputs, of which the record holds
    /// names: see [`Journal::events_with_outputs`].
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn events(&self, run: &RunId) -> Result<Vec<StoredEvent>, JournalError> {
        self.events_from(run, 0).await
    }

    /// The events of a run from a place on, in order.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn events_from(&self, run: &RunId, from: u64) -> Result<Vec<StoredEvent>, JournalError> {
        let run = run.clone();
        self.read(move |connection| events::of_run(connection, &run, from)).await
    }

    /// The events of a run, in order, with the values of outputs as they were when the events were appended: what a run goes on
    /// from.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, an output is not the one that was saved, or the key that opens it is gone.
    pub async fn events_with_outputs(&self, run: &RunId) -> Result<Vec<StoredEvent>, JournalError> {
        let (run, state_dir) = (run.clone(), self.state_dir.clone());
        self.read(move |connection| {
            let mut events = events::of_run(connection, &run, 0)?;
            outputs::put_back(connection, &mut events, || seal::opener(connection, &state_dir))?;
            Ok(events)
        })
        .await
    }

    /// The outputs of a run's steps, by step and name.
    ///
    /// # Errors
    ///
    /// As [`Journal::events_with_outputs`].
    pub async fn outputs(&self, run: &RunId) -> Result<Outputs, JournalError> {
        Ok(outputs::of_events(&self.events_with_outputs(run).await?))
    }

    /// The receipts of a step: oldest first, the latest data under each key.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, a receipt is not the one that was saved, or the key that opens it is gone.
    pub async fn receipts(&self, run: &RunId, step: &StepId) -> Result<Vec<Receipt>, JournalError> {
        let (run, step, state_dir) = (run.clone(), seal::step_text(step)?, self.state_dir.clone());
        self.read(move |connection| receipt::of_step(connection, &run, &step, || seal::opener(connection, &state_dir)))
            .await
    }

    /// As [`Reader::verify`](crate::Reader::verify). Nothing is written meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Reader::verify`](crate::Reader::verify).
    pub async fn verify(&self, head: Option<Digest>) -> Result<Verified, JournalError> {
        let path = self.path.clone();
        self.read(move |connection| reader::verify(connection, &path, head).map_err(Fault::Told)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Task::Read(Box::new(move |connection| {
            // A caller that was cancelled does not listen any more.
            let _ = reply.send(read(connection));
        })))?;
        answer.await.map_err(|_| JournalError::Closed)?.map_err(|fault| fault.at(&self.path))
    }
}
