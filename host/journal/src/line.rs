//! One line of an export, and its one way to be written.

use std::borrow::Cow;

use pipe_core::{digest::Digest, id::RunId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::{Breach, Entry};

/// Version of the export format, in every line.
pub const SCHEMA: &str = "pipe.audit/v1";

/// The longest line of an export, with its end, in bytes.
pub const MAXIMUM_LINE: usize = 1 << 20;

/// The longest event, in bytes: what is left of a line when everything else has its place.
pub const MAXIMUM_BODY: usize = MAXIMUM_LINE - 1_024;

/// The first line of an export that holds one run only.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header<'l> {
    #[serde(borrow)]
    pub(crate) schema: Cow<'l, str>,
    /// The run.
    pub(crate) subset: RunId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'l> {
    #[serde(borrow)]
    schema: Cow<'l, str>,
    seq: u64,
    #[serde(borrow)]
    run: Cow<'l, str>,
    #[serde(borrow)]
    at: Cow<'l, str>,
    boot_ms: u64,
    #[serde(borrow)]
    body: &'l RawValue,
    prev: Digest,
    hash: Digest,
}

/// Reads lines. Keeps its buffer, so that a line costs few allocations.
#[derive(Default)]
pub(crate) struct LineReader {
    written: Vec<u8>,
}

impl LineReader {
    /// Reads an entry and hands it to `take`. A line that reads well but would be written otherwise is a breach: a byte of it
    /// was changed.
    pub(crate) fn entry(&mut self, line: &[u8], take: impl FnOnce(&Entry<'_>) -> Result<(), Breach>) -> Read {
        let parsed: Line<'_> = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(error) => return (None, Err(Breach::Malformed(error.to_string()))),
        };
        let seq = Some(parsed.seq);
        if parsed.schema != SCHEMA {
            return (seq, Err(Breach::Malformed(format!("schema `{}` is not `{SCHEMA}`", parsed.schema))));
        }
        if !self.is_canonical(&parsed, line) {
            return (seq, Err(Breach::Rewritten));
        }
        let entry = Entry {
            seq: parsed.seq,
            run: &parsed.run,
            at: &parsed.at,
            boot_ms: parsed.boot_ms,
            body: parsed.body.get(),
            prev: parsed.prev,
            hash: parsed.hash,
        };
        (seq, take(&entry))
    }

    /// Reads a header. Nothing where the line is none.
    pub(crate) fn header(&mut self, line: &[u8]) -> Option<RunId> {
        let header: Header<'_> = serde_json::from_slice(line).ok()?;
        (header.schema == SCHEMA && self.is_canonical(&header, line)).then_some(header.subset)
    }

    fn is_canonical(&mut self, parsed: &impl Serialize, line: &[u8]) -> bool {
        self.written.clear();
        serde_json::to_writer(&mut self.written, parsed).is_ok() && self.written == line
    }
}

/// The entry's place, where it could be read, and what is wrong.
pub(crate) type Read = (Option<u64>, Result<(), Breach>);

/// Writes an entry as a line with its end into `out`.
///
/// # Errors
///
/// The body is not one line of JSON, so that it cannot have been written by a journal.
pub(crate) fn write_entry(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let body: &RawValue = serde_json::from_str(entry.body)?;
    if entry.body.contains('\n') {
        return Err(serde::ser::Error::custom("the event has more than one line"));
    }
    let line = Line {
        schema: SCHEMA.into(),
        seq: entry.seq,
        run: entry.run.into(),
        at: entry.at.into(),
        boot_ms: entry.boot_ms,
        body,
        prev: entry.prev,
        hash: entry.hash,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Writes the header of an export of one run.
pub(crate) fn write_header(run: &RunId, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, &Header { schema: SCHEMA.into(), subset: run.clone() })?;
    out.push(b'\n');
    Ok(())
}
