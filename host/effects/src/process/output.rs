//! What a program writes, with secrets masked, and lines of it for the log.

use std::{collections::VecDeque, sync::Arc};

use pipe_core::{event::LogLevel, redact::Redactor, text::is_unprintable};
use tokio::{io::AsyncReadExt as _, net::unix::pipe};

use super::stop::Stop;
use crate::{
    error::{EffectError, ErrorKind},
    ledger::Ledger,
};

/// How much a program may write to one channel that is handed to a guest or to the log, in bytes.
pub(crate) const OUTPUT_LIMIT: u64 = 64 << 20;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// The longest line of the log, in bytes. A longer one is cut.
const LONGEST_LINE: usize = 4096;

/// How many lines of one program go to the log.
const MOST_LINES: usize = 10_000;

/// How many of the last lines an error carries.
const LAST_LINES: usize = 10;

/// One channel of a program, as it may be shown.
pub(crate) struct MaskedOutput {
    source: pipe::Receiver,
    masker: Masker,
    stop: Stop,
    limit: Option<u64>,
    seen: u64,
    buffer: Vec<u8>,
    done: bool,
}

impl MaskedOutput {
    /// Reads `source` until it is closed, `stop` comes, or more than `limit` bytes were written: that stops the program.
    pub(crate) fn new(source: pipe::Receiver, redactor: Redactor, stop: Stop, limit: Option<u64>) -> Self {
        let masker = Masker { redactor, held: Vec::new() };
        Self { source, masker, stop, limit, seen: 0, buffer: vec![0; READ_BYTES], done: false }
    }

    /// What ends the program.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What comes next, or nothing at the end. Never empty.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        while !self.done {
            let read = tokio::select! {
                biased;
                () = self.stop.stopped() => return None,
                read = self.source.read(&mut self.buffer) => read.unwrap_or(0),
            };
            self.seen += read as u64;
            if let Some(limit) = self.limit.filter(|&limit| self.seen > limit) {
                let size = pipe_core::units::ByteSize(limit);
                self.stop.because(EffectError::new(ErrorKind::Limit, format!("the program wrote more than {size}")));
                return None;
            }
            self.done = read == 0;
            let masked = if self.done { self.masker.finish() } else { self.masker.push(&self.buffer[..read]) };
            if !masked.is_empty() {
                return Some(masked);
            }
        }
        None
    }
}

/// Masks secrets in a stream. Holds back as much as the beginning of a secret could be.
struct Masker {
    redactor: Redactor,
    held: Vec<u8>,
}

impl Masker {
    /// Adds `data`: what can be shown by now.
    fn push(&mut self, data: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(data);
        // A secret that begins before this place is wholly there.
        let decided = (self.held.len() + 1).saturating_sub(self.redactor.longest().max(1));
        let masked = self.redactor.redact_bytes(&self.held);
        let cut = match &masked {
            std::borrow::Cow::Borrowed(_) => decided,
            std::borrow::Cow::Owned(masked) => self.cut(masked, decided),
        };
        drop(masked);
        let rest = self.held.split_off(cut);
        let shown = std::mem::replace(&mut self.held, rest);
        self.redactor.redact_bytes(&shown).into_owned()
    }

    /// The rest, once there is no more to come.
    fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.redactor.redact_bytes(&held).into_owned()
    }

    /// The last place up to `decided` that does not lie within a secret. `masked` is all that is held, masked: at such a
    /// place, both parts masked apart are the same.
    fn cut(&self, masked: &[u8], decided: usize) -> usize {
        let longest = self.redactor.longest();
        // First where no secret ends that lies at `decided`, then everywhere: secrets may stand in a row.
        let candidates = [decided, decided.saturating_sub(longest)].into_iter().chain((1..decided).rev());
        let apart = |cut: usize| {
            let (head, tail) = self.held.split_at(cut);
            let head = self.redactor.redact_bytes(head);
            masked.strip_prefix(head.as_ref()).is_some_and(|rest| rest == self.redactor.redact_bytes(tail).as_ref())
        };
        candidates.into_iter().find(|&cut| apart(cut)).unwrap_or(0)
    }
}

/// Writes a program's output to the log, line by line, and keeps the last lines for an error.
pub(crate) struct LineLog {
    ledger: Arc<dyn Ledger>,
    program: String,
    open: Vec<u8>,
    logged: usize,
    last: VecDeque<String>,
}

impl LineLog {
    /// A log for the output of `program`.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, program: &str) -> Self {
        Self { ledger, program: program.to_owned(), open: Vec::new(), logged: 0, last: VecDeque::new() }
    }

    /// Logs `output` to its end: its last lines.
    pub(crate) async fn take(mut self, mut output: MaskedOutput) -> Vec<String> {
        while let Some(data) = output.next().await {
            self.add(&data);
        }
        self.line();
        self.last.into()
    }

    fn add(&mut self, data: &[u8]) {
        for &byte in data {
            match byte {
                b'\n' | b'\r' => self.line(),
                _ if self.open.len() < LONGEST_LINE => self.open.push(byte),
                _ => {}
            }
        }
    }

    fn line(&mut self) {
        let text = String::from_utf8_lossy(&self.open);
        // Not taken away but replaced: what was apart stays apart, so that no secret comes together here.
        let text: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
        self.open.clear();
        if text.trim().is_empty() {
            return;
        }
        self.logged += 1;
        let fields = || [("program".to_owned(), self.program.clone())].into();
        if self.logged <= MOST_LINES {
            self.ledger.logged(LogLevel::Info, text.clone(), fields());
        } else if self.logged == MOST_LINES + 1 {
            self.ledger.logged(LogLevel::Warning, format!("only the first {MOST_LINES} lines are logged"), fields());
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    /// Feeds `text` in pieces of every size: masked as a whole would be.
    fn check(secrets: &[&str], text: &str) {
        let redactor = Redactor::default();
        for secret in secrets {
            redactor.register("s", &SecretString::from(*secret)).unwrap();
        }
        let whole = redactor.redact_bytes(text.as_bytes());
        for size in 1..=text.len() {
            let mut masker = Masker { redactor: redactor.clone(), held: Vec::new() };
            let mut shown = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                shown.extend(masker.push(piece));
                assert!(masker.held.len() <= 3 * redactor.longest().max(1) + size, "{} held", masker.held.len());
            }
            shown.extend(masker.finish());
            assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&whole), "pieces of {size}");
        }
    }

    #[test]
    fn a_secret_is_masked_however_the_stream_is_cut() {
        check(&["hunter2hunter2"], "before hunter2hunter2 between hunter2hunter2hunter2hunter2 after, hunter2hunte");
        check(&["password1", "password1234"], &"password1234password1 password12password1234".repeat(4));
        check(&["aaaaaaaa"], &"a".repeat(100));
        check(&["abcdefgh", "efghijkl"], &"abcdefghijkl-abcdefgh-efghijkl".repeat(3));
    }

    #[test]
    fn nothing_is_held_without_secrets() {
        let mut masker = Masker { redactor: Redactor::default(), held: Vec::new() };
        assert_eq!(masker.push(b"at once"), b"at once");
    }
}
