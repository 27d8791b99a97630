//! Texts in which `*` stands for any run of characters, and how a value is kept from being one.

/// Escapes everything that means something in a pattern, so that a value which is put into one is literal whatever it holds.
///
/// For `http` rules and the arguments of `exec` rules; the other rules know no patterns. In an `http` rule a value that
/// holds `/` is refused when the rule is parsed, escaped or not: it must not choose how deep a path goes.
#[must_use]
pub fn escape(value: &str) -> String {
    escaped(value, |c| "\\*{},|/:%?#$@[] ".contains(c))
}

/// `value` with a backslash before each character that `special` names.
pub(crate) fn escaped(value: &str, special: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if special(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The literal texts between the `*` of a pattern, in order. One piece: no `*` at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pieces: Vec<String>,
}

impl Default for Glob {
    /// Matches the empty text.
    fn default() -> Self {
        Self { pieces: vec![String::new()] }
    }
}

impl Glob {
    /// The last literal text, to be added to.
    pub(crate) fn tail(&mut self) -> &mut String {
        if self.pieces.is_empty() {
            self.pieces.push(String::new());
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// Adds a `*`.
    pub(crate) fn star(&mut self) {
        self.pieces.push(String::new());
    }

    /// `self`, then `other`.
    pub(crate) fn then(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for (index, piece) in other.pieces.iter().enumerate() {
            if index > 0 {
                joined.star();
            }
            joined.tail().push_str(piece);
        }
        joined
    }

    /// The whole text, where it holds no `*`.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether it begins with a `*`.
    pub(crate) fn begins_with_star(&self) -> bool {
        self.pieces.len() > 1 && self.pieces[0].is_empty()
    }

    /// The literal texts.
    pub(crate) fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// Whether it matches every text that `other` does. `boundary` is that of [`Self::matches`].
    ///
    /// Exact but for alphabets: a `*` of `other` is tried as a character that no literal text holds, which only a `*` takes.
    pub(crate) fn includes(&self, other: &Self, boundary: impl Fn(&str) -> bool) -> bool {
        // No pattern holds a NUL: paths and arguments refuse it.
        self.matches(&other.pieces.join("\0"), boundary)
    }

    /// Whether it matches `text`. A literal text may begin only where `boundary` of what stands before it holds.
    ///
    /// Linear but for literal texts that begin off a boundary. Allocates nothing.
    pub(crate) fn matches(&self, text: &str, boundary: impl Fn(&str) -> bool) -> bool {
        let (first, middle, last) = match self.pieces.as_slice() {
            [] => return false,
            [only] => return only == text,
            [first, middle @ .., last] => (first, middle, last),
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        if !last.is_empty() && !boundary(rest) {
            return false;
        }
        for piece in middle {
            // The leftmost place is as good as any: what follows only gets more room.
            let Some(at) = find(rest, piece, &boundary) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

/// The leftmost place of `piece` in `text` that begins on a boundary.
fn find(text: &str, piece: &str, boundary: impl Fn(&str) -> bool) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(piece)?;
        if boundary(&text[..at]) {
            return Some(at);
        }
        from = at + text[at..].chars().next()?.len_utf8();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        let mut glob = Glob::default();
        for (index, piece) in text.split('*').enumerate() {
            if index > 0 {
                glob.star();
            }
            glob.tail().push_str(piece);
        }
        glob
    }

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "aa", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*b*c", "abbbbc", true),
            ("*ab*", "aab", true),
            ("a**b", "ab", true),
            ("ä*", "äö", true),
        ] {
            assert_eq!(glob(pattern).matches(text, |_| true), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_follows_another() {
        assert_eq!(glob("a*").then(&glob("b*c")), glob("a*b*c"));
        assert_eq!(glob("").then(&glob("*")), glob("*"));
    }

    /// The definition, without any cleverness.
    fn slow(pattern: &[&str], text: &[&str]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (["*", rest @ ..], _) => slow(rest, text) || (!text.is_empty() && slow(pattern, &text[1..])),
            ([p, pattern @ ..], [t, text @ ..]) if p == t => slow(pattern, text),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_included_is_matched(
            wide in proptest::collection::vec(proptest::sample::select(&["a", "2", "%22", "*"][..]), 0..6),
            narrow in proptest::collection::vec(proptest::sample::select(&["a", "2", "%22", "*"][..]), 0..6),
            text in proptest::collection::vec(proptest::sample::select(&["a", "2", "%22", "b"][..]), 0..8),
        ) {
            let boundary = |before: &str| !before.ends_with('%') && !before.ends_with("%2");
            let (wide, narrow, text) = (glob(&wide.concat()), glob(&narrow.concat()), text.concat());
            proptest::prop_assert!(narrow.includes(&narrow, boundary));
            if wide.includes(&narrow, boundary) {
                proptest::prop_assert!(!narrow.matches(&text, boundary) || wide.matches(&text, boundary));
            }
        }

        #[test]
        fn agrees_with_the_definition(
            pattern in proptest::collection::vec(proptest::sample::select(&["a", "2", "%22", "*"][..]), 0..7),
            text in proptest::collection::vec(proptest::sample::select(&["a", "2", "%22"][..]), 0..9),
        ) {
            // Within an encoded byte there is no boundary.
            let boundary = |before: &str| !before.ends_with('%') && !before.ends_with("%2");
            proptest::prop_assert_eq!(glob(&pattern.concat()).matches(&text.concat(), boundary), slow(&pattern, &text));
        }
    }
}
