//! What a program writes, line by line.

use std::collections::VecDeque;

/// As long as a line may be. What is longer is cut into several.
const MAX_LINE: usize = 4096;
/// How many lines are kept for a message.
const KEPT: usize = 5;
/// How much of each of them.
const KEPT_CHARACTERS: usize = 300;

/// Bytes of one channel, put together to lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    /// Takes bytes, and hands over each line that they complete.
    pub(crate) fn push(&mut self, data: &[u8], mut each: impl FnMut(&str)) {
        for byte in data {
            match byte {
                b'\n' | b'\r' => self.end(&mut each),
                _ => {
                    self.rest.push(*byte);
                    if self.rest.len() >= MAX_LINE {
                        self.end(&mut each);
                    }
                }
            }
        }
    }

    /// Hands over what is left at the end, without a line break.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&str)) {
        self.end(&mut each);
    }

    fn end(&mut self, each: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.rest).trim_end().to_owned();
        self.rest.clear();
        if line.is_empty() {
            return;
        }
        each(&line);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.chars().take(KEPT_CHARACTERS).collect());
    }

    /// The last lines, for a message.
    pub(crate) fn last(&self) -> Option<String> {
        (!self.last.is_empty()).then(|| self.last.iter().map(String::as_str).collect::<Vec<_>>().join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        (seen, lines.last())
    }

    #[test]
    fn lines_over_chunks() {
        let (seen, last) = read(&[b"one\ntw", b"o\r\n\n", "dr\u{e9}i".as_bytes()]);
        assert_eq!(seen, ["one", "two", "dr\u{e9}i"]);
        assert_eq!(last.as_deref(), Some("one / two / dr\u{e9}i"));
        assert_eq!(read(&[]), (vec![], None));
    }

    #[test]
    fn long_lines_and_long_output_are_bounded() {
        let (seen, last) = read(&[&[b'x'; 10_000]]);
        assert_eq!(seen.iter().map(String::len).collect::<Vec<_>>(), [4096, 4096, 1808]);
        assert_eq!(last.map(|last| last.len()), Some(3 * 300 + 2 * 3));
        let (_, last) = read(&[b"1\n2\n3\n4\n5\n6\n7\n"]);
        assert_eq!(last.as_deref(), Some("3 / 4 / 5 / 6 / 7"));
    }
}
