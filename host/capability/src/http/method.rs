//! Methods of HTTP requests.

use std::fmt;

use crate::rule::RuleError;

/// A method that can be granted. TRACE and CONNECT cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads without a body.
    Head,
    /// Acts.
    Post,
    /// Stores.
    Put,
    /// Changes.
    Patch,
    /// Deletes.
    Delete,
    /// Asks what is possible. Not part of `*`.
    Options,
}

impl Method {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 7] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// As it stands in a request: `GET`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether a request with it is meant to change nothing.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }

    /// The method of this very name. Methods are case-sensitive.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// Why a request with a method of this name cannot be granted.
    pub(super) fn refusal(name: &str) -> String {
        match name {
            "TRACE" | "CONNECT" => format!("{name} is never sent"),
            _ if Self::named(&name.to_ascii_uppercase()).is_some() => "methods are written in capitals".to_owned(),
            _ => "the method is not one that can be granted".to_owned(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of methods: `GET|POST`, or `*` for GET, HEAD, POST, PUT, PATCH and DELETE.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Methods(u8);

impl Methods {
    /// What `*` stands for.
    pub const STAR: Self = Self(0b011_1111);

    /// GET and HEAD.
    pub const READING: Self = Self(0b000_0011);

    /// Whether the set holds a method.
    #[must_use]
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u8) != 0
    }

    /// What both sets hold; nothing where that is no method at all.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        Some(Self(self.0 & other.0)).filter(|set| set.0 != 0)
    }

    /// Whether the set holds every method of the other.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The methods, in the order of [`Method::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL.into_iter().filter(move |method| self.contains(*method))
    }

    /// Reads `*`, or methods with `|` between them.
    ///
    /// # Errors
    ///
    /// No method, an unknown one, the same one twice, or `*` among others.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text == "*" {
            return Ok(Self::STAR);
        }
        let mut set = Self(0);
        let mut at = 0;
        for name in text.split('|') {
            let span = at..at + name.len();
            at = span.end + 1;
            let Some(method) = Method::named(name) else { return Err(unknown(name).at(span)) };
            if set.contains(method) {
                return Err(RuleError::new(format!("{method} stands here twice")).at(span));
            }
            set.0 |= 1 << method as u8;
        }
        Ok(set)
    }
}

fn unknown(name: &str) -> RuleError {
    let upper = name.to_ascii_uppercase();
    match name {
        "" => RuleError::new("a method is missing").with_hint("as in `GET|POST`"),
        "*" => {
            RuleError::new("`*` stands for several methods already").with_hint("leave the others out, or leave it out")
        }
        "TRACE" | "CONNECT" => RuleError::new(format!("{name} cannot be granted")),
        _ if Method::named(&upper).is_some() => RuleError::new(format!("`{name}` is not a method"))
            .with_hint(format!("methods are written in capitals: `{upper}`")),
        _ => RuleError::new(format!("`{name}` is not a method"))
            .with_hint("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; `*` for all but the last"),
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::STAR {
            return f.write_str("*");
        }
        for (index, method) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Methods({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_star_is_six_methods() {
        let star = Methods::parse("*").unwrap();
        assert_eq!(
            star.iter().map(Method::as_str).collect::<Vec<_>>(),
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        );
        assert!(!star.contains(Method::Options));
    }

    #[test]
    fn sets_are_what_they_name() {
        for text in ["*", "GET", "GET|POST", "OPTIONS", "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS"] {
            assert_eq!(Methods::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Methods::parse("POST|GET"), Methods::parse("GET|POST"));
        assert_eq!(Methods::READING, Methods::parse("GET|HEAD").unwrap());
        for method in Method::ALL {
            let alone = Methods::parse(method.as_str()).unwrap();
            assert_eq!(alone.iter().collect::<Vec<_>>(), [method]);
        }
        for (text, span) in [
            ("", 0..0),
            ("get", 0..3),
            ("GET|", 4..4),
            ("|GET", 0..0),
            ("GET|GET", 4..7),
            ("GET|*", 4..5),
            ("TRACE", 0..5),
            ("GET|CONNECT", 4..11),
            ("GTE", 0..3),
            ("GET,POST", 0..8),
        ] {
            assert_eq!(Methods::parse(text).unwrap_err().span, Some(span), "{text}");
        }
    }
}
