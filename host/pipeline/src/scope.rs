//! What references stand for, and where they may stand.

use std::collections::BTreeMap;

use pipe_core::diagnostic::Diagnostic;

use crate::{
    document::shortened,
    reference::{Piece, Reference, RunWord, Target, Template},
    report::Report,
};

/// What the references of one step, peer or secret stand for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) report: &'a Report,
    /// Nothing for an input that has no value; that has been reported.
    pub(crate) inputs: &'a BTreeMap<String, Option<String>>,
    pub(crate) previous: &'a BTreeMap<String, String>,
    pub(crate) run: &'a RunValues,
    pub(crate) each: Option<Each<'a>>,
}

/// One entry of the set that a step is repeated over.
#[derive(Clone, Copy)]
pub(crate) struct Each<'a> {
    pub(crate) set: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

/// What `${run.…}` stands for.
pub(crate) struct RunValues {
    pub(crate) id: String,
    pub(crate) started: String,
    pub(crate) environment: String,
    pub(crate) pipeline: String,
}

/// What a value becomes part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name or text.
    Plain,
    /// A path, or a URL: the value may not choose how deep it leads.
    Path,
    /// The same, where some characters part a URL.
    Url,
    /// The same, where some characters are patterns.
    PathPattern,
    /// A pattern for one argument.
    Argument,
    /// An address of mail: the value may choose neither where it ends nor that it is a pattern.
    Address,
}

impl Scope<'_> {
    /// The text of a template in `allow`, `peers` or `secrets`. Nothing, and a report, if it is not known before the run.
    pub(crate) fn fixed(&self, template: &Template, place: Place) -> Option<String> {
        let mut text = String::new();
        let mut sound = true;
        for piece in &template.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Reference(reference) => match self.granted(reference, place, text.is_empty()) {
                    Some(value) if matches!(place, Place::PathPattern | Place::Argument) => {
                        text.push_str(&pipe_capability::pattern::escape(&value));
                    }
                    Some(value) => text.push_str(&value),
                    None => sound = false,
                },
            }
        }
        sound.then_some(text)
    }

    fn granted(&self, reference: &Reference, place: Place, first: bool) -> Option<String> {
        let known_before = match reference.to {
            Target::Input(_) | Target::EachKey | Target::EachValue => true,
            Target::Run(word) => !matches!(word, RunWord::Outcome | RunWord::Reason),
            Target::PreviousInput(_) | Target::Output { .. } => false,
        };
        if !known_before {
            let hint = "`allow`, `peers` and `secrets` take `${inputs…}`, `${run…}` and `${each…}`";
            let message = "what a step may do can never depend on what a plugin said";
            self.report.advise("grant-reference", message, reference.span.clone(), hint);
            return None;
        }
        let value = self.value(reference)?;
        match refused(&value, place, first) {
            None => Some(value),
            Some(why) => {
                let message = format!("`{}` is `{}` here, and {why}", reference.written, shortened(&value));
                self.report.error("reference-value", message, reference.span.clone(), "");
                None
            }
        }
    }

    /// What a reference stands for before the run. Outputs and outcomes are for the caller.
    pub(crate) fn value(&self, reference: &Reference) -> Option<String> {
        match &reference.to {
            Target::Input(name) => match self.inputs.get(name) {
                Some(value) => value.clone(),
                None => {
                    let known = self.inputs.keys().map(String::as_str);
                    let message = format!("there is no input `{name}`");
                    self.report.unknown("unknown-reference", message, name, known, reference.span.clone());
                    None
                }
            },
            Target::PreviousInput(name) => self.previous_input(name, reference),
            Target::Run(RunWord::Id) => Some(self.run.id.clone()),
            Target::Run(RunWord::Started) => Some(self.run.started.clone()),
            Target::Run(RunWord::Environment) => Some(self.run.environment.clone()),
            Target::Run(RunWord::Pipeline) => Some(self.run.pipeline.clone()),
            Target::EachKey => self.each(reference).map(|each| each.key.to_owned()),
            Target::EachValue => self.each(reference).map(|each| each.value.to_owned()),
            Target::Run(RunWord::Outcome | RunWord::Reason) | Target::Output { .. } => None,
        }
    }

    fn each(&self, reference: &Reference) -> Option<Each<'_>> {
        if self.each.is_none() {
            let message = format!("`{}` means nothing here", reference.written);
            let hint = "it has a value in steps with `for_each = { in = \"…\" }`";
            self.report.advise("unknown-reference", message, reference.span.clone(), hint);
        }
        self.each
    }

    fn previous_input(&self, name: &str, reference: &Reference) -> Option<String> {
        if let Some(value) = self.previous.get(name) {
            return Some(value.clone());
        }
        if self.inputs.contains_key(name) {
            let message = format!("no earlier run here has succeeded with an input `{name}`");
            let diagnostic = Diagnostic::error("missing-previous", message);
            let diagnostic = diagnostic.at(self.report.file(), reference.span.clone(), "");
            self.report.push(diagnostic.hint(format!("say what it was: `--previous {name}=…`")));
        } else {
            let known = self.inputs.keys().map(String::as_str);
            let message = format!("there is no input `{name}`");
            self.report.unknown("unknown-reference", message, name, known, reference.span.clone());
        }
        None
    }
}

/// Why `value` may not stand in this place.
fn refused(value: &str, place: Place, first: bool) -> Option<&'static str> {
    if value.contains(char::is_control) {
        return Some("control characters may not come from a reference");
    }
    match place {
        Place::Plain => None,
        Place::Url if value.contains(|c: char| c.is_whitespace() || "@?#\\%".contains(c)) => {
            Some("in a URL a reference may not hold what parts it")
        }
        Place::Path | Place::Url | Place::PathPattern => {
            // An empty value, or `.`, would grant the directory above.
            let wrong = value.is_empty() || value == "." || value.contains('/') || value.contains("..");
            wrong.then_some("in a path or URL a reference may be neither empty nor `.`, and hold neither `/` nor `..`")
        }
        Place::Address => (value.is_empty() || value.contains(['@', '*']))
            .then_some("in an address a reference may be neither empty nor hold `@` or `*`"),
        Place::Argument => {
            (first && value.starts_with('-')).then_some("a reference may not turn an argument into an option")
        }
    }
}
