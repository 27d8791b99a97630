//! The requests that a ceiling allows.

use super::{Place, PlacePattern, place::host_and_port};
use crate::{
    http::{HttpRule, Method, Methods, PathPattern},
    peer,
    rule::{RuleError, check_text},
};

/// Requests that are allowed at most: `"GET|HEAD k8s:/api/**"`, or `"* https://*.hms.internal/**"`.
#[derive(Clone, Debug)]
pub struct HttpCeiling {
    methods: Methods,
    /// Where they may go.
    pub place: PlacePattern,
    path: PathPattern,
}

/// Where the requests of a ceiling go, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpCeilingTarget {
    /// A peer of the ceiling's own file, by name.
    Peer(String),
    /// Hosts.
    Hosts(PlacePattern),
}

impl HttpCeiling {
    /// Reads `METHODS peer:/path` or `METHODS https://host[:port]/path`, where the host may be `*` or `*.domain` and the port
    /// `*`. `peers` says where a peer of that name is.
    ///
    /// # Errors
    ///
    /// What is not of this shape, and what `place_of` refuses.
    pub fn parse(
        text: &str,
        place_of: impl FnOnce(HttpCeilingTarget) -> Result<PlacePattern, RuleError>,
    ) -> Result<Self, RuleError> {
        check_text(text)?;
        let Some((methods, rest)) = text.split_once(' ') else {
            return Err(RuleError::new("the rule names no method")
                .at(0..text.len())
                .with_hint("as in `GET k8s:/version` or `* https://*.example/**`"));
        };
        let start = methods.len() + 1;
        let methods = Methods::parse(methods)?;
        let (target, path_at) = target(rest).map_err(|error| error.shifted(start))?;
        let path = PathPattern::parse(&rest[path_at..]).map_err(|error| error.shifted(start + path_at))?;
        let place = place_of(target).map_err(|error| error.at(start..start + path_at))?;
        Ok(Self { methods, place, path })
    }

    /// Whether it allows one method of a rule that leads to `place`. `hidden`: the path that is asked for is not the rule's.
    pub(super) fn allows(&self, rule: &HttpRule, method: Method, place: &Place, hidden: bool) -> bool {
        self.methods.contains(method) && self.allows_path(rule, place, hidden)
    }

    /// The same, whatever the method.
    pub(super) fn allows_path(&self, rule: &HttpRule, place: &Place, hidden: bool) -> bool {
        self.place.includes(place) && if hidden { self.path.is_everything() } else { self.path.includes(rule.path()) }
    }
}

fn target(text: &str) -> Result<(HttpCeilingTarget, usize), RuleError> {
    let whole = 0..text.len();
    if let Some((scheme, rest)) = text.split_once("://") {
        if !matches!(scheme, "http" | "https") {
            return Err(RuleError::new(format!("`{scheme}` is neither http nor https")).at(0..scheme.len()));
        }
        let start = scheme.len() + 3;
        let Some(end) = rest.find('/') else {
            return Err(RuleError::new("the rule has no path")
                .at(whole)
                .with_hint(format!("all of them are `{text}/**`")));
        };
        let (host, port) = host_and_port(scheme, &rest[..end]).map_err(|error| error.shifted(start))?;
        let (user, database, addresses) = (None, None, Vec::new());
        let place = PlacePattern::Net { scheme: scheme.to_owned(), user, host, port, database, addresses };
        return Ok((HttpCeilingTarget::Hosts(place), start + end));
    }
    match text.split_once(':') {
        Some((name, path)) if path.starts_with('/') => {
            peer::check_name(name)?;
            Ok((HttpCeilingTarget::Peer(name.to_owned()), name.len() + 1))
        }
        _ => Err(RuleError::new(format!("`{text}` is neither `peer:/path` nor `https://host/path`")).at(whole)),
    }
}
