//! Requests: the methods that were sent, to the paths they were sent to.

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::event::Use;

use super::{Call, Facts, MOST_RULES, Narrowed, varies};
use crate::{
    http::{HttpRequest, HttpRule, HttpTarget, Method},
    pattern::escaped,
    word::Word,
};

/// A path of a rule, segment by segment, as it is written. The rest of a path, `**`, is a segment of its own.
type Written = Vec<String>;

/// Paths in the order in which they were first asked for, each with the methods that were sent there.
type Sent = Vec<(Written, BTreeSet<Method>)>;

/// The narrower rules.
pub(super) fn narrowed(calls: &[Call<'_>], uses: &[&[&Use]], facts: &Facts<'_>, index: usize) -> Narrowed {
    let written = (facts.written)(Word::Http, index)?;
    let (methods, place) = written.split_once(' ')?;
    let (target, path) = place.split_at(path_at(place)?);
    let pattern: Written = path.strip_prefix('/')?.split('/').map(str::to_owned).collect();
    let mut paths: Sent = Vec::new();
    let mut places: BTreeMap<Written, usize> = BTreeMap::new();
    let mut sent = BTreeSet::new();
    let mut plain = true;
    for (call, uses) in calls.iter().zip(uses) {
        let rule = call.grant.http.get(index)?;
        for used in *uses {
            match request(rule, &used.subject) {
                Some(request) => {
                    let path = narrowest(&pattern, request.path(), call.varying);
                    let place = *places.entry(path.clone()).or_insert(paths.len());
                    if place == paths.len() {
                        paths.push((path, BTreeSet::new()));
                    }
                    paths[place].1.insert(request.method());
                    sent.insert(request.method());
                }
                // The path is masked, but not the method.
                None => {
                    plain = false;
                    sent.insert(Method::named(used.subject.split(' ').next()?)?);
                }
            }
        }
    }
    if !plain {
        paths = vec![(pattern.clone(), sent.clone())];
    } else if paths.len() > MOST_RULES {
        paths = shapes(&pattern, paths);
    }
    if paths.len() > MOST_RULES {
        paths = vec![(pattern.clone(), sent)];
    }
    let rules: Vec<(BTreeSet<Method>, String)> =
        paths.into_iter().map(|(path, methods)| (methods, path.join("/"))).collect();
    let text = |(methods, path): &(BTreeSet<Method>, String)| format!("{} {target}/{path}", joined(methods));
    let same_path = rules.iter().all(|(_, rule)| format!("/{rule}") == path);
    let same_methods = rules.iter().all(|(sent, _)| is_spelling(methods, sent));
    if same_path && same_methods {
        return None;
    }
    let why = match (same_path, same_methods) {
        (true, _) => "other methods were not sent",
        (_, true) => "nothing else was asked for",
        (false, false) => "nothing else was asked for, with no other methods",
    };
    Some((rules.iter().map(|rule| (Word::Http, text(rule))).collect(), why))
}

/// Where the path begins in `k8s:/version` or `https://host/version`.
fn path_at(place: &str) -> Option<usize> {
    let from = place.find("://").map_or(0, |at| at + 3);
    Some(from + place.get(from..)?.find('/')?)
}

/// The request of a recorded use, if the record holds all of it.
fn request(rule: &HttpRule, subject: &str) -> Option<HttpRequest> {
    let (method, place) = subject.split_once(' ')?;
    let target = rule.target().to_string();
    let path = place.strip_prefix(&target)?;
    // Of a query the record only says that there was one.
    let path = path.strip_suffix("?…").unwrap_or(path);
    let url = match rule.target() {
        HttpTarget::Peer(name) => format!("https://{name}{}{path}", crate::peer::SUFFIX),
        HttpTarget::Origin { .. } => format!("{target}{path}"),
    };
    let request = HttpRequest::parse(method, &url).ok()?;
    (request.path() == path && rule.covers(&request)).then_some(request)
}

/// Whether a rule allows a recorded use, as far as the record tells.
pub(super) fn allows(rule: &HttpRule, subject: &str) -> bool {
    let masked = || {
        let (method, place) = subject.split_once(' ')?;
        let method = Method::named(method)?;
        let same_target = place.strip_prefix(&rule.target().to_string())?.starts_with('/');
        Some(same_target && subject.contains('[') && rule.methods().contains(method))
    };
    request(rule, subject).is_some() || masked() == Some(true)
}

/// The narrowest path that covers one that was asked for. Segments without a pattern stay as they are written, with their
/// references; so do those in which a value would be fixed that varies.
fn narrowest(pattern: &[String], asked: &str, varying: &[String]) -> Written {
    let asked: Vec<&str> = asked.strip_prefix('/').unwrap_or_default().split('/').collect();
    let varies = |segment: &str| varies(segment, varying);
    let exactly = |segment: &str| escaped(segment, |c| c == '*');
    let mut path = Written::new();
    for (at, written) in pattern.iter().enumerate() {
        if written == "**" {
            for segment in asked.iter().skip(at) {
                path.push(if varies(segment) { "*".to_owned() } else { exactly(segment) });
            }
            break;
        }
        path.push(match asked.get(at) {
            Some(segment) if is_pattern(written) && !written.contains("${") && !varies(segment) => exactly(segment),
            _ => written.clone(),
        });
    }
    path
}

/// What paths of one length have in common: a segment in which they differ is the granted pattern's own.
fn shapes(pattern: &[String], paths: Sent) -> Sent {
    let mut shapes: BTreeMap<(usize, bool), (Written, BTreeSet<Method>)> = BTreeMap::new();
    for (path, methods) in paths {
        // The empty segment behind a last slash is matched by itself alone.
        let alike = (path.len(), path.last().is_some_and(String::is_empty));
        let (shape, sent) = shapes.entry(alike).or_insert_with(|| (path.clone(), BTreeSet::new()));
        sent.extend(methods);
        for (at, segment) in shape.iter_mut().enumerate() {
            if path.get(at) != Some(segment) {
                *segment = match pattern.get(at) {
                    Some(own) if own != "**" => own.clone(),
                    _ => "*".to_owned(),
                };
            }
        }
    }
    shapes.into_values().collect()
}

/// Whether a written segment can match more than one text, references aside.
fn is_pattern(segment: &str) -> bool {
    let mut characters = segment.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                characters.next();
            }
            '$' if characters.peek() == Some(&'{') => {
                characters.find(|c| *c == '}');
            }
            '*' | '{' => return true,
            _ => {}
        }
    }
    false
}

fn joined(methods: &BTreeSet<Method>) -> String {
    methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join("|")
}

/// Whether `written` says these methods and no others, in whatever order.
fn is_spelling(written: &str, methods: &BTreeSet<Method>) -> bool {
    crate::http::Methods::parse(written).is_ok_and(|written| written.iter().collect::<BTreeSet<_>>() == *methods)
}
