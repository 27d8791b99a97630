//! `[peers]` and `[plugins]` of a policy: what its names stand for, whatever a pipeline calls so.

use std::{collections::BTreeMap, ops::Range};

use ipnet::IpNet;
use pipe_capability::{ceiling::PlacePattern, peer, rule::RuleError};
use pipe_core::digest::Digest;

use crate::{
    document::digest,
    fields::{self, Fields, Located},
    keys,
    node::{Entry, Node},
    report::{Report, meant},
};

/// Schemes of peers, and the words that may name one.
const HTTP: [&str; 2] = ["https", "http"];
const SQL: [&str; 2] = ["postgres", "sqlite"];
const MAIL: [&str; 2] = ["smtp", "smtps"];

/// The names of a policy.
pub(super) struct Named {
    /// Nothing for a peer that is not sound; that has been reported.
    peers: BTreeMap<String, Option<PlacePattern>>,
    plugins: BTreeMap<String, Option<Digest>>,
}

/// What kind of peer a rule needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Sql,
    Mail,
    Any,
}

impl Named {
    pub(super) fn read(report: &Report, file: &Fields<'_>) -> Self {
        let entries = |key: &str| {
            let table = file.get(key).and_then(|entry| fields::table(report, &entry.node));
            table.map_or(&[][..], |table| &table.entries)
        };
        let peers = entries("peers").iter().map(|entry| {
            if let Err(error) = peer::check_name(&entry.key) {
                refused(report, error, &entry.key_span);
            }
            (entry.key.clone(), place(report, entry))
        });
        let plugins = entries("plugins").iter().map(|entry| {
            let fields = Fields::of(report, &entry.node, keys::POLICY_PLUGIN);
            let text =
                fields.and_then(|fields| fields.required("sha256", "`sha256 = \"…\"`: what the plugin's file must be"));
            (entry.key.clone(), text.and_then(|text| digest(report, &text)))
        });
        Self { peers: peers.collect(), plugins: plugins.collect() }
    }

    /// The place of a peer, by the name that a rule gives at `span`.
    pub(super) fn peer(&self, name: &str, kind: Kind) -> Result<PlacePattern, RuleError> {
        let Some(known) = self.peers.get(name) else {
            let error = RuleError::new(format!("this policy has no peer `{name}`"));
            let names: Vec<&str> = self.peers.keys().map(String::as_str).collect();
            let hint = meant(name, &names).unwrap_or_else(|| format!("declare it: `[peers]`, `{name}.url = \"…\"`"));
            return Err(error.with_hint(hint));
        };
        // What is wrong with it has been said where it stands.
        let Some(place) = known else { return Ok(PlacePattern::Any) };
        let fits = match kind {
            Kind::Http => place.scheme().is_some_and(|scheme| HTTP.contains(&scheme)),
            Kind::Sql => place.scheme().is_some_and(|scheme| SQL.contains(&scheme)),
            Kind::Mail => place.scheme().is_some_and(|scheme| MAIL.contains(&scheme)),
            Kind::Any => true,
        };
        if fits { Ok(place.clone()) } else { Err(RuleError::new(format!("`{name}` is a peer of another kind"))) }
    }

    /// The content of a plugin.
    pub(super) fn plugin(&self, report: &Report, text: &Located<String>) -> Option<Digest> {
        match self.plugins.get(&text.value) {
            Some(digest) => *digest,
            None => {
                let names: Vec<&str> = self.plugins.keys().map(String::as_str).chain(["std:*"]).collect();
                let message = format!("this policy has no plugin `{}`", text.value);
                let hint = "a name proves nothing: declare it, `[plugins]`, `NAME.sha256 = \"…\"`";
                let hint = meant(&text.value, &names).filter(|_| names.len() > 1).unwrap_or_else(|| hint.to_owned());
                report.advise("unknown-plugin", message, text.span.clone(), hint);
                None
            }
        }
    }
}

fn place(report: &Report, entry: &Entry) -> Option<PlacePattern> {
    let fields = Fields::of(report, &entry.node, keys::POLICY_PEER)?;
    let url = fields.required("url", "`url = \"https://kube.example:6443\"`")?;
    let networks = networks(report, fields.array("addresses"))?;
    let place = rule(report, &url, PlacePattern::parse)?;
    let schemes: Vec<&str> = HTTP.into_iter().chain(SQL).chain(MAIL).collect();
    let scheme = place.scheme().unwrap_or_default();
    if !schemes.contains(&scheme) {
        let message = format!("a peer cannot be `{scheme}`");
        report.unknown("bad-peer", message, scheme, schemes, url.span);
        return None;
    }
    Some(place.with_addresses(networks))
}

/// An array of networks; nothing where one of them is none.
pub(super) fn networks(report: &Report, nodes: &[Node]) -> Option<Vec<IpNet>> {
    let parse = |text: &str| {
        let hint = "an address and the length of its prefix, as in `10.0.0.0/8`";
        text.parse().map_err(|_| RuleError::new("this is not a network").with_hint(hint))
    };
    let read = nodes.iter().map(|node| rule(report, &fields::string(report, node)?, parse));
    // Every one is read before giving up, so that each error is reported.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// Reads what a text says, and reports what is wrong at its place.
pub(super) fn rule<T>(
    report: &Report,
    text: &Located<String>,
    parse: impl FnOnce(&str) -> Result<T, RuleError>,
) -> Option<T> {
    match parse(&text.value) {
        Ok(rule) => Some(rule),
        Err(error) => {
            // The error counts in the text. In the file it stands there, if it is written plainly.
            let within = error.span.clone().and_then(|within| {
                let at = text.span.start + report.source(&text.span).find(&text.value)?;
                (!within.is_empty()).then_some(at + within.start..at + within.end)
            });
            refused(report, error, &within.unwrap_or_else(|| text.span.clone()));
            None
        }
    }
}

/// Reports a rule that cannot be read.
pub(super) fn refused(report: &Report, error: RuleError, span: &Range<usize>) {
    match error.hint {
        Some(hint) => report.advise("bad-rule", error.message, span.clone(), hint),
        None => report.error("bad-rule", error.message, span.clone(), ""),
    }
}
