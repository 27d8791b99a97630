//! The words of a message: placeholders in braces, filled in here. `{{` is a brace.

use pipe_sdk::notify::News;
use pipe_sdk::{Context, Failure};

/// What a message says where the settings do not say it.
pub(crate) const DEFAULT: &str = "{pipeline} ({environment}) {status}: {headline}\nrun {run}";

/// How an event reads.
pub(crate) fn status(event: &str) -> &str {
    match event {
        "step-failed" => "step failed",
        "rollback-started" => "rolling back",
        "rolled-back" => "rolled back",
        "rollback-failed" => "rollback failed",
        "step" => "in progress",
        other => other,
    }
}

/// Fills in a template. Every value that is filled in passes `escape`; the template itself does not.
pub(crate) fn render(
    template: &str,
    context: &Context,
    news: &News,
    escape: fn(&str) -> String,
) -> Result<String, Failure> {
    fill(template, |word| {
        let value = match word {
            "headline" => news.headline.as_str(),
            "event" => &news.event,
            "status" => status(&news.event),
            "pipeline" => &context.pipeline,
            "environment" => &context.environment,
            "run" => &context.run_id,
            "step" => &context.step,
            _ => return None,
        };
        Some(escape(value))
    })
}

/// Whether a template has only placeholders that there are.
pub(crate) fn validate(template: &str) -> Result<(), Failure> {
    const WORDS: [&str; 7] = ["headline", "event", "status", "pipeline", "environment", "run", "step"];
    fill(template, |word| WORDS.contains(&word).then(String::new)).map(drop)
}

fn fill(template: &str, value_of: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        text.push_str(&rest[..start]);
        let brace = &rest[start..=start];
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
        } else if brace == "}" {
            text.push('}');
        } else {
            let end = rest.find('}').ok_or_else(|| Failure::settings("a `{` without `}`; `{{` is a brace"))?;
            let word = &rest[..end];
            let unknown = || Failure::settings(format!("`{{{word}}}` is no placeholder; `{{{{` is a brace"));
            text.push_str(&value_of(word).ok_or_else(unknown)?);
            rest = &rest[end + 1..];
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// One line without control characters, so that a value cannot pass for another entry.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// As it is.
pub(crate) fn plain(text: &str) -> String {
    text.to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn context() -> Context {
        Context {
            run_id: "20261123020512-abcdef".into(),
            pipeline: "hms".into(),
            environment: "production".into(),
            step: "tell".into(),
            instance: None,
            attempt: 1,
            idempotency_key: "key".into(),
            deadline_unix_ms: 0,
            started_unix_ms: 0,
            settings: "{}".into(),
        }
    }

    pub(crate) fn news(event: &str, headline: &str) -> News {
        News { event: event.into(), headline: headline.into(), steps: Vec::new() }
    }

    #[test]
    fn placeholders_are_filled_in() {
        let render = |template| render(template, &context(), &news("rolled-back", "error rate 3% > 1%"), plain);
        assert_eq!(
            render(DEFAULT).expect("a template"),
            "hms (production) rolled back: error rate 3% > 1%\nrun 20261123020512-abcdef"
        );
        assert_eq!(render("{{a}} {event} }").expect("a template"), "{a} rolled-back }");
        for wrong in ["{nothing}", "{", "{}", "a {run"] {
            assert!(render(wrong).is_err() && validate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\n- Deployment ID: b\r\n\u{1b}[0m"), "a - Deployment ID: b [0m");
    }
}
