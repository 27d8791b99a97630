//! What a guest says, as lines: bounded, redacted, and unable to forge anything on a terminal.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use pipe_core::{event::LogLevel, limits::Limit, redact::Redactor, text::is_unprintable};
use pipe_effects::session::Session;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// The longest line that is kept, in bytes. The rest of a longer one is dropped.
const LONGEST_LINE: usize = 4_096;
/// The most fields of a log line that are kept.
const MOST_FIELDS: usize = 32;

/// Counts what one call says, over all the ways in which a guest can say something.
#[derive(Clone)]
pub(crate) struct LineBudget {
    session: Arc<Session>,
    left: Arc<Mutex<Left>>,
}

/// What a call may still say.
#[derive(Default)]
struct Left {
    lines: u64,
    bytes: u64,
}

impl LineBudget {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        let limits = session.limits();
        let left = Left { lines: limits.get(Limit::LogLines), bytes: limits.get(Limit::LogBytes) };
        Self { session, left: Arc::new(Mutex::new(left)) }
    }

    /// Passes a line on, unless the call has said too much already. The first line too many is replaced by a notice.
    pub(crate) fn say(&self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.lines == 0 {
            return;
        }
        let message = self.clean(message);
        let fields = self.fields(fields);
        let size = message.len() + fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let size = size as u64;
        if left.lines == 1 || size > left.bytes {
            let (limit, of) = if left.lines == 1 { (Limit::LogLines, "lines") } else { (Limit::LogBytes, "of log") };
            *left = Left::default();
            let notice =
                format!("the plugin said {}; further lines are dropped", self.session.limits().exceeded(limit, of));
            self.session.ledger.logged(LogLevel::Warning, notice, BTreeMap::new());
        } else {
            *left = Left { lines: left.lines - 1, bytes: left.bytes - size };
            self.session.ledger.logged(level, message, fields);
        }
    }

    /// The first fields: together as long as a line may be.
    fn fields(&self, fields: &[(String, String)]) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        let mut room = LONGEST_LINE;
        for (key, value) in fields.iter().take(MOST_FIELDS) {
            let (key, value) = (self.clean(key), self.clean(value));
            match room.checked_sub(key.len() + value.len()) {
                Some(less) => room = less,
                None => break,
            }
            kept.insert(key, value);
        }
        kept
    }

    /// See [`clean`].
    pub(crate) fn clean(&self, text: &str) -> String {
        clean(&self.session.world.redactor, text)
    }
}

/// Redacted, on one line, without what a terminal acts upon, and not too long.
pub(crate) fn clean(redactor: &Redactor, text: &str) -> String {
    let redacted = redactor.redact(text);
    let mut line = String::with_capacity(redacted.len().min(LONGEST_LINE));
    for character in redacted.chars() {
        if line.len() >= LONGEST_LINE {
            line.push('…');
            break;
        }
        line.push(if is_unprintable(character) { ' ' } else { character });
    }
    line
}

/// A guest's standard output or standard error.
#[derive(Clone)]
pub(crate) struct Output {
    budget: LineBudget,
    level: LogLevel,
}

impl Output {
    pub(crate) fn new(budget: LineBudget, level: LogLevel) -> Self {
        Self { budget, level }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { output: self.clone(), partial: Vec::new() })
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked.
        Box::new(tokio::io::sink())
    }
}

/// A stream that cuts what is written into lines. What has no end yet is said when the stream is dropped.
struct Lines {
    output: Output,
    partial: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.output.budget.say(self.output.level, String::from_utf8_lossy(&line).trim_end_matches('\r'), &[]);
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for &byte in &bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.partial.len() <= LONGEST_LINE {
                self.partial.push(byte);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
    }
}
