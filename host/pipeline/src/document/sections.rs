//! `[inputs]`, `[sets]`, `[secrets]`, `[peers]`, `[roles]`, `[plugins]`.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use pipe_core::digest::Digest;
use regex::{Regex, RegexBuilder};

use crate::{
    document::name,
    fields::{self, Fields, Located},
    keys,
    node::{Entry, Node},
    reference::{Template, without_references},
    report::Report,
};

/// Most entries of one set: each is an instance of every step that is repeated over it.
const MAXIMUM_SET: usize = 10_000;

/// Most inputs, sets, secrets, peers, roles or plugins.
const MAXIMUM_ENTRIES: usize = 1_000;

/// Longest value of an input, in bytes.
pub(crate) const MAXIMUM_INPUT: usize = 4_096;

/// Named entries, with the place of each name.
pub(crate) type Named<T> = BTreeMap<String, (Range<usize>, T)>;

/// What an environment may change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sections {
    pub(crate) inputs: Named<InputSpec>,
    pub(crate) sets: Named<SetSpec>,
    pub(crate) secrets: Named<SourceSpec>,
    pub(crate) peers: Named<PeerFields>,
    pub(crate) roles: Named<RoleSpec>,
}

#[derive(Clone, Debug)]
pub(crate) struct InputSpec {
    /// Sound, and not kept compiled: a file may have many, and environments multiply them.
    pub(crate) pattern: Option<Located<String>>,
    pub(crate) default: Option<String>,
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct SetSpec(pub(crate) Vec<(String, String)>);

#[derive(Clone, Debug)]
pub(crate) enum SourceSpec {
    Env(Template),
    File(Template),
}

#[derive(Clone, Debug)]
pub(crate) struct PeerFields {
    pub(crate) url: Template,
    pub(crate) password: Option<Template>,
    pub(crate) bearer: Option<Template>,
    pub(crate) secret_path: Option<Template>,
    pub(crate) tls: Option<Template>,
    pub(crate) ca: Option<Template>,
    pub(crate) client_cert: Option<Template>,
    pub(crate) client_key: Option<Template>,
    pub(crate) addresses: Vec<Template>,
}

#[derive(Clone, Debug)]
pub(crate) struct RoleSpec {
    /// A file of OpenSSH's `allowed_signers`.
    pub(crate) signers: Located<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct PluginSpec {
    pub(crate) path: Located<String>,
    pub(crate) sha256: Option<Digest>,
}

pub(super) fn read(report: &Report, nodes: &HashMap<&str, Node>) -> Sections {
    let entries = |key: &str| match nodes.get(key) {
        Some(node) => fields::table(report, node).map_or(&[][..], |table| &table.entries),
        None => &[],
    };
    Sections {
        inputs: named(report, "an input", entries("inputs"), input),
        sets: named(report, "a set", entries("sets"), set),
        secrets: named(report, "a secret", entries("secrets"), source),
        peers: bounded(report, entries("peers")).iter().filter_map(|entry| peer(report, entry)).collect(),
        roles: named(report, "a role", entries("roles"), role),
    }
}

pub(super) fn plugins(report: &Report, file: &Fields<'_>) -> Named<PluginSpec> {
    let table = file.get("plugins").and_then(|entry| fields::table(report, &entry.node));
    let entries = table.map_or(&[][..], |table| &table.entries);
    named(report, "a plugin", entries, |report, entry| {
        let fields = Fields::of(report, &entry.node, keys::PLUGIN)?;
        let path = fields.required("path", "`path = \"….wasm\"`")?;
        let path = without_references(report, path)?;
        let sha256 = match fields.string("sha256") {
            Some(text) => Some(digest(report, &text)?),
            None => None,
        };
        Some(PluginSpec { path, sha256 })
    })
}

/// The entries of a section, unless there are too many.
fn bounded<'e>(report: &Report, entries: &'e [Entry]) -> &'e [Entry] {
    match entries.get(MAXIMUM_ENTRIES) {
        None => entries,
        Some(entry) => {
            let message = format!("a section has more than {MAXIMUM_ENTRIES} entries");
            report.error("too-large", message, entry.key_span.clone(), "");
            &[]
        }
    }
}

/// A sha256 in hexadecimal.
pub(crate) fn digest(report: &Report, text: &Located<String>) -> Option<Digest> {
    let digest = text.value.parse().ok();
    if digest.is_none() {
        let message = format!("`{}` is not a sha256 digest", name::shortened(&text.value));
        report.advise("bad-value", message, text.span.clone(), "64 hexadecimal digits, as `sha256sum` prints them");
    }
    digest
}

fn named<T>(report: &Report, what: &str, entries: &[Entry], read: impl Fn(&Report, &Entry) -> Option<T>) -> Named<T> {
    let entries = bounded(report, entries);
    let entries = entries.iter().filter_map(|entry| {
        let name = Located { value: entry.key.clone(), span: entry.key_span.clone() };
        let name = name::entry(report, what, name);
        let value = read(report, entry)?;
        Some((name?.value, (entry.key_span.clone(), value)))
    });
    entries.collect()
}

fn input(report: &Report, entry: &Entry) -> Option<InputSpec> {
    let fields = Fields::of(report, &entry.node, keys::INPUT)?;
    fields.string("description");
    let pattern = match fields.string("pattern") {
        Some(text) => Some((pattern(report, &text)?, text)),
        None => None,
    };
    let default = fields.string("default").and_then(|text| without_references(report, text));
    if let (Some(default), Some((pattern, _))) = (&default, &pattern)
        && !pattern.is_match(&default.value)
    {
        let message = format!("the default of `{}` does not match its own pattern", entry.key);
        report.error("input-pattern", message, default.span.clone(), "");
    }
    Some(InputSpec { pattern: pattern.map(|(_, text)| text), default: default.map(|default| default.value) })
}

/// The whole value must match, anchored or not: half a match would let anything stand beside it.
pub(crate) fn pattern(report: &Report, text: &Located<String>) -> Option<Regex> {
    let plain = RegexBuilder::new(&text.value).size_limit(1 << 20).build();
    let whole = plain.and_then(|_| RegexBuilder::new(&format!(r"\A(?:{})\z", text.value)).size_limit(1 << 20).build());
    match whole {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let why = match &error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // The last line of the engine's drawing says what is wrong.
                _ => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            };
            let hint = "patterns take linear time: no look-around and no back-references";
            report.advise("bad-value", format!("not a pattern: {why}"), text.span.clone(), hint);
            None
        }
    }
}

fn set(report: &Report, entry: &Entry) -> Option<SetSpec> {
    let table = fields::table(report, &entry.node)?;
    if table.entries.is_empty() {
        let hint = "a step that is repeated over it would never run";
        report.advise("bad-value", format!("the set `{}` is empty", entry.key), entry.key_span.clone(), hint);
    }
    if table.entries.len() > MAXIMUM_SET {
        let message = format!("the set `{}` has more than {MAXIMUM_SET} entries", entry.key);
        report.error("too-large", message, entry.key_span.clone(), "");
        return None;
    }
    let pairs = table.entries.iter().filter_map(|pair| {
        let key = Located { value: pair.key.clone(), span: pair.key_span.clone() };
        let key = name::set_key(report, key);
        let value = fields::string(report, &pair.node).and_then(|text| without_references(report, text));
        Some((key?.value, value?.value))
    });
    Some(SetSpec(pairs.collect()))
}

fn source(report: &Report, entry: &Entry) -> Option<SourceSpec> {
    let fields = Fields::of(report, &entry.node, keys::SECRET)?;
    fields.exclude("env", &["file"]);
    let template = |key| fields.string(key).and_then(|text| Template::read(report, &text));
    match (fields.get("env"), fields.get("file")) {
        (Some(_), _) => template("env").map(SourceSpec::Env),
        (None, Some(_)) => template("file").map(SourceSpec::File),
        (None, None) if !fields.misses("env") || !fields.misses("file") => None,
        (None, None) => {
            let name = &entry.key;
            let hint = format!("`{name}.env = \"VARIABLE\"` or `{name}.file = \"/path\"`");
            report.advise("missing-key", format!("the secret `{name}` has no source"), entry.key_span.clone(), hint);
            None
        }
    }
}

fn role(report: &Report, entry: &Entry) -> Option<RoleSpec> {
    let fields = Fields::of(report, &entry.node, keys::ROLE)?;
    let example = format!("`{}.signers = \"signers/{}\"`: a file of allowed signers", entry.key, entry.key);
    let signers = without_references(report, fields.required("signers", &example)?)?;
    if signers.value.is_empty() || signers.value.contains('\0') {
        report.error("bad-value", "`signers` names no file", signers.span, "");
        return None;
    }
    Some(RoleSpec { signers })
}

fn peer(report: &Report, entry: &Entry) -> Option<(String, (Range<usize>, PeerFields))> {
    let fields = Fields::of(report, &entry.node, keys::PEER);
    if let Err(error) = pipe_capability::peer::check_name(&entry.key) {
        let hint = error.hint.unwrap_or_else(|| "choose another name".to_owned());
        report.advise("bad-name", error.message, entry.key_span.clone(), hint);
    }
    let fields = fields?;
    let read = |text: Located<String>| Template::read(report, &text);
    let template = |key| fields.string(key).and_then(read);
    let url = fields.required("url", "`url = \"https://…\"`").and_then(read);
    let addresses = fields.array("addresses");
    let addresses = addresses.iter().filter_map(|node| fields::string(report, node).and_then(read)).collect();
    let peer = PeerFields {
        password: template("password"),
        bearer: template("bearer"),
        secret_path: template("secret_path"),
        tls: template("tls"),
        ca: template("ca"),
        client_cert: template("client_cert"),
        client_key: template("client_key"),
        addresses,
        url: url?,
    };
    Some((entry.key.clone(), (entry.key_span.clone(), peer)))
}
