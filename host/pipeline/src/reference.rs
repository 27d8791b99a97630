//! References in strings: `${inputs.version}`. They are found in strings that TOML has already read, never in the text of
//! the file, so that a value can never end its string.

use std::ops::Range;

use crate::{fields::Located, report::Report};

/// A string that may hold references.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
    /// The string in the file, with its quotes.
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Literal(String),
    Reference(Reference),
}

#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// As written: `${inputs.version}`.
    pub(crate) written: String,
    pub(crate) to: Target,
    pub(crate) span: Range<usize>,
}

/// What a reference can point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Input(String),
    PreviousInput(String),
    Run(RunWord),
    EachKey,
    EachValue,
    Output { step: String, key: String },
}

/// What `${run.…}` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunWord {
    Id,
    Started,
    Environment,
    Pipeline,
    /// Known to notifications alone.
    Outcome,
    /// Known to notifications alone.
    Reason,
}

const RUN_WORDS: [(&str, RunWord); 6] = [
    ("id", RunWord::Id),
    ("started", RunWord::Started),
    ("environment", RunWord::Environment),
    ("pipeline", RunWord::Pipeline),
    ("outcome", RunWord::Outcome),
    ("reason", RunWord::Reason),
];

impl Template {
    /// Finds the references of a string. What is not one is reported.
    pub(crate) fn read(report: &Report, text: &Located<String>) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.value.as_str();
        let mut sound = true;
        let mut places = Places::new(report, &text.span);
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
                continue;
            }
            if !rest.starts_with("${") {
                literal.push('$');
                rest = &rest[1..];
                continue;
            }
            let Some(length) = length(rest) else {
                let hint = "close it with `}`, or write `$${` for the two characters themselves";
                report.advise("reference-syntax", "a reference has no end", text.span.clone(), hint);
                return None;
            };
            let written = &rest[..length];
            let span = places.next(written);
            match target(report, written, &span) {
                Some(to) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Reference(Reference { written: written.to_owned(), to, span }));
                }
                None => sound = false,
            }
            rest = &rest[length..];
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        sound.then_some(Self { pieces, span: text.span.clone() })
    }

    /// The text, where it holds no reference.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Reads a string in which nothing is resolved, and says so where somebody hopes it is.
pub(crate) fn without_references(report: &Report, text: Located<String>) -> Option<Located<String>> {
    if text.value.contains("${") {
        report.error("reference-not-here", "references are not resolved here", text.span, "");
        return None;
    }
    Some(text)
}

/// Bytes of the reference that `text` begins with, or nothing where it has no end.
fn length(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Where the references of a string stand in the file, as far as the string is written plainly.
struct Places<'r> {
    source: &'r str,
    whole: Range<usize>,
    from: usize,
}

impl<'r> Places<'r> {
    fn new(report: &'r Report, span: &Range<usize>) -> Self {
        Self { source: report.source(span), whole: span.clone(), from: 0 }
    }

    fn next(&mut self, written: &str) -> Range<usize> {
        match self.source.get(self.from..).and_then(|rest| rest.find(written)) {
            Some(at) => {
                let start = self.whole.start + self.from + at;
                self.from += at + written.len();
                start..start + written.len()
            }
            None => self.whole.clone(),
        }
    }
}

/// Takes `${…}` apart.
fn target(report: &Report, written: &str, span: &Range<usize>) -> Option<Target> {
    let inner = written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let Some(words) = words(inner) else {
        let hint = "words joined by dots, as in `${inputs.version}`; a name with spaces stands in quotes: \
                    `${steps.\"take backup\".outputs.id}`";
        report.advise("reference-syntax", format!("`{written}` is not a reference"), span.clone(), hint);
        return None;
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inputs", name] => Some(Target::Input((*name).to_owned())),
        ["previous", "inputs", name] => Some(Target::PreviousInput((*name).to_owned())),
        ["each", "key"] => Some(Target::EachKey),
        ["each", "value"] => Some(Target::EachValue),
        ["steps", step, "outputs", key] => Some(Target::Output { step: (*step).to_owned(), key: (*key).to_owned() }),
        ["run", word] => match RUN_WORDS.iter().find(|(known, _)| known == word) {
            Some((_, word)) => Some(Target::Run(*word)),
            None => {
                let known = RUN_WORDS.iter().map(|(known, _)| *known);
                report.unknown("unknown-reference", format!("a run has no `{word}`"), word, known, span.clone());
                None
            }
        },
        [root, ..] => {
            let message = format!("`{written}` refers to nothing");
            let shapes = [
                ("inputs", "${inputs.NAME}"),
                ("previous", "${previous.inputs.NAME}"),
                ("each", "${each.key}` or `${each.value}"),
                ("steps", "${steps.\"NAME\".outputs.KEY}"),
                ("run", "${run.id}"),
            ];
            match shapes.iter().find(|(name, _)| name == root) {
                Some((_, shape)) => {
                    report.advise("unknown-reference", message, span.clone(), format!("it is written `{shape}`"));
                }
                None => {
                    let known = shapes.iter().map(|(name, _)| *name);
                    report.unknown("unknown-reference", message, root, known, span.clone());
                }
            }
            None
        }
        [] => None,
    }
}

/// `steps."a b".outputs.x` as its words.
fn words(inner: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = inner;
    loop {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        if word.is_empty() {
            return None;
        }
        words.push(word.to_owned());
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(words),
        }
    }
}
