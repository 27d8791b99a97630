//! Text that goes to a terminal or a log, and did not come from us.

use std::borrow::Cow;

/// Control characters, and those that reorder or hide the text around them: a line with one of them can look like another.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text as one word of a POSIX shell, for commands that a person is shown and may paste.
#[must_use]
pub fn in_shell(text: &str) -> Cow<'_, str> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '%' | ',' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        for text in [
            "",
            "plain/path-1.toml",
            "a b",
            "it's",
            "$(rm -rf /)",
            "`x`",
            "a\nb",
            "\"",
            "~",
            "*",
            "ä",
            "!",
            "a\\b",
            "''",
        ] {
            let read = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", in_shell(text))]).output();
            assert_eq!(String::from_utf8(read.unwrap().stdout).unwrap(), text, "{}", in_shell(text));
        }
        assert_eq!(in_shell("plain/path-1.toml"), "plain/path-1.toml");
    }
}
