//! Diagnostics, drawn for people and written for programs.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use pipe_core::diagnostic::{Diagnostic, Severity};
use serde_json::{Value, json};

use crate::printer::{ADVICE, BAD, CAREFUL, styled};

/// The lines around the place, with what is wrong beneath it and advice at the end.
pub(crate) fn render(diagnostic: &Diagnostic) -> String {
    if diagnostic.labels.is_empty() {
        return without_place(diagnostic);
    }
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    // The line would print what must not be printed.
    let secret = matches!(diagnostic.code, "secret-in-file" | "password-in-url");
    let labels = if secret { &[] } else { diagnostic.labels.as_slice() };
    let snippets = labels.iter().enumerate().map(|(index, label)| {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let mut annotation = kind.span(first_line(&label.file.text, &label.span));
        if !label.text.is_empty() {
            annotation = annotation.label(label.text.as_str());
        }
        let path = label.file.path.display().to_string();
        Snippet::source(label.file.text.as_str()).path(path).annotation(annotation)
    });
    let mut group = title.elements(snippets);
    for label in diagnostic.labels.iter().filter(|_| secret) {
        let (line, column) = label.file.position(label.span.start);
        group = group.element(Origin::path(label.file.path.display().to_string()).line(line).char_column(column));
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    Renderer::styled().render(&[group])
}

/// What is wrong with a file or a command line as a whole.
fn without_place(diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => styled(BAD, "error"),
        Severity::Warning => styled(CAREFUL, "warning"),
    };
    let mut lines = vec![format!("{level}: {}", diagnostic.message)];
    lines.extend(diagnostic.hints.iter().map(|hint| format!("{}: {hint}", styled(ADVICE, "hint"))));
    lines.join("\n")
}

/// The first line of a span: a step of a hundred lines is not shown whole.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    match text.get(start..end).and_then(|part| part.find('\n')) {
        Some(line) => start..start + line,
        None => start..end,
    }
}

/// One diagnostic for programs. Lines and columns count from 1.
pub(crate) fn as_json(diagnostic: &Diagnostic) -> Value {
    let places: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let (line, column) = label.file.position(label.span.start);
            let (end_line, end_column) = label.file.position(label.span.end);
            json!({
                "file": label.file.path, "line": line, "column": column,
                "end_line": end_line, "end_column": end_column, "text": label.text,
            })
        })
        .collect();
    json!({
        "schema": "pipe.diagnostic/v1",
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "code": diagnostic.code, "message": diagnostic.message, "places": places, "hints": diagnostic.hints,
    })
}
