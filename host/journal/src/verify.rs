//! Checks an export where no database is.

use std::io::{BufRead, Read as _};

use pipe_core::digest::Digest;

use crate::{
    chain::{Breach, ChainBroken, Checker, Verified},
    line::{LineReader, MAXIMUM_LINE},
};

/// Checks the lines of an export: every entry, every link, and that nothing is missing, added, repeated or moved.
///
/// The end of a chain can be cut off without a trace, unless a hash of it is known from elsewhere: give that as `head`, and an
/// entry must have it. The export of one run says so in its first line, and then so does the answer ([`Verified::subset`]).
///
/// # Errors
///
/// The first line that is wrong.
pub fn verify_lines(mut reader: impl BufRead, head: Option<Digest>) -> Result<Verified, ChainBroken> {
    let mut checker = Checker::new(head);
    let mut lines = LineReader::default();
    let mut buffer = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        let broken = |seq, what| ChainBroken { line: number, seq, what };
        buffer.clear();
        let read = reader.by_ref().take(MAXIMUM_LINE as u64 + 1).read_until(b'\n', &mut buffer);
        match read {
            Ok(0) => return checker.finish().map_err(|what| broken(None, what)),
            Ok(length) if length > MAXIMUM_LINE => return Err(broken(None, Breach::TooLong)),
            Ok(_) => {}
            Err(error) => return Err(broken(None, Breach::Unreadable(error.to_string()))),
        }
        let line = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
        if number == 1
            && let Some(run) = lines.header(line)
        {
            checker = Checker::of_run(run, head);
            continue;
        }
        let (seq, taken) = lines.entry(line, |entry| checker.entry(entry));
        taken.map_err(|what| broken(seq, what))?;
    }
}
