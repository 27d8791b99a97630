//! Text that goes to a terminal or a log, and did not come from us.

/// Control characters, and those that reorder or hide the text around them: a line with one of them can look like another.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
