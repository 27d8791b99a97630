//! Markers: what a step has committed in a database stands in a table of that database, put there by the same transaction.
//!
//! So a later attempt of the same step can tell what took effect, whatever was lost on the way: it sends the same transaction
//! again, the host finds its marker, and answers as the database did then. A transaction is the same if its statements and
//! their parameters are. What only reads, and what only concerns the session (`SET`), always runs.
//!
//! The digests are keyed and each row is sealed with the key of the record, which no guest knows: whoever may write to the
//! database can remove a marker, but can neither make one nor change what it answers. A row that was copied from another
//! place is passed over, as if it was removed. What statements returned is sealed, too, and nobody can read it in the table.

mod course;
mod done;
mod sealed;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pipe_core::{id::RunId, proof::ProofKey};

use self::sealed::Opened;
pub(super) use self::{
    course::{Course, End, Next},
    done::Done,
};
use super::{SqlValue, statement::Statement};
use crate::{
    error::{EffectError, ErrorKind},
    session::Session,
};

/// The table of the markers, in SQLite's `main` and in PostgreSQL's `public`.
pub const MARKER_TABLE: &str = "pipe_marker";

/// The most transactions of one step that are looked through.
pub(super) const MOST_MARKERS: usize = 50_000;

/// The most bytes of what a marker knows of its statements and their rows.
const MOST_KNOWN_BYTES: usize = 1024 * 1024;

/// The columns that a database keeps, but for the time.
pub(super) const COLUMNS: &str = "run, step, phase, digest, occurrence, first, statements, seal";

/// The same with their types, which both dialects know.
pub(super) const DEFINITION: &str = "run text NOT NULL, step text NOT NULL, phase text NOT NULL, digest text NOT NULL, \
     occurrence bigint NOT NULL, first text NOT NULL, statements text NOT NULL, seal text NOT NULL";

/// The key of the table.
pub(super) const KEY: &str = "PRIMARY KEY (run, step, phase, digest, occurrence)";

/// The word under which digests and seals are made.
const WORD: &str = "sql-marker";

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It does.
    Apply,
    /// It is undone.
    Undo,
}

/// Which transactions of a step count as the same: those of one run, step, phase and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marking {
    /// The run.
    pub run: RunId,
    /// Which way.
    pub phase: Phase,
    /// How often the step was undone in this run before: what was taken back must be done again.
    pub round: u32,
    /// Which wave of a gradual release, from 1; 0 where there are none. Each is an act of its own.
    pub wave: u32,
}

impl Marking {
    /// `apply`, `undo`, and with a number from the second time on.
    fn name(&self) -> String {
        let phase = match self.phase {
            Phase::Apply => "apply",
            Phase::Undo => "undo",
        };
        let phase = if self.round == 0 { phase.to_owned() } else { format!("{phase} {}", self.round + 1) };
        if self.wave == 0 { phase } else { format!("{phase} wave {}", self.wave) }
    }
}

/// What a session knows of the markers of its step, by peer.
#[derive(Default)]
pub(crate) struct Marks {
    marking: Option<Marking>,
    databases: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

impl Marks {
    pub(crate) fn new(marking: Marking) -> Self {
        Self { marking: Some(marking), databases: Mutex::default() }
    }
}

impl Session {
    /// The markers of this step at a peer, or nothing where none are made.
    pub(super) fn markers(&self, peer: &str) -> Option<Book> {
        let (marking, key) = (self.marks.marking.as_ref()?, self.world.proofs.as_ref()?);
        let mut databases = locked(&self.marks.databases);
        let known = Arc::clone(databases.entry(peer.to_owned()).or_default());
        Some(Book {
            key: key.clone(),
            peer: peer.to_owned(),
            run: marking.run.to_string(),
            step: self.step.to_string(),
            phase: marking.name(),
            known,
        })
    }
}

/// What is known of one database.
#[derive(Default)]
struct Known {
    markers: Vec<Marker>,
    /// Those that this attempt has made or was answered by. Each answers once.
    claimed: HashSet<(String, i64)>,
    /// Where somebody has put the markers of other places.
    copies: HashSet<(String, i64)>,
}

/// A transaction that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Of all its statements.
    pub(super) digest: String,
    /// From 0, of those with the same digest.
    pub(super) occurrence: i64,
    /// Digest of the first statement that writes.
    pub(super) first: String,
    /// [`Done`] in JSON, sealed for this marker's place.
    pub(super) statements: String,
    /// Proves that all this was written by a host.
    pub(super) seal: String,
}

/// The markers of a step in one database. Clones share it, and so do the connections of a session.
#[derive(Clone)]
pub(super) struct Book {
    key: ProofKey,
    pub(super) peer: String,
    pub(super) run: String,
    pub(super) step: String,
    pub(super) phase: String,
    known: Arc<Mutex<Known>>,
}

impl Book {
    /// What tells a statement from others: `kind` says how it was sent.
    pub(super) fn print(&self, kind: &str, text: &str, parameters: &[SqlValue]) -> String {
        let mut bytes = Vec::with_capacity(text.len() + 64);
        for part in [&self.run, &self.step, &self.phase, kind, text] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        for value in parameters {
            done::encode(value, &mut bytes);
        }
        self.short(&bytes)
    }

    /// What tells a transaction from others.
    pub(super) fn whole<'p>(&self, prints: impl IntoIterator<Item = &'p str>) -> String {
        self.short(prints.into_iter().fold("whole".to_owned(), |all, print| all + "\n" + print).as_bytes())
    }

    fn short(&self, bytes: &[u8]) -> String {
        self.key.of(WORD, bytes).to_string().chars().take(32).collect()
    }

    fn seal(&self, marker: &Marker) -> String {
        let Marker { digest, occurrence, first, statements, .. } = marker;
        let occurrence = occurrence.to_string();
        let parts = ["seal", &self.run, &self.step, &self.phase, digest, &occurrence, first, statements];
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes().chain([0])).collect();
        self.key.of(WORD, &bytes).to_string()
    }

    /// Whose statements a marker holds.
    fn place<'m>(&'m self, digest: &'m str, occurrence: &'m str) -> [&'m str; 5] {
        [&self.run, &self.step, &self.phase, digest, occurrence]
    }

    fn open(&self, marker: &Marker) -> Opened {
        let occurrence = marker.occurrence.to_string();
        sealed::open(&self.key, &self.place(&marker.digest, &occurrence), &marker.statements)
    }

    /// What a transaction consisted of. None where that was too large to be kept.
    fn statements(&self, marker: &Marker) -> Vec<Done> {
        match self.open(marker) {
            Opened::Here(statements) => Done::parse(&statements),
            Opened::Elsewhere | Opened::Not => Vec::new(),
        }
    }

    /// Takes in what the database holds. How many markers of other places somebody has copied to where this step looks for its own:
    /// they are passed over.
    ///
    /// # Errors
    ///
    /// A marker was not written by a host that has this key, or there are too many.
    pub(super) fn learn(&self, markers: Vec<Marker>) -> Result<usize, EffectError> {
        let peer = &self.peer;
        if markers.len() > MOST_MARKERS {
            let what = format!("{peer}: {MARKER_TABLE} holds more than {MOST_MARKERS} transactions of this step");
            return Err(EffectError::new(ErrorKind::Limit, what));
        }
        let (markers, others): (Vec<_>, Vec<_>) =
            markers.into_iter().partition(|marker| self.seal(marker) == marker.seal);
        if others.iter().any(|marker| self.open(marker) != Opened::Elsewhere) {
            let what = format!("{peer}: {MARKER_TABLE} says that this step has committed what pipe has not marked");
            let hint = format!("somebody has written to {MARKER_TABLE}; look at the database, and remove those rows");
            return Err(EffectError::new(ErrorKind::Failed, what).with_hint(hint));
        }
        let mut known = locked(&self.known);
        known.markers = markers;
        known.copies.extend(others.iter().map(|marker| (marker.digest.clone(), marker.occurrence)));
        Ok(others.len())
    }

    /// What a transaction was answered that was committed before, if it was. It will not answer again.
    pub(super) fn committed(&self, digest: &str) -> Option<Marker> {
        let mut known = locked(&self.known);
        let found = known.unclaimed().find(|marker| marker.digest == digest).cloned()?;
        known.claimed.insert((found.digest.clone(), found.occurrence));
        Some(found)
    }

    /// The transactions that began with a statement, in the order in which they were committed.
    fn candidates(&self, first: &str) -> Vec<Marker> {
        locked(&self.known).unclaimed().filter(|marker| marker.first == first).cloned().collect()
    }

    fn claim(&self, marker: &Marker) {
        locked(&self.known).claimed.insert((marker.digest.clone(), marker.occurrence));
    }

    /// A marker for a transaction that is about to be committed. Unless it is [`Reserved::keep`]t, another may take its place.
    pub(super) fn reserve(&self, first: String, digest: String, done: &[Done]) -> Reserved {
        let mut known = locked(&self.known);
        let taken = |occurrence: i64| {
            let key = (digest.clone(), occurrence);
            known.claimed.contains(&key)
                || known.copies.contains(&key)
                || known.markers.iter().any(|marker| marker.digest == digest && marker.occurrence == occurrence)
        };
        let occurrence = (0..).find(|occurrence| !taken(*occurrence)).unwrap_or(i64::MAX);
        known.claimed.insert((digest.clone(), occurrence));
        drop(known);
        let statements = serde_json::to_string(done).ok().filter(|text| text.len() <= MOST_KNOWN_BYTES);
        let statements = statements.unwrap_or_else(|| "[]".to_owned());
        let statements = sealed::seal(&self.key, &self.place(&digest, &occurrence.to_string()), &statements);
        let mut marker = Marker { digest, occurrence, first, statements, seal: String::new() };
        marker.seal = self.seal(&marker);
        Reserved { marker, known: Arc::clone(&self.known), kept: false }
    }

    /// What the only statement of a committed transaction was answered.
    pub(super) fn answer(&self, marker: &Marker) -> Result<super::SqlRows, EffectError> {
        let done = self.statements(marker);
        done.first().and_then(Done::answer).ok_or_else(|| self.unanswerable())
    }

    fn unanswerable(&self) -> EffectError {
        let what = format!(
            "{}: an earlier attempt has committed this statement, and its answer was too large to be kept",
            self.peer
        );
        EffectError::new(ErrorKind::Failed, what).with_hint("look at the database, and resolve the step by hand")
    }
}

impl Known {
    fn unclaimed(&self) -> impl Iterator<Item = &Marker> {
        let free = |marker: &&Marker| !self.claimed.contains(&(marker.digest.clone(), marker.occurrence));
        self.markers.iter().filter(free)
    }
}

/// A marker on its way into the database.
pub(super) struct Reserved {
    pub(super) marker: Marker,
    known: Arc<Mutex<Known>>,
    kept: bool,
}

impl Reserved {
    /// It was committed. Until then nobody knows, and the next transaction of the same kind finds out: its marker has the
    /// same key.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            let key = (self.marker.digest.clone(), self.marker.occurrence);
            locked(&self.known).claimed.remove(&key);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That something is not done again, for the record.
pub(super) fn told(book: &Book) -> String {
    format!(
        "{}: an earlier attempt of this step has committed this: it is not run again, and answered as then",
        book.peer
    )
}

/// That somebody has copied rows, for the record.
pub(super) fn copied(book: &Book, count: usize) -> String {
    format!(
        "{}: {count} rows of {MARKER_TABLE} were copied from other places to where this step looks for its own, and are passed over",
        book.peer
    )
}

/// What a database administrator is asked for.
pub(super) fn administrator_hint(user: &str) -> String {
    format!(
        "let an administrator run: CREATE TABLE public.{MARKER_TABLE} ({DEFINITION}, at timestamptz NOT NULL DEFAULT now(), \
         {KEY}); GRANT SELECT, INSERT ON public.{MARKER_TABLE} TO \"{}\"",
        user.replace('"', "\"\"")
    )
}

/// What a statement of a session that is marked is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Concerns the session or the transaction alone, or cannot be anything else: always runs, never marked.
    Session,
    /// Reads, as it seems: always runs, and is marked where the server says that it wrote.
    Reads,
    /// Takes effect once.
    Writes,
}

/// Statements of PostgreSQL that concern the session or the transaction alone.
const SESSION: [&str; 14] = [
    "SET",
    "RESET",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "PREPARE",
    "DEALLOCATE",
    "LOCK",
    "DECLARE",
    "FETCH",
    "MOVE",
    "CLOSE",
    "LOAD",
    "CHECKPOINT",
];

/// Those of them that last longer than their transaction, and so must run again where the rest of a script does not.
const LASTING: [&str; 8] = ["SET", "RESET", "DISCARD", "LISTEN", "UNLISTEN", "PREPARE", "DEALLOCATE", "LOAD"];

/// Whether a statement of PostgreSQL concerns the session or the transaction alone.
pub(super) fn is_of_session(statement: &Statement<'_>) -> bool {
    begins_with(statement, &SESSION)
}

/// Whether it also outlives its transaction.
pub(super) fn lasts(statement: &Statement<'_>) -> bool {
    let leading = statement.leading();
    let passing = ["LOCAL", "TRANSACTION", "CONSTRAINTS"];
    begins_with(statement, &LASTING) && !leading.get(1).is_some_and(|second| passing.iter().any(|word| second.is(word)))
}

fn begins_with(statement: &Statement<'_>, words: &[&str]) -> bool {
    statement.leading().first().is_some_and(|first| words.iter().any(|word| first.is(word)))
}

#[cfg(test)]
mod tests;
