//! `allow`: what a step may touch, as written. The rules themselves are read once their references are resolved.

use std::ops::Range;

use pipe_capability::word::Word;
use pipe_core::digest::Digest;

use crate::{
    document::sections,
    fields::{self, Fields, Located},
    keys,
    node::{Node, Value},
    reference::{Piece, Template},
    report::Report,
};

/// The rules of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowSpec {
    pub(crate) http: Vec<HttpSpec>,
    pub(crate) secrets: Vec<SlotSpec>,
    pub(crate) exec: Vec<ExecSpec>,
    /// The words whose rules are single strings.
    pub(crate) texts: Vec<(Word, Template)>,
}

/// `"GET k8s:/version"` or `{ rule = "GET https://x/y", addresses = ["10.0.0.0/8"] }`.
#[derive(Clone, Debug)]
pub(crate) struct HttpSpec {
    /// The table in the file, where it is one.
    pub(crate) table: Option<Range<usize>>,
    pub(crate) rule: Template,
    pub(crate) addresses: Vec<Template>,
}

/// `{ name = "k8s", to = "argocd", header = "Authorization", format = "Token {}" }`.
#[derive(Clone, Debug)]
pub(crate) struct SlotSpec {
    pub(crate) span: Range<usize>,
    pub(crate) name: Template,
    pub(crate) to: Template,
    pub(crate) header: Option<Template>,
    pub(crate) format: Option<Template>,
}

/// `{ program = "pg_dump", argv = ["-F", "c"], peer = "main" }`.
#[derive(Clone, Debug)]
pub(crate) struct ExecSpec {
    pub(crate) span: Range<usize>,
    pub(crate) program: Template,
    pub(crate) argv: Vec<Template>,
    pub(crate) cwd: Option<Template>,
    pub(crate) env: Vec<(Located<String>, Template)>,
    pub(crate) peer: Option<Template>,
    pub(crate) secret_env: Vec<(Located<String>, Template)>,
    pub(crate) sha256: Option<Digest>,
}

impl AllowSpec {
    /// Bytes that the rules take, about.
    pub(crate) fn weight(&self) -> usize {
        let text = |template: &Template| {
            let pieces = template.pieces.iter().map(|piece| match piece {
                Piece::Literal(text) => text.len(),
                Piece::Reference(reference) => reference.written.len(),
            });
            64 + pieces.sum::<usize>()
        };
        let exec = |spec: &ExecSpec| {
            let variables = spec.env.iter().chain(&spec.secret_env).map(|(name, value)| name.value.len() + text(value));
            text(&spec.program) + spec.argv.iter().map(text).sum::<usize>() + variables.sum::<usize>()
        };
        let http = |spec: &HttpSpec| text(&spec.rule) + 64 * spec.addresses.len();
        self.http.iter().map(http).sum::<usize>()
            + self.texts.iter().map(|(_, template)| text(template)).sum::<usize>()
            + self.exec.iter().map(exec).sum::<usize>()
            + 256 * self.secrets.len()
    }
}

pub(super) fn read(report: &Report, node: &Node) -> Option<AllowSpec> {
    let fields = Fields::of(report, node, keys::ALLOW)?;
    let mut allow = AllowSpec::default();
    for word in Word::ALL {
        for rule in fields.array(word.as_str()) {
            match word {
                Word::Http => allow.http.extend(http(report, rule)),
                Word::Secrets => allow.secrets.extend(slot(report, rule)),
                Word::Exec => allow.exec.extend(exec(report, rule)),
                Word::Sql | Word::Read | Word::Write | Word::Disk | Word::Env | Word::Artifacts => {
                    allow.texts.extend(template(report, rule).map(|rule| (word, rule)));
                }
            }
        }
    }
    Some(allow)
}

fn template(report: &Report, node: &Node) -> Option<Template> {
    fields::string(report, node).and_then(|text| Template::read(report, &text))
}

fn templates(report: &Report, nodes: &[Node]) -> Vec<Template> {
    nodes.iter().filter_map(|node| template(report, node)).collect()
}

fn http(report: &Report, node: &Node) -> Option<HttpSpec> {
    let spec = match &node.value {
        Value::Table(_) => {
            let fields = Fields::of(report, node, keys::HTTP)?;
            let rule = fields.needs("rule", "`rule = \"GET https://…\"`")?;
            HttpSpec {
                table: Some(node.span.clone()),
                rule: template(report, &rule.node)?,
                addresses: templates(report, fields.array("addresses")),
            }
        }
        _ => HttpSpec { table: None, rule: template(report, node)?, addresses: Vec::new() },
    };
    // A value in the place of the method could name further methods.
    for piece in &spec.rule.pieces {
        match piece {
            Piece::Literal(text) if text.contains(' ') => break,
            Piece::Literal(_) => {}
            Piece::Reference(reference) => {
                report.error("reference-not-here", "the method of a rule is written out", reference.span.clone(), "");
                return None;
            }
        }
    }
    Some(spec)
}

fn slot(report: &Report, node: &Node) -> Option<SlotSpec> {
    let fields = Fields::of(report, node, keys::SLOT)?;
    let read = |text: Located<String>| Template::read(report, &text);
    let name = fields.required("name", "`name = \"…\"`: a secret of `[secrets]`").and_then(read);
    let to = fields.required("to", "`to = \"…\"`: a peer, or `artifacts`").and_then(read);
    let header = fields.string("header").and_then(read);
    let format = fields.string("format").and_then(read);
    Some(SlotSpec { span: node.span.clone(), name: name?, to: to?, header, format })
}

fn exec(report: &Report, node: &Node) -> Option<ExecSpec> {
    if let Value::String(text) = &node.value {
        let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        let (program, argv) = words.split_first()?;
        let hint = format!("`{{ program = {program}, argv = [{}] }}`: there is no shell", argv.join(", "));
        report.advise("wrong-type", "expected a table, found a string", node.span.clone(), hint);
        return None;
    }
    let fields = Fields::of(report, node, keys::EXEC)?;
    let read = |text: Located<String>| Template::read(report, &text);
    let program = fields.required("program", "`program = \"…\"`").and_then(read);
    fields.needs("argv", "`argv = []` for no arguments, `argv = [\"**\"]` for any");
    let sha256 = match fields.string("sha256") {
        Some(text) => Some(sections::digest(report, &text)?),
        None => None,
    };
    Some(ExecSpec {
        span: node.span.clone(),
        argv: templates(report, fields.array("argv")),
        cwd: fields.string("cwd").and_then(read),
        env: variables(report, &fields, "env"),
        peer: fields.string("peer").and_then(read),
        secret_env: variables(report, &fields, "secret_env"),
        sha256,
        program: program?,
    })
}

fn variables(report: &Report, fields: &Fields<'_>, key: &str) -> Vec<(Located<String>, Template)> {
    let table = fields.get(key).and_then(|entry| fields::table(report, &entry.node));
    let entries = table.map_or(&[][..], |table| &table.entries);
    let variables = entries.iter().filter_map(|entry| {
        let name = Located { value: entry.key.clone(), span: entry.key_span.clone() };
        Some((name, template(report, &entry.node)?))
    });
    variables.collect()
}
