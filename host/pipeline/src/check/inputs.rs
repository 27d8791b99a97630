//! The values of inputs: chosen, else their default.

use std::collections::BTreeMap;

use pipe_core::diagnostic::Diagnostic;

use crate::{
    document::{InputSpec, MAXIMUM_INPUT, Named, pattern, shortened},
    report::{Report, meant},
};

/// Every declared input. One without a value, or with a wrong one, is reported and has nothing.
pub(super) fn values(
    report: &Report,
    declared: &Named<InputSpec>,
    chosen: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let known: Vec<&str> = declared.keys().map(String::as_str).collect();
    for name in chosen.keys().filter(|name| !declared.contains_key(*name)) {
        let diagnostic = Diagnostic::error("unknown-input", format!("there is no input `{}`", shortened(name)));
        report.push(meant(name, &known).into_iter().fold(diagnostic, Diagnostic::hint));
    }
    declared
        .iter()
        .map(|(name, (span, spec))| {
            let value = match chosen.get(name).or(spec.default.as_ref()) {
                Some(value) => sound(report, name, spec, value).then(|| value.clone()),
                None => {
                    report.push(
                        Diagnostic::error("missing-input", format!("the input `{name}` has no value"))
                            .at(report.file(), span.clone(), "")
                            .hint(format!("`--set {name}=…`")),
                    );
                    None
                }
            };
            (name.clone(), value)
        })
        .collect()
}

fn sound(report: &Report, name: &str, spec: &InputSpec, value: &str) -> bool {
    if value.len() > MAXIMUM_INPUT {
        let message = format!("the value of the input `{name}` is longer than {MAXIMUM_INPUT} bytes");
        report.push(Diagnostic::error("too-large", message));
        return false;
    }
    let Some(text) = &spec.pattern else { return true };
    let matches = pattern(report, text).is_some_and(|pattern| pattern.is_match(value));
    if !matches {
        let message = format!("the input `{name}` is `{}`, which does not match its pattern", shortened(value));
        report.push(Diagnostic::error("input-pattern", message).at(report.file(), text.span.clone(), "this pattern"));
    }
    matches
}
