//! What a connection is asked, what it answers, and how much of an answer there may be.

use tokio::sync::oneshot;

use super::{MOST_ROW_BYTES, MOST_ROWS, SqlRows, SqlValue};
use crate::error::{EffectError, ErrorKind};

/// What a connection is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Query { statement: String, parameters: Vec<SqlValue> },
    Script { text: String, statements: usize },
    Begin,
    Commit,
    Rollback,
}

/// Work and who waits for it.
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<SqlRows, Failure>>,
}

/// What a connection says when it did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database itself held the fence.
    Refused { reason: String, code: Option<String> },
    /// Anything else.
    Effect(EffectError),
}

impl From<EffectError> for Failure {
    fn from(error: EffectError) -> Self {
        Self::Effect(error)
    }
}

/// Counts what a statement returns.
#[derive(Default)]
pub(super) struct Counted {
    rows: usize,
    bytes: usize,
}

impl Counted {
    /// One row more, or an error where that is too much.
    pub(super) fn row(&mut self, row: &[SqlValue]) -> Result<(), EffectError> {
        self.rows += 1;
        self.bytes += row.iter().map(SqlValue::size).sum::<usize>();
        let limit = |what: String| {
            let error = EffectError::new(ErrorKind::Limit, format!("the statement returned more than {what}"));
            Err(error.with_hint("ask for less: LIMIT, a narrower WHERE, or an aggregate"))
        };
        if self.rows > MOST_ROWS {
            return limit(format!("{MOST_ROWS} rows"));
        }
        if self.bytes > MOST_ROW_BYTES {
            return limit(format!("{} MiB", MOST_ROW_BYTES >> 20));
        }
        Ok(())
    }
}
