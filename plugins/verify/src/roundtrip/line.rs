//! The marker as a line of a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use pipe_sdk::files::explain_write;
use pipe_sdk::{Failure, Finding};

/// Appends a line, looks for it, and cuts it off again while it is still the last one.
pub(super) fn roundtrip(path: &str, marker: &str) -> Result<Finding, Failure> {
    exchange(path, marker).map_err(|error| explain_write(path, &error))
}

fn exchange(path: &str, marker: &str) -> io::Result<Finding> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    let line = format!("{}{marker}\n", if ends_within_a_line(path, before)? { "\n" } else { "" });
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    drop(file);

    let Some(start) = find(path, before, line.as_bytes())? else {
        return Ok(Finding::fail(format!("a line was written to {path}, but not found")).with_observed("not found"));
    };
    // Read again right before the cut: a line that somebody else has added must stay.
    if ends_with(path, start, line.as_bytes())? {
        OpenOptions::new().write(true).open(path)?.set_len(start)?;
        return Ok(Finding::pass(format!("a line was written to {path}, found and removed"))
            .with_observed("written, found and removed"));
    }
    Ok(Finding::warn(format!("a line was written to {path} and found; it stays, since others have written after it"))
        .with_observed("not removed"))
}

fn ends_within_a_line(path: &str, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    Ok(tail(path, last, 1)? != b"\n")
}

/// Where the line stands, looked for from where the file ended before it was written.
fn find(path: &str, from: u64, line: &[u8]) -> io::Result<Option<u64>> {
    // Others may have written in between, but hardly more than this.
    let tail = tail(path, from, 1 << 20)?;
    Ok(tail.windows(line.len()).position(|window| window == line).map(|position| from + position as u64))
}

fn ends_with(path: &str, start: u64, line: &[u8]) -> io::Result<bool> {
    Ok(tail(path, start, line.len() as u64 + 1)? == line)
}

fn tail(path: &str, from: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pipe_sdk::Status;

    use super::*;

    fn with_file(name: &str, content: &str, run: impl FnOnce(&str)) {
        let path = std::env::temp_dir().join(format!("pipe-verify-{}-{name}", std::process::id()));
        fs::write(&path, content).expect("a file");
        run(path.to_str().expect("text"));
        fs::remove_file(&path).expect("it is still there");
    }

    #[test]
    fn the_file_is_afterwards_as_it_was() {
        for content in ["", "one\n", "no end of line"] {
            with_file("as-it-was", content, |path| {
                let finding = roundtrip(path, "pipe-probe k").expect("it ran");
                assert_eq!(finding.status, Status::Pass, "{}", finding.message);
                assert_eq!(fs::read_to_string(path).expect("text"), content);
            });
        }
    }

    #[test]
    fn what_others_write_stays() {
        with_file("others", "one\npipe-probe k\ntwo\n", |path| {
            assert!(!ends_with(path, 4, b"pipe-probe k\n").expect("readable"));
            assert_eq!(find(path, 0, b"pipe-probe k\n").expect("readable"), Some(4));
        });
    }

    #[test]
    fn a_file_that_is_missing_is_not_made() {
        let failure = roundtrip("/nonexistent/audit.log", "m").expect_err("no file");
        assert_eq!(failure.message, "/nonexistent/audit.log does not exist");
    }
}
