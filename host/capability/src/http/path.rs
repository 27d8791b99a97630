//! The path of an HTTP rule.

use super::encoding;
use crate::{pattern::Glob, rule::RuleError};

/// The most spellings that the alternatives of one segment may add up to.
const MOST_VARIANTS: usize = 64;

/// A path with patterns, taken apart.
///
/// `*` is any run of characters within a segment, `{a,b}` alternatives within one, `**` as the last segment the rest, which
/// may be nothing. An empty segment is matched by nothing but an empty one and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    segments: Vec<Segment>,
    rest: bool,
}

/// The variants of a segment. It matches where one of them does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment(Vec<Glob>);

impl PathPattern {
    /// Reads a path that begins with `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, RuleError> {
        let mut pattern = Self { segments: Vec::new(), rest: false };
        let mut at = 1;
        let mut segments = text.strip_prefix('/').unwrap_or_default().split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            if segment == "**" {
                if !last {
                    return Err(RuleError::new("`**` is not the last segment")
                        .at(at..at + 2)
                        .with_hint("one segment is `*`"));
                }
                pattern.rest = true;
            } else if segment.is_empty() && !last {
                return Err(RuleError::new("an empty segment").at(at - 1..at + 1).with_hint("one slash"));
            } else {
                let parsed = if last { Segment::parse(segment) } else { Segment::parse_inner(segment) };
                pattern.segments.push(parsed.map_err(|error| error.shifted(at))?);
            }
            at += segment.len() + 1;
        }
        Ok(pattern)
    }

    /// Whether it ends in `**`.
    pub(super) const fn has_rest(&self) -> bool {
        self.rest
    }

    /// Whether it matches a path in its one spelling.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        for segment in &self.segments {
            if !parts.next().is_some_and(|part| segment.matches(part)) {
                return false;
            }
        }
        self.rest || parts.next().is_none()
    }

    /// Whether it matches every path there is.
    pub(crate) const fn is_everything(&self) -> bool {
        self.rest && self.segments.is_empty()
    }

    /// Whether it matches every path that `other` does. A segment of `other` is held against one segment here, and each of
    /// its alternatives against one alternative: `{a*,b*}` is not seen to include what only both together do.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let deep_enough = if self.rest {
            other.segments.len() >= self.segments.len()
        } else {
            !other.rest && other.segments.len() == self.segments.len()
        };
        deep_enough && self.segments.iter().zip(&other.segments).all(|(segment, other)| segment.includes(other))
    }
}

impl Segment {
    fn includes(&self, other: &Self) -> bool {
        let includes = |variant: &Glob, other: &Glob| {
            // No `*` takes the empty segment.
            (other.literal() != Some("") || variant.literal() == Some(""))
                && variant.includes(other, encoding::is_boundary)
        };
        other.0.iter().all(|other| self.0.iter().any(|variant| includes(variant, other)))
    }

    fn matches(&self, part: &str) -> bool {
        self.0.iter().any(|variant| {
            (!part.is_empty() || variant.literal() == Some("")) && variant.matches(part, encoding::is_boundary)
        })
    }

    /// Reads a segment that another one follows.
    fn parse_inner(text: &str) -> Result<Self, RuleError> {
        Self::parse(text).map_err(|error| {
            let at_end = error.span.as_ref().is_some_and(|span| span.end == text.len());
            if at_end && text.ends_with('\\') {
                return RuleError::new("a value in a path holds `/`")
                    .at(text.len() - 1..text.len() + 1)
                    .with_hint("a value fills one segment or a part of it");
            }
            error
        })
    }

    fn parse(text: &str) -> Result<Self, RuleError> {
        let mut building = Building::default();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            at += building.take(text, at, c)?;
        }
        let variants = building.finish()?;
        let whole = |what: &str| RuleError::new(format!("the path holds {what}")).at(0..text.len());
        for variant in &variants {
            for piece in variant.pieces() {
                encoding::check_piece(piece).map_err(whole)?;
            }
            if let Some(literal) = variant.literal() {
                encoding::check_segment(literal).map_err(whole)?;
            }
        }
        Ok(Self(variants))
    }
}

/// A segment that is being read.
#[derive(Default)]
struct Building {
    /// What stands before the open brace, in all its variants. Empty: nothing yet.
    before: Vec<Glob>,
    /// Where the brace was opened, and the alternatives that are complete.
    open: Option<(usize, Vec<Glob>)>,
    /// What stands after it, or after the last comma.
    current: Glob,
}

impl Building {
    /// Takes the character at `at`, with what belongs to it, and returns how many bytes that was.
    fn take(&mut self, text: &str, at: usize, c: char) -> Result<usize, RuleError> {
        let here = at..at + c.len_utf8();
        match c {
            '*' if text[at + 1..].starts_with('*') => {
                return Err(RuleError::new("`**` is not a whole segment")
                    .at(at..at + 2)
                    .with_hint("within a segment `*` stands for any characters; `/**` for the rest of the path"));
            }
            '*' => self.current.star(),
            '{' => self.open_brace(here)?,
            ',' if self.open.is_some() => self.next_alternative(),
            '}' => self.close_brace(here)?,
            '%' => {
                encoding::push_decoded(self.current.tail(), &text[at..]).map_err(|error| error.shifted(at))?;
                return Ok(3);
            }
            '\\' => return self.escape(text, at),
            '?' => {
                return Err(RuleError::new("a rule says nothing about the query")
                    .at(at..text.len())
                    .with_hint("leave it out: whatever the query, the path decides"));
            }
            '#' => return Err(RuleError::new("a fragment is never sent").at(at..text.len())),
            ' ' => return Err(RuleError::new("a space in the path").at(here).with_hint("`%20`")),
            c if c.is_control() => return Err(RuleError::new("a control character in the path").at(here)),
            c => encoding::push(self.current.tail(), c),
        }
        Ok(c.len_utf8())
    }

    fn escape(&mut self, text: &str, at: usize) -> Result<usize, RuleError> {
        match text[at + 1..].chars().next() {
            Some(next) if !next.is_ascii_alphanumeric() && !next.is_control() && next != '\\' => {
                // The escaped slash ended the segment before this was read.
                encoding::push(self.current.tail(), next);
                Ok(1 + next.len_utf8())
            }
            next => Err(RuleError::new("the backslash has nothing to escape")
                .at(at..at + 1 + next.map_or(0, char::len_utf8))
                .with_hint("`\\*` is a star, `\\{` a brace; a path holds no backslash")),
        }
    }

    fn open_brace(&mut self, here: std::ops::Range<usize>) -> Result<(), RuleError> {
        if self.open.is_some() {
            return Err(RuleError::new("alternatives within alternatives").at(here));
        }
        self.flush()?;
        self.open = Some((here.start, Vec::new()));
        Ok(())
    }

    fn next_alternative(&mut self) {
        let complete = std::mem::take(&mut self.current);
        if let Some((_, alternatives)) = &mut self.open {
            alternatives.push(complete);
        }
    }

    fn close_brace(&mut self, here: std::ops::Range<usize>) -> Result<(), RuleError> {
        self.next_alternative();
        let Some((start, alternatives)) = self.open.take() else {
            return Err(RuleError::new("`}` closes nothing")
                .at(here)
                .with_hint("the character itself is written `\\}`"));
        };
        let whole = start..here.end;
        if alternatives.len() < 2 {
            return Err(RuleError::new("braces with fewer than two alternatives").at(whole).with_hint(
                "alternatives are written `{a,b}`, references `${inputs.a}`, braces themselves `\\{` and `\\}`",
            ));
        }
        self.multiply(&alternatives).map_err(|error| error.at(whole))
    }

    /// Adds what was read since the last brace to all variants.
    fn flush(&mut self) -> Result<(), RuleError> {
        let current = std::mem::take(&mut self.current);
        self.multiply(&[current])
    }

    fn multiply(&mut self, tails: &[Glob]) -> Result<(), RuleError> {
        if self.before.is_empty() {
            self.before.push(Glob::default());
        }
        if self.before.len() * tails.len() > MOST_VARIANTS {
            return Err(RuleError::new(format!(
                "the alternatives of this segment add up to more than {MOST_VARIANTS}"
            )));
        }
        self.before = self.before.iter().flat_map(|head| tails.iter().map(|tail| head.then(tail))).collect();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Glob>, RuleError> {
        if let Some((start, _)) = self.open {
            return Err(RuleError::new("`{` is not closed within its segment")
                .at(start..start + 1)
                .with_hint("alternatives hold no `/`: write a rule for each path"));
        }
        self.flush()?;
        Ok(self.before)
    }
}

#[cfg(test)]
mod tests;
