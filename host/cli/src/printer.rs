//! Everything that is printed goes through here: results to stdout, talk to stderr, colour where it is wanted.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use pipe_core::{diagnostic::Diagnostic, text::is_unprintable};

use crate::{
    arguments::{Colour, Format, OutputOptions},
    diagnostics,
    failure::Failure,
};

/// For what went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what wants a look.
pub(crate) const CAREFUL: Style = AnsiColor::Yellow.on_default().bold();
/// For advice.
pub(crate) const ADVICE: Style = AnsiColor::Cyan.on_default().bold();
/// For what is said in passing.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// For names.
pub(crate) const STRONG: Style = Style::new().bold();

/// `text` in a style. Styles are stripped where colour is not wanted.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether a person sits at both ends: what is said is seen, and an answer could be typed.
pub(crate) fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether a result could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether results were lost: then a command that did what it was asked has still not told of it.
pub(crate) fn results_were_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// A reader that has gone away wants no more. Anything else is a loss.
fn note_loss(written: std::io::Result<()>) {
    if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// Writes for people and for programs.
#[derive(Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
    colour: ColorChoice,
}

impl Printer {
    pub(crate) fn new(options: &OutputOptions) -> Self {
        let colour = match options.color {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::AlwaysAnsi,
            Colour::Never => ColorChoice::Never,
        };
        Self { format: options.format, colour }
    }

    /// Whether results are for programs.
    pub(crate) fn json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether somebody looks at stderr while it is written.
    pub(crate) fn live(self) -> bool {
        !self.json()
            && std::io::stderr().is_terminal()
            && self.colour != ColorChoice::Never
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// A result, to stdout. A reader that has gone away is no error.
    pub(crate) fn result(self, text: &str) {
        note_loss(writeln!(AutoStream::new(std::io::stdout().lock(), self.colour), "{text}"));
    }

    /// A result byte for byte, to stdout: it will be signed.
    pub(crate) fn verbatim(self, text: &str) {
        note_loss(std::io::stdout().lock().write_all(text.as_bytes()));
    }

    /// A result as one line of JSON.
    pub(crate) fn value(self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => {
                note_loss(writeln!(std::io::stdout().lock(), "{}", harmless_json(line)));
            }
            Err(error) => self.error(&format!("cannot write the result as JSON: {error}"), None),
        }
    }

    /// Talk, to stderr.
    pub(crate) fn talk(self, text: &str) {
        let _ = writeln!(AutoStream::new(std::io::stderr().lock(), self.colour), "{text}");
    }

    /// An error with advice.
    pub(crate) fn error(self, message: &str, hint: Option<&str>) {
        self.talk(&format!("{}: {message}", styled(BAD, "error")));
        if let Some(hint) = hint {
            self.talk(&format!("{}: {hint}", styled(ADVICE, "hint")));
        }
    }

    /// A warning.
    pub(crate) fn warning(self, message: &str) {
        self.talk(&format!("{}: {message}", styled(CAREFUL, "warning")));
    }

    /// Why a command did not succeed. For programs, one JSON line each on stdout as well.
    pub(crate) fn failure(self, failure: &Failure) {
        match failure {
            Failure::Diagnostics(list) => self.diagnostics(list),
            Failure::Message { message, hint, .. } => {
                self.error(message, hint.as_deref());
                if self.json() {
                    self.value(&serde_json::json!({ "schema": "pipe.error/v1", "message": message, "hint": hint }));
                }
            }
        }
    }

    /// What is wrong with files that people wrote.
    pub(crate) fn diagnostics(self, list: &[Diagnostic]) {
        for diagnostic in list {
            self.talk(diagnostics::render(diagnostic).trim_end());
            self.talk("");
            if self.json() {
                self.value(&diagnostics::as_json(diagnostic));
            }
        }
    }
}

/// JSON that a terminal shows as it is. JSON itself escapes only half of what a terminal may act upon, and all of it can
/// stand in strings alone.
pub(crate) fn harmless_json(json: String) -> String {
    // A line's end that JSON has not escaped is one between values.
    let harmful = |c: char| c != '\n' && is_unprintable(c);
    if !json.contains(harmful) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if harmful(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Vendor text, and everything else that did not come from us, as one line that no reader acts upon.
pub(crate) fn visible(text: &str) -> String {
    if !text.contains(is_unprintable) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if is_unprintable(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// `1 error`, `3 errors`.
pub(crate) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
