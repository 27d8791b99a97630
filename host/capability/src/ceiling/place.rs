//! Where a peer really is, and which places a ceiling speaks of.

use std::{fmt, path::PathBuf};

use ipnet::IpNet;
use url::Url;

use super::HostPattern;
use crate::{address, path::PathRule, rule::RuleError};

/// Ports where none is written.
const PORTS: [(&str, u16); 5] = [("https", 443), ("http", 80), ("postgres", 5432), ("smtp", 587), ("smtps", 465)];

/// Where a peer, or an origin of a rule, really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Reached over a network.
    Net {
        /// `https`.
        scheme: String,
        /// Who logs in, where the URL says so.
        user: Option<String>,
        /// Lower case, without a trailing dot.
        host: String,
        /// Port; nothing where none is written and the scheme has none.
        port: Option<u16>,
        /// Database, where there is one.
        database: Option<String>,
        /// Networks whose private or special addresses it may have.
        addresses: Vec<IpNet>,
    },
    /// A file, by its canonical path.
    File(PathBuf),
}

impl Place {
    /// The place of a peer's URL.
    #[must_use]
    pub fn of_url(url: &Url, addresses: &[IpNet]) -> Self {
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self::Net {
            port: url.port().or_else(|| default_port(url.scheme())),
            scheme: url.scheme().to_owned(),
            user: filled(url.username()),
            host,
            database: filled(url.path().trim_start_matches('/')),
            addresses: addresses.to_vec(),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    PORTS.iter().find(|(name, _)| *name == scheme).map(|(_, port)| *port)
}

impl fmt::Display for Place {
    /// As a URL, and the networks behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Net { scheme, user, host, port, database, addresses } = self else {
            let Self::File(path) = self else { return Ok(()) };
            return write!(f, "sqlite:{}", path.display());
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        f.write_str(host)?;
        if let Some(port) = port.filter(|port| Some(*port) != default_port(scheme)) {
            write!(f, ":{port}")?;
        }
        if let Some(database) = database {
            write!(f, "/{database}")?;
        }
        for (index, net) in addresses.iter().enumerate() {
            write!(f, "{}{net}", if index == 0 { " in " } else { ", " })?;
        }
        Ok(())
    }
}

/// The places that a ceiling speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacePattern {
    /// `*`: every place.
    Any,
    /// Reached over a network.
    Net {
        /// `https`.
        scheme: String,
        /// Who logs in. Nothing: anybody.
        user: Option<String>,
        /// Hosts.
        host: HostPattern,
        /// Port. Nothing: any.
        port: Option<u16>,
        /// Database. Nothing: any.
        database: Option<String>,
        /// Networks whose private or special addresses it may have.
        addresses: Vec<IpNet>,
    },
    /// The file of a database, or a directory that holds it.
    File(PathRule),
}

impl PlacePattern {
    /// Reads `scheme://[user@]host[:port][/database]`, where host, port, user and database may be `*`, or
    /// `sqlite:/absolute/path`. A port that is left out is the scheme's own; a user or database that is left out, any.
    ///
    /// # Errors
    ///
    /// What is not of this shape, with the place in `text`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let wrong = !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | ".." | "*" | "**"));
            if wrong {
                return Err(RuleError::new("the path of a database is absolute and plain").at(7..text.len()));
            }
            return Ok(Self::File(PathRule::new(path, path)));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(RuleError::new("this is no URL")
                .at(0..text.len())
                .with_hint("as in `https://kube.example:6443`, `postgres://*.example` or `sqlite:/srv/app.db`"));
        };
        if !scheme.bytes().all(|b| b.is_ascii_lowercase()) || scheme.is_empty() {
            return Err(RuleError::new("a scheme is written in lower-case letters").at(0..scheme.len()));
        }
        let start = scheme.len() + 3;
        let (authority, database) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        if matches!(scheme, "http" | "https") && !database.is_empty() {
            return Err(RuleError::new("a path where only a host is named")
                .at(start + authority.len()..text.len())
                .with_hint("the path stands in the rule: `GET peer:/path`"));
        }
        let (user, host) = match authority.split_once('@') {
            Some((user, host)) => (user, host),
            None => ("", authority),
        };
        if user.contains(':') {
            return Err(RuleError::new("a password in a URL").at(start..start + user.len()));
        }
        let at = start + authority.len() - host.len();
        let (host, port) = host_and_port(scheme, host).map_err(|error| error.shifted(at))?;
        let limited = |text: &str| (!matches!(text, "" | "*")).then(|| text.to_owned());
        let (user, database) = (limited(user), limited(database));
        Ok(Self::Net { scheme: scheme.to_owned(), user, host, port, database, addresses: Vec::new() })
    }

    /// The same, where private and special addresses of `networks` are allowed too. Without effect on files.
    #[must_use]
    pub fn with_addresses(self, networks: Vec<IpNet>) -> Self {
        match self {
            Self::Net { scheme, user, host, port, database, .. } => {
                Self::Net { scheme, user, host, port, database, addresses: networks }
            }
            other => other,
        }
    }

    /// The scheme, where there is one: `https`; `sqlite` of a file.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Net { scheme, .. } => Some(scheme),
            Self::File(_) => Some("sqlite"),
        }
    }

    /// Whether it speaks of a place.
    #[must_use]
    pub fn includes(&self, place: &Place) -> bool {
        self.names(place)
            && match (self, place) {
                (Self::Net { addresses, .. }, Place::Net { addresses: needed, .. }) => {
                    address::includes(addresses, needed)
                }
                _ => true,
            }
    }

    /// The same but for the addresses behind the name.
    pub(super) fn names(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::Any, _) => true,
            (
                Self::Net { scheme, user, host, port, database, .. },
                Place::Net { scheme: is, user: who, host: at, port: through, database: holds, .. },
            ) => {
                scheme == is
                    && (user.is_none() || user == who)
                    && host.includes(at)
                    && (port.is_none() || port == through)
                    && (database.is_none() || database == holds)
            }
            (Self::File(rule), Place::File(path)) => rule.covers(path),
            _ => false,
        }
    }
}

/// `host`, `host:port` or `host:*`.
pub(super) fn host_and_port(scheme: &str, text: &str) -> Result<(HostPattern, Option<u16>), RuleError> {
    let end = text.rfind(':').filter(|at| !text[*at..].contains(']')).unwrap_or(text.len());
    let host = HostPattern::parse(&text[..end])?;
    let port = match text.get(end + 1..) {
        None => default_port(scheme),
        Some("*") => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port != 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(RuleError::new("the port is neither `*` nor a number from 1 to 65535").at(end..text.len())),
        },
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_by_what_they_are() {
        let net = "10.0.0.0/8".parse::<IpNet>().unwrap();
        for (pattern, url, included) in [
            ("https://kube.hms.internal:6443", "https://kube.hms.internal:6443", true),
            ("https://kube.hms.internal:6443", "https://KUBE.hms.internal.:6443", true),
            ("https://kube.hms.internal:6443", "https://kube.hms.internal", false),
            ("https://kube.hms.internal", "https://kube.hms.internal:443", true),
            ("https://kube.hms.internal:*", "https://kube.hms.internal:1", true),
            ("https://kube.hms.internal", "http://kube.hms.internal", false),
            ("https://kube.hms.internal", "http://kube.hms.internal:443", false),
            ("https://*", "https://evil.example", true),
            ("https://*.hms.internal", "https://evil.example", false),
            ("postgres://db.hms/hms", "postgres://anybody@db.hms/hms", true),
            ("postgres://db.hms/hms", "postgres://anybody@db.hms:5432/hms", true),
            ("postgres://db.hms/hms", "postgres://anybody@DB.HMS/hms", true),
            ("postgres://db.hms/hms", "postgres://anybody@db.hms/other", false),
            ("postgres://db.hms", "postgres://anybody@db.hms/other", true),
            ("postgres://reader@db.hms/hms", "postgres://admin@db.hms/hms", false),
            ("postgres://reader@db.hms/hms", "postgres://reader@db.hms/hms", true),
            ("postgres://*@*:*/*", "postgres://admin@anywhere:1/x", true),
            ("https://db.hms", "postgres://admin@db.hms/hms", false),
        ] {
            let place = Place::of_url(&url.parse().unwrap(), &[]);
            let pattern = PlacePattern::parse(pattern).unwrap();
            assert_eq!(pattern.includes(&place), included, "{pattern:?} {url}");
            // A private address behind the same name is another matter.
            let private = Place::of_url(&url.parse().unwrap(), &[net]);
            assert!(!pattern.includes(&private));
            assert_eq!(pattern.with_addresses(vec![net]).includes(&private), included);
        }
    }

    #[test]
    fn databases_in_files_are_compared_by_path() {
        for (pattern, path, included) in [
            ("sqlite:/srv/app.db", "/srv/app.db", true),
            ("sqlite:///srv/app.db", "/srv/app.db", true),
            ("sqlite:/srv", "/srv/app.db", true),
            ("sqlite:/srv/app", "/srv/app.db", false),
            ("sqlite:/srv", "/etc/app.db", false),
        ] {
            let place = Place::File(path.into());
            assert_eq!(PlacePattern::parse(pattern).unwrap().includes(&place), included, "{pattern} {path}");
        }
        assert!(PlacePattern::Any.includes(&Place::File("/x".into())));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "kube",
            "kube:6443",
            "HTTPS://a",
            "://a",
            "https://",
            "https://a/b",
            "https://a:0",
            "https://a:x",
            "https://a:99999",
            "https://127.1",
            "https://a.*",
            "postgres://u:pw@db/hms",
            "sqlite:app.db",
            "sqlite:/srv/../etc",
            "sqlite:/srv/**",
        ] {
            assert!(PlacePattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_shown_as_a_url() {
        let net = "10.0.0.0/8".parse::<IpNet>().unwrap();
        for (url, shown) in [
            ("https://kube:6443", "https://kube:6443 in 10.0.0.0/8"),
            ("https://kube:443/", "https://kube in 10.0.0.0/8"),
            ("postgres://u@db/hms", "postgres://u@db/hms in 10.0.0.0/8"),
        ] {
            assert_eq!(Place::of_url(&url.parse().unwrap(), &[net]).to_string(), shown);
        }
    }
}
