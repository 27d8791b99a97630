//! Pages for people who decide: one file, no script, nothing from elsewhere, light and dark, and on paper.
//!
//! What is not a literal of ours can only get in escaped. The content security policy of a page allows its one style sheet, by
//! its hash, and nothing else at all.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pipe_core::{digest::Digest, text::is_unprintable};

/// How all of them look.
const BASE: &str = include_str!("page/base.css");

/// A whole page: `style` is what it adds to the look of all of them, `body` writes what stands in it.
pub(crate) fn document(title: &str, style: &str, body: impl FnOnce(&mut Page)) -> String {
    let style = format!("{BASE}{style}");
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Digest::of(style.as_bytes()).as_bytes())
    );
    let mut page = Page::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"")
        .attribute(&policy)
        .raw("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>")
        .title(title)
        .raw("</title>\n<style>")
        .style(&style)
        .raw("</style>\n</head>\n<body>\n");
    body(&mut page);
    page.raw("</body>\n</html>");
    page.finish()
}

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Markup of ours.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A number.
    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// Text from anywhere. Its direction ends with it, and what would act upon the text around it is shown as its code.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
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

    /// The same for text of several lines, which stay lines.
    pub(crate) fn text_lines(&mut self, text: &str) -> &mut Self {
        for (index, line) in text.lines().enumerate() {
            self.raw(if index == 0 { "" } else { "\n" }).text(line);
        }
        self
    }

    /// A sentence of ours, in which what stands between backquotes is shown as code.
    pub(crate) fn prose(&mut self, text: &str) -> &mut Self {
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
    pub(crate) fn attribute(&mut self, text: &str) -> &mut Self {
        self.plain(text)
    }

    /// The title of the page, in which no markup can be.
    fn title(&mut self, text: &str) -> &mut Self {
        self.plain(text)
    }

    /// A style sheet of ours.
    fn style(&mut self, style: &str) -> &mut Self {
        debug_assert!(!style.contains("</"), "a style sheet ends where `</` begins");
        self.0.push_str(style);
        self
    }

    fn finish(self) -> String {
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
