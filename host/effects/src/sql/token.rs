//! Takes SQL text apart into tokens, exactly where PostgreSQL and SQLite would.
//!
//! The fences lean on this: where a string or a comment ends decides what counts as a statement. **Every token ends where
//! the server's own scanner would end it**, or the text is one that the server refuses as a whole.

use super::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name,
    /// A string, of any kind.
    Text,
    /// A number.
    Number,
    /// `$1`, `?1`, `:name`.
    Parameter,
    /// `;`.
    Semicolon,
    /// One character of punctuation.
    Other,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    /// What it is.
    pub(crate) kind: Kind,
    /// As it stands in the text.
    pub(crate) text: &'t str,
}

impl Token<'_> {
    /// Whether the server reads it at all.
    pub(crate) fn is_significant(&self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// Whether it is this keyword.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// The tokens of `text`. Put together they are the text again.
pub(crate) fn tokens(text: &str, dialect: Dialect) -> Tokens<'_> {
    Tokens { text, at: 0, dialect }
}

/// See [`tokens`].
pub(crate) struct Tokens<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let scanner = Scanner { bytes: self.text.as_bytes(), dialect: self.dialect };
        let (kind, end) = scanner.token(self.at)?;
        let text = self.text.get(self.at..end)?;
        self.at = end;
        Some(Token { kind, text })
    }
}

/// Every token begins and ends beside an ASCII character or at an end of the text, and so between characters.
struct Scanner<'t> {
    bytes: &'t [u8],
    dialect: Dialect,
}

impl Scanner<'_> {
    fn at(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn starts(&self, at: usize, text: &str) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    fn while_true(&self, mut at: usize, holds: impl Fn(u8) -> bool) -> usize {
        while at < self.bytes.len() && holds(self.bytes[at]) {
            at += 1;
        }
        at
    }

    /// Where `text` ends next, from `at` on; the end of everything where it does not stand again.
    fn after(&self, at: usize, text: &[u8]) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.windows(text.len())
            .position(|window| window == text)
            .map_or(self.bytes.len(), |found| at + found + text.len())
    }

    fn token(&self, at: usize) -> Option<(Kind, usize)> {
        let postgres = self.dialect == Dialect::Postgresql;
        let first = *self.bytes.get(at)?;
        Some(match first {
            b' ' | b'\t'..=b'\r' => (Kind::Space, self.while_true(at, is_space)),
            b'-' if self.at(at + 1) == b'-' => (Kind::Comment, self.line_comment(at)),
            b'/' if self.at(at + 1) == b'*' => (Kind::Comment, self.block_comment(at)),
            b'\'' => (Kind::Text, self.string(at + 1, false)),
            b'"' => (Kind::Name, self.quoted(at + 1, b'"')),
            b'`' if !postgres => (Kind::Name, self.quoted(at + 1, b'`')),
            b'[' if !postgres => (Kind::Name, self.after(at + 1, b"]")),
            b'$' if postgres => self.dollar(at),
            b'?' if !postgres => (Kind::Parameter, self.while_true(at + 1, |b| b.is_ascii_digit())),
            b'$' | b':' | b'@' | b'#' if !postgres => self.variable(at),
            b';' => (Kind::Semicolon, at + 1),
            // SQLite skips a byte order mark where a token could begin.
            0xef if !postgres && self.starts(at, "\u{feff}") => (Kind::Space, at + 3),
            b if is_word_start(b) => self.word(at),
            b'0'..=b'9' => (Kind::Number, self.number(at)),
            _ => (Kind::Other, at + 1),
        })
    }

    fn line_comment(&self, at: usize) -> usize {
        let postgres = self.dialect == Dialect::Postgresql;
        self.while_true(at, |b| b != b'\n' && !(postgres && b == b'\r'))
    }

    /// PostgreSQL nests comments, SQLite does not.
    fn block_comment(&self, at: usize) -> usize {
        if self.dialect == Dialect::Sqlite {
            return self.after(at + 2, b"*/");
        }
        let (mut at, mut depth) = (at + 2, 1);
        while at < self.bytes.len() {
            if self.starts(at, "*/") {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            } else if self.starts(at, "/*") {
                (at, depth) = (at + 2, depth + 1);
            } else {
                at += 1;
            }
        }
        at
    }

    /// The end of a quotation that began before `at`. The quote itself is written twice.
    fn quoted(&self, mut at: usize, quote: u8) -> usize {
        while at < self.bytes.len() {
            match self.bytes[at] {
                b if b != quote => at += 1,
                _ if self.at(at + 1) == quote => at += 2,
                _ => return at + 1,
            }
        }
        at
    }

    /// The end of a string that began before `at`. PostgreSQL joins strings with a line break between them into one, and
    /// reads the second as it read the first.
    fn string(&self, at: usize, escapes: bool) -> usize {
        let mut at = at;
        loop {
            while at < self.bytes.len() {
                match self.bytes[at] {
                    b'\\' if escapes => at = (at + 2).min(self.bytes.len()),
                    b'\'' if self.at(at + 1) == b'\'' => at += 2,
                    b'\'' => break,
                    _ => at += 1,
                }
            }
            if at >= self.bytes.len() {
                return at;
            }
            at += 1;
            match self.continuation(at) {
                Some(next) if self.dialect == Dialect::Postgresql => at = next,
                _ => return at,
            }
        }
    }

    /// Where a string goes on after a quote, white space with a line break, and a further quote.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut line_break = false;
        loop {
            match self.at(at) {
                b'\n' | b'\r' => (at, line_break) = (at + 1, true),
                b' ' | b'\t' | 0x0b | 0x0c => at += 1,
                b'-' if self.at(at + 1) == b'-' => at = self.line_comment(at),
                b'\'' if line_break => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// PostgreSQL: `$1`, `$tag$ … $tag$`, or a lone `$`.
    fn dollar(&self, at: usize) -> (Kind, usize) {
        if self.at(at + 1).is_ascii_digit() {
            return (Kind::Parameter, self.while_true(at + 1, |b| b.is_ascii_digit()));
        }
        let tag = if is_word_start(self.at(at + 1)) {
            self.while_true(at + 1, |b| is_word_start(b) || b.is_ascii_digit())
        } else {
            at + 1
        };
        if self.at(tag) == b'$' {
            (Kind::Text, self.after(tag + 1, &self.bytes[at..=tag]))
        } else {
            (Kind::Other, at + 1)
        }
    }

    /// SQLite: `$name`, with `::` and one suffix in parentheses, as Tcl writes it.
    fn variable(&self, at: usize) -> (Kind, usize) {
        let (mut end, mut named) = (at + 1, false);
        while end < self.bytes.len() {
            match self.bytes[end] {
                b if is_word(b) => (end, named) = (end + 1, true),
                b'(' if named => {
                    end = self.while_true(end + 1, |b| b != b')' && !is_space(b) && b != 0);
                    end += usize::from(self.at(end) == b')');
                    break;
                }
                b':' if self.at(end + 1) == b':' => end += 2,
                _ => break,
            }
        }
        (if named { Kind::Parameter } else { Kind::Other }, end)
    }

    /// A word, or a string that has a letter before its quote.
    fn word(&self, at: usize) -> (Kind, usize) {
        let end = self.while_true(at, is_word);
        let postgres = self.dialect == Dialect::Postgresql;
        if end == at + 1 {
            match (self.at(at).to_ascii_lowercase(), self.at(end), self.at(end + 1)) {
                (b'e', b'\'', _) if postgres => return (Kind::Text, self.string(end + 1, true)),
                (b'b' | b'n' | b'x', b'\'', _) if postgres => return (Kind::Text, self.string(end + 1, false)),
                (b'u', b'&', b'\'') if postgres => return (Kind::Text, self.string(end + 2, false)),
                (b'u', b'&', b'"') if postgres => return (Kind::Name, self.quoted(end + 2, b'"')),
                (b'x', b'\'', _) => return (Kind::Text, self.after(end + 1, b"'")),
                _ => {}
            }
        }
        (Kind::Word, end)
    }

    /// A number ends before an `E` that no digits follow: what comes then may be `E'…'`.
    fn number(&self, at: usize) -> usize {
        let digits = |at| self.while_true(at, |b| b.is_ascii_digit());
        let prefix = self.at(at + 1).to_ascii_lowercase();
        if self.at(at) == b'0' && matches!(prefix, b'x' | b'o' | b'b') && self.at(at + 2).is_ascii_hexdigit() {
            return self.while_true(at + 2, |b| b.is_ascii_hexdigit());
        }
        let mut end = digits(at);
        if self.at(end) == b'.' {
            end = digits(end + 1);
        }
        if self.at(end).eq_ignore_ascii_case(&b'e') {
            let sign = usize::from(matches!(self.at(end + 1), b'+' | b'-'));
            if self.at(end + 1 + sign).is_ascii_digit() {
                end = digits(end + 1 + sign);
            }
        }
        end
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

fn is_word_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn is_word(b: u8) -> bool {
    is_word_start(b) || b.is_ascii_digit() || b == b'$'
}
