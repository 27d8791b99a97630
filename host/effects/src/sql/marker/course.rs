//! A transaction that the guest began: statement by statement it either runs, or turns out to be one that an earlier attempt
//! has committed.

use super::{super::SqlRows, Book, Done, Marker};
use crate::error::{EffectError, ErrorKind};

/// What is to be done with a statement that writes.
pub(in super::super) enum Next {
    /// Run it.
    Run,
    /// It took effect before: this is what it was answered.
    Answer(SqlRows),
}

/// How a transaction ends.
pub(in super::super) enum End {
    /// It was committed by an earlier attempt. Whatever ran just now only read.
    Before,
    /// It is new: to be marked and committed.
    New { first: String, digest: String, done: Vec<Done> },
    /// It consists of what seems to read. To be marked where it wrote, unless that was committed before.
    Reading { digest: String },
}

/// How far a transaction has come.
#[derive(Default)]
pub(in super::super) struct Course {
    /// Statements that write, run or answered.
    done: Vec<Done>,
    /// What seems to read, in an order.
    reading: Vec<String>,
    /// Those that an earlier attempt has committed, that this may be, and what they were answered.
    before: Vec<(Marker, Vec<Done>)>,
    /// Why it cannot go on.
    diverged: bool,
}

impl Course {
    /// Takes the next statement that writes.
    ///
    /// # Errors
    ///
    /// The statements until now were committed by an earlier attempt, and this one was not among them.
    pub(in super::super) fn next(&mut self, book: &Book, print: &str) -> Result<Next, EffectError> {
        if self.diverged {
            return Err(diverged(book));
        }
        let at = self.done.len();
        if at == 0 {
            let with_statements = |marker: Marker| {
                let statements = book.statements(&marker);
                (marker, statements)
            };
            self.before = book.candidates(print).into_iter().map(with_statements).collect();
        }
        if self.before.is_empty() {
            return Ok(Next::Run);
        }
        // Its marker was too large to say what it was answered.
        if self.before.iter().all(|(_, statements)| statements.is_empty()) {
            self.diverged = true;
            return Err(book.unanswerable());
        }
        self.before.retain(|(_, statements)| statements.get(at).is_some_and(|done| done.print() == print));
        let Some(done) = self.before.first().and_then(|(_, statements)| statements.get(at)).cloned() else {
            self.diverged = true;
            return Err(diverged(book));
        };
        // Whoever was answered otherwise is not the one that this goes on with.
        self.before.retain(|(_, statements)| statements.get(at) == Some(&done));
        let Some(answer) = done.answer() else {
            self.diverged = true;
            return Err(book.unanswerable());
        };
        self.done.push(done);
        Ok(Next::Answer(answer))
    }

    /// A statement that writes has run.
    pub(in super::super) fn ran(&mut self, print: String, answer: &SqlRows) {
        self.done.push(Done::new(print, answer));
    }

    /// A statement has run that seems to read.
    pub(in super::super) fn read(&mut self, print: String) {
        self.reading.push(print);
    }

    /// Whether statements were answered that did not run.
    pub(in super::super) fn is_before(&self) -> bool {
        !self.before.is_empty()
    }

    /// The guest commits.
    ///
    /// # Errors
    ///
    /// What an earlier attempt has committed was more than this.
    pub(in super::super) fn end(self, book: &Book) -> Result<End, EffectError> {
        if self.diverged {
            return Err(diverged(book));
        }
        if self.is_before() {
            let same = self.before.iter().find(|(_, statements)| statements.len() == self.done.len());
            let (marker, _) = same.ok_or_else(|| diverged(book))?;
            book.claim(marker);
            return Ok(End::Before);
        }
        match self.done.first() {
            Some(first) => Ok(End::New {
                first: first.print().to_owned(),
                digest: book.whole(self.done.iter().map(Done::print)),
                done: self.done,
            }),
            None => Ok(End::Reading { digest: book.whole(self.reading.iter().map(String::as_str)) }),
        }
    }
}

fn diverged(book: &Book) -> EffectError {
    let what = format!(
        "{}: an earlier attempt has committed a transaction that began like this one, and went on otherwise",
        book.peer
    );
    let hint = "look at the database, and resolve the step by hand: its transactions must not depend on when they run";
    EffectError::new(ErrorKind::Failed, what).with_hint(hint)
}
