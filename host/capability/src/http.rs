//! `http`: requests, by method, peer or origin, and path.

mod encoding;
mod method;
mod path;
mod request;
mod target;

use std::fmt;

use ipnet::IpNet;

pub use self::{
    method::{Method, Methods},
    request::HttpRequest,
    target::{HttpTarget, Scheme},
};
pub(crate) use self::{path::PathPattern, target::authority};
use crate::{
    address,
    line::{self, Table},
    pattern::escaped,
    peer,
    rule::{InToml, RuleError, check_text},
};

/// Requests that may be sent: `"GET|POST k8s:/api/*/x/**"`, or `{ rule = "GET https://x/y", addresses = ["10.0.0.0/8"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    text: String,
    methods: Methods,
    target: HttpTarget,
    path: PathPattern,
    /// Networks whose private or special addresses the host may have. A peer has its own.
    pub addresses: Vec<IpNet>,
}

impl HttpRule {
    /// Reads `METHODS peer:/path` or `METHODS https://host[:port]/path`, with one space.
    ///
    /// # Errors
    ///
    /// A method that is unknown or never granted, a host that is a pattern or an odd form of an address, a path that no
    /// request can have, patterns where none are, a reference that nobody resolved.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        check_resolved(text)?;
        let Some((methods_text, rest)) = text.split_once(' ') else {
            let error = RuleError::new("the rule names no method").at(0..text.len());
            return Err(if text.contains(":/") {
                error.with_hint(format!("as in `GET {text}`"))
            } else {
                error.with_hint("as in `GET k8s:/version`")
            });
        };
        let methods = Methods::parse(methods_text)?;
        let start = methods_text.len() + 1;
        let (target, path_at) = target_of(rest).map_err(|error| error.shifted(start))?;
        let path = PathPattern::parse(&rest[path_at..]).map_err(|error| error.shifted(start + path_at))?;
        Ok(Self { text: text.to_owned(), methods, target, path, addresses: Vec::new() })
    }

    /// The rule with `addresses`, as a table of the pipeline file has them.
    ///
    /// # Errors
    ///
    /// The rule is about a peer, whose addresses stand with the peer.
    pub fn with_addresses(self, addresses: Vec<IpNet>) -> Result<Self, RuleError> {
        match &self.target {
            HttpTarget::Peer(name) if !addresses.is_empty() => {
                Err(RuleError::new(format!("the rule is about the peer `{name}`, which has addresses of its own"))
                    .of("addresses")
                    .with_hint(format!("write them in `[peers]`, as `addresses` of `{name}`")))
            }
            _ => Ok(Self { addresses, ..self }),
        }
    }

    /// The methods.
    #[must_use]
    pub const fn methods(&self) -> Methods {
        self.methods
    }

    /// Where the requests go.
    #[must_use]
    pub const fn target(&self) -> &HttpTarget {
        &self.target
    }

    /// Its path.
    pub(crate) const fn path(&self) -> &PathPattern {
        &self.path
    }

    /// Whether it covers a request.
    #[must_use]
    pub fn covers(&self, request: &HttpRequest) -> bool {
        self.methods.contains(request.method()) && self.covers_place(request)
    }

    /// Whether it covers a request but for its method.
    pub(crate) fn covers_place(&self, request: &HttpRequest) -> bool {
        self.target == *request.target() && self.path.matches(request.path())
    }

    /// Whether it covers every path from some place on: it ends in `**`.
    #[must_use]
    pub const fn covers_every_path(&self) -> bool {
        self.path.has_rest()
    }

    /// Whether it covers every request that `other` covers, and lets it go to every address that `other` does.
    ///
    /// Never wrongly true. False for what only several alternatives of a segment, or several networks, include together.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.methods.includes(other.methods) && self.includes_place(other)
    }

    /// The same, whatever the methods.
    pub(crate) fn includes_place(&self, other: &Self) -> bool {
        self.target == other.target
            && self.path.includes(&other.path)
            && address::includes(&self.addresses, &other.addresses)
    }

    /// The rule cut down to GET and HEAD; nothing where it has neither.
    #[must_use]
    pub fn reading(&self) -> Option<Self> {
        let methods = self.methods.common(Methods::READING)?;
        if methods == self.methods {
            return Some(self.clone());
        }
        let (_, rest) = self.text.split_once(' ')?;
        Some(Self { text: format!("{methods} {rest}"), methods, ..self.clone() })
    }

    /// The rule that covers this request, whatever its query, and no other.
    pub(crate) fn narrowest(request: &HttpRequest) -> Option<Self> {
        let path = escaped(request.path(), |c| c == '*');
        let rule = Self::parse(&format!("{} {}{path}", request.method(), request.target())).ok()?;
        Some(rule).filter(|rule| rule.covers(request))
    }
}

/// The target, and where the path begins.
fn target_of(text: &str) -> Result<(HttpTarget, usize), RuleError> {
    let whole = 0..text.len();
    if text.starts_with(' ') {
        return Err(RuleError::new("more than one space after the methods").at(whole));
    }
    if text.starts_with('/') {
        return Err(RuleError::new("the rule names neither peer nor host")
            .at(whole)
            .with_hint(format!("as in `k8s:{text}` or `https://example.com{text}`")));
    }
    let colon = text.find([':', '/']).filter(|at| text.as_bytes()[*at] == b':');
    let Some((name, rest)) = colon.map(|at| (&text[..at], &text[at + 1..])) else {
        let error = RuleError::new(format!("`{text}` is neither `peer:/path` nor `https://host/path`")).at(whole);
        return Err(if peer::is_name(text) {
            error.with_hint(format!("a peer and a path: `{text}:/`"))
        } else {
            error.with_hint(format!("a host has a scheme before it: `https://{text}`"))
        });
    };
    if let Some(after) = rest.strip_prefix("//") {
        return origin(name, after);
    }
    if !rest.starts_with('/') {
        let error = RuleError::new(format!("`{text}` is neither `peer:/path` nor `https://host/path`")).at(whole);
        return Err(if rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_digit()) {
            error.with_hint(format!("the path begins with `/`: `{name}:/{rest}`"))
        } else {
            error.with_hint(format!("a host has a scheme before it: `https://{text}`"))
        });
    }
    peer::check_name(name)?;
    Ok((HttpTarget::Peer(name.to_owned()), name.len() + 1))
}

/// The target `scheme://after…`, and where the path begins.
fn origin(scheme_text: &str, after: &str) -> Result<(HttpTarget, usize), RuleError> {
    let start = scheme_text.len() + 3;
    let Some(scheme) = Scheme::named(scheme_text).filter(|scheme| scheme.as_str() == scheme_text) else {
        let error = RuleError::new(format!("`{scheme_text}` is neither http nor https")).at(0..scheme_text.len());
        return Err(match Scheme::named(scheme_text) {
            Some(scheme) => error.with_hint(format!("`{scheme}`")),
            None => error.with_hint(format!("a peer's path begins with one slash: `{scheme_text}:/{after}`")),
        });
    };
    let end = after.find('/').unwrap_or(after.len());
    let authority = &after[..end];
    if authority.contains(['*', '{']) {
        return Err(RuleError::new("a host is never a pattern")
            .at(start..start + end)
            .with_hint("a name that a plugin may choose carries data out by DNS alone: write a rule for each host"));
    }
    let target = target::target(scheme, authority).map_err(|error| error.shifted(start))?;
    if let HttpTarget::Peer(name) = &target {
        return Err(RuleError::new("a rule names a peer without scheme and `.peer`")
            .at(0..start + end)
            .with_hint(format!("`{name}:{}`", if end < after.len() { &after[end..] } else { "/" })));
    }
    if end == after.len() {
        return Err(RuleError::new("the rule has no path").at(0..start + end).with_hint(format!(
            "`{scheme}://{authority}/` is that one path, `{scheme}://{authority}/**` is all of them"
        )));
    }
    Ok((target, start + end))
}

/// Refuses a reference that should have been resolved before.
pub(crate) fn check_resolved(text: &str) -> Result<(), RuleError> {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if text[at..].starts_with("${") {
            let end = text[at..].find('}').map_or(text.len(), |length| at + length + 1);
            return Err(RuleError::new(format!("the reference `{}` was not resolved", &text[at..end])).at(at..end));
        }
    }
    Ok(())
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() { f.write_str(&self.text) } else { f.write_str(&self.in_toml()) }
    }
}

impl InToml for HttpRule {
    fn in_toml(&self) -> String {
        if self.addresses.is_empty() {
            return line::text(&self.text);
        }
        let addresses = line::array(self.addresses.iter().map(|net| line::text(&net.to_string())));
        Table::default().text("rule", &self.text).value("addresses", &addresses).finish()
    }
}

#[cfg(test)]
mod tests;
