//! Writes HTML. What is not a literal of ours can only get in escaped.

use pipe_core::text::is_unprintable;

/// A page that is being written.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Markup of ours.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// Text from anywhere. Its direction ends with it, and what would act upon the text around it is shown as its code.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        // Most text is plain, and needs no fence.
        let plain = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
        self.raw(if plain { "" } else { "<bdi>" });
        for c in text.chars() {
            if is_unprintable(c) {
                self.0.push_str(&format!("<span class=\"odd\">U+{:04X}</span>", u32::from(c)));
            } else {
                self.character(c);
            }
        }
        self.raw(if plain { "" } else { "</bdi>" })
    }

    /// A sentence of ours, in which what stands between backquotes is shown as code.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                self.raw("<code>").text(part).raw("</code>");
            } else {
                self.text(part);
            }
        }
        self
    }

    /// The value of an attribute that stands in double quotes.
    pub(super) fn attribute(&mut self, text: &str) -> &mut Self {
        self.plain(text)
    }

    /// The title of the page, in which no markup can be.
    pub(super) fn title(&mut self, text: &str) -> &mut Self {
        self.plain(text)
    }

    /// A style sheet of ours.
    pub(super) fn style(&mut self, style: &str) -> &mut Self {
        debug_assert!(!style.contains("</"), "a style sheet ends where `</` begins");
        self.0.push_str(style);
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn plain(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            if is_unprintable(c) {
                self.0.push_str(&format!("U+{:04X}", u32::from(c)));
            } else {
                self.character(c);
            }
        }
        self
    }

    fn character(&mut self, c: char) {
        match c {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            c => self.0.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::default();
        write(&mut page);
        page.finish()
    }

    #[test]
    fn text_is_never_markup() {
        for (text, shown) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\"><img src=x onerror='a'>", "&quot;&gt;&lt;img src=x onerror=&#39;a&#39;&gt;"),
            ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
            ("a\u{202e}b", "<bdi>a<span class=\"odd\">U+202E</span>b</bdi>"),
            ("\u{1b}[2J", "<bdi><span class=\"odd\">U+001B</span>[2J</bdi>"),
            ("אבג", "<bdi>אבג</bdi>"),
        ] {
            assert_eq!(
                written(|page| {
                    page.text(text);
                }),
                shown
            );
        }
        assert_eq!(
            written(|page| {
                page.attribute("\" onload=\"x\n");
            }),
            "&quot; onload=&quot;xU+000A"
        );
    }

    #[test]
    fn prose_shows_what_is_quoted_as_code() {
        let shown = written(|page| {
            page.prose("the rule `<a>` is `b");
        });
        assert_eq!(shown, "the rule <code>&lt;a&gt;</code> is <code>b</code>");
    }

    proptest::proptest! {
        #[test]
        fn no_text_brings_a_tag_or_ends_an_attribute(text in proptest::arbitrary::any::<String>()) {
            let shown = written(|page| {
                page.text(&text);
            });
            let shown = shown.replace("<bdi>", "").replace("</bdi>", "").replace("<span class=\"odd\">", "").replace("</span>", "");
            proptest::prop_assert!(!shown.contains(['<', '>', '"', '\'']));
            let shown = written(|page| {
                page.attribute(&text);
            });
            proptest::prop_assert!(!shown.contains(['<', '>', '"', '\'']));
        }
    }
}
