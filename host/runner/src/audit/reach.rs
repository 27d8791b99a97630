//! What a deployment may touch, over all its calls: the answer that somebody wants in ten seconds.

use std::path::Path;

use pipe_capability::{
    artifact::ArtifactRule, exec::ExecRule, grant::Grant, http::HttpTarget, path::PathRule, secret::SlotTarget,
    sql::Access, tls::TlsTarget,
};
use pipe_pipeline::{PeerKind, PeerSpec, Pipeline, Step};

use super::report::{Reach, Reached};

/// The areas, in the order in which they are shown.
const AREAS: [&str; 7] = ["network", "databases", "files", "programs", "secrets", "variables", "artifacts"];

/// The flag of what may be changed.
const CHANGE: &str = "may change";

/// What the deployment may touch. Areas of which it may touch nothing are left out.
pub(super) fn of(pipeline: &Pipeline) -> Vec<Reach> {
    let mut reach = AREAS.map(|area| Reach { area, things: Vec::new() });
    for (area, thing) in pipeline.calls().flat_map(|step| touched(pipeline, step)) {
        if let Some(reach) = reach.iter_mut().find(|reach| reach.area == area) {
            add(&mut reach.things, thing);
        }
    }
    for reach in &mut reach {
        // What wants a second look comes first, else the order of the file.
        reach.things.sort_by_key(|thing| thing.flag.is_none());
    }
    reach.into_iter().filter(|reach| !reach.things.is_empty()).collect()
}

/// Adds a thing to those that are known already, under the same name.
fn add(things: &mut Vec<Reached>, thing: Reached) {
    let Some(known) = things.iter_mut().find(|known| known.what == thing.what && known.address == thing.address) else {
        things.push(thing);
        return;
    };
    known.flag = known.flag.or(thing.flag);
    let Reached { how, steps, .. } = thing;
    for (list, more) in [(&mut known.how, how), (&mut known.steps, steps)] {
        for one in more {
            if !list.contains(&one) {
                list.push(one);
            }
        }
    }
}

/// Everything that one call may touch.
fn touched(pipeline: &Pipeline, step: &Step) -> Vec<(&'static str, Reached)> {
    let thing = |what: &str, how: String, flag: Option<&'static str>| Reached {
        what: what.to_owned(),
        address: pipeline.peers.get(what).map(|peer| peer.url.to_string()),
        how: vec![how],
        flag,
        steps: vec![step.id.name.clone()],
    };
    // For what is no peer, whatever it is called.
    let plain = |what: &str, how: String, flag| Reached { address: None, ..thing(what, how, flag) };
    let changes = |yes: bool| yes.then_some(CHANGE);
    let Grant {
        http,
        tcp,
        tls,
        sql,
        mail,
        read,
        write,
        disk,
        env,
        secrets,
        reveal,
        exec,
        artifacts,
        is_for_preview: _,
    } = &step.grant;
    let mut touched = Vec::new();
    for rule in http {
        let text = rule.to_string();
        let flag = changes(rule.methods().iter().any(|method| !method.is_safe()));
        let how = format!("{} {}", rule.methods(), path_of(&text));
        touched.push((
            "network",
            match rule.target() {
                HttpTarget::Peer(name) => thing(name, how, flag),
                origin @ HttpTarget::Origin { .. } => plain(&origin.to_string(), how, flag),
            },
        ));
    }
    touched.extend(
        tcp.iter()
            .map(|rule| ("network", plain(&rule.endpoint().to_string(), "bare connection".to_owned(), Some(CHANGE)))),
    );
    for rule in tls {
        let how = "handshake alone".to_owned();
        touched.push((
            "network",
            match rule.target() {
                TlsTarget::Peer(name) => thing(name, how, None),
                host @ TlsTarget::Host(_) => plain(&host.to_string(), how, None),
            },
        ));
    }
    for rule in sql {
        touched.push(("databases", thing(&rule.peer, rule.access.to_string(), changes(rule.access == Access::Write))));
    }
    for (rules, how) in [(read, &["read"][..]), (write, &["read", "change", "delete"]), (disk, &["free space"])] {
        for rule in rules {
            let what = shown(pipeline, &rule.written, &rule.resolved);
            let how: Vec<String> = how.iter().map(|how| (*how).to_owned()).collect();
            let flag = changes(how.len() > 1);
            touched.push(("files", Reached { how, ..plain(&what, String::new(), flag) }));
        }
    }
    for rule in mail {
        let to = rule.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        touched.push(("network", thing(&rule.peer, format!("mail from {} to {to}", rule.from), Some(CHANGE))));
    }
    for rule in exec {
        touched.push(("programs", plain(&rule.program, arguments(rule), Some("native code"))));
        let by = |how: &str| format!("{how} by the program {}", rule.program);
        for (paths, how) in [(&rule.read, "read"), (&rule.write, "changed")] {
            let file = |path: &PathRule| {
                plain(&shown(pipeline, &path.written, &path.resolved), by(how), changes(how == "changed"))
            };
            touched.extend(paths.iter().map(|path| ("files", file(path))));
        }
        if let Some(cwd) = &rule.cwd {
            touched.push(("files", plain(cwd, by("read"), None)));
        }
        if let Some(peer) = &rule.peer {
            touched.push((
                if is_database(pipeline, peer) { "databases" } else { "network" },
                thing(peer, by("used"), Some(CHANGE)),
            ));
        }
        for port in &rule.ports {
            touched.push(("network", plain(&format!("port {port} of any address"), by("used"), Some(CHANGE))));
        }
        touched.extend(rule.sockets.iter().map(|path| ("network", plain(&path.written, by("used"), Some(CHANGE)))));
    }
    for slot in secrets {
        let how = match &slot.to {
            SlotTarget::Peer(peer) => format!("put into requests to {peer}"),
            SlotTarget::Artifacts => "encrypts artifacts".to_owned(),
        };
        touched.push(("secrets", plain(&slot.name, how, None)));
    }
    touched.extend(
        reveal.iter().map(|rule| ("secrets", plain(rule.name(), "shown to the plugin".to_owned(), Some("plaintext")))),
    );
    for rule in exec {
        for (variable, secret) in rule.secret_env.iter().chain(&rule.secret_file) {
            touched
                .push(("secrets", plain(secret, format!("given to the program {} as {variable}", rule.program), None)));
        }
    }
    for (name, peer) in peers_of(pipeline, step) {
        touched.extend(peer.secrets().map(|secret| ("secrets", plain(secret, format!("login of {name}"), None))));
    }
    touched.extend(env.iter().map(|rule| ("variables", plain(rule.name(), "read".to_owned(), None))));
    for rule in artifacts {
        touched.push((
            "artifacts",
            match rule {
                ArtifactRule::Write => plain("of this run", "store".to_owned(), Some(CHANGE)),
                ArtifactRule::Read(step) => plain(&format!("of the step {step}"), "read".to_owned(), None),
            },
        ));
    }
    touched
}

/// The path of an `http` rule as it is written: `/api/**`.
fn path_of(rule: &str) -> &str {
    let place = rule.split_once(' ').map_or(rule, |(_, place)| place);
    let after_host = place.split_once("://").map_or(place, |(_, rest)| rest);
    after_host.find('/').map_or("", |at| &after_host[at..])
}

/// A path as the file writes it, from the root where that says nothing by itself.
fn shown(pipeline: &Pipeline, written: &str, resolved: &Path) -> String {
    if resolved == pipeline.base { resolved.display().to_string() } else { written.to_owned() }
}

/// A program's arguments, as they read.
fn arguments(rule: &ExecRule) -> String {
    let argv: Vec<String> = rule.argv.iter().map(ToString::to_string).collect();
    if argv.is_empty() { "without arguments".to_owned() } else { argv.join(" ") }
}

/// The peers that the rules of a call name.
fn peers_of<'p>(pipeline: &'p Pipeline, step: &'p Step) -> impl Iterator<Item = (&'p String, &'p PeerSpec)> {
    pipeline.peers.iter().filter(|(name, _)| names_peer(&step.grant, name))
}

fn is_database(pipeline: &Pipeline, peer: &str) -> bool {
    pipeline.peers.get(peer).is_some_and(|peer| peer.kind() == PeerKind::Sql)
}

fn names_peer(grant: &Grant, name: &str) -> bool {
    grant.http.iter().any(|rule| matches!(rule.target(), HttpTarget::Peer(peer) if peer == name))
        || grant.sql.iter().any(|rule| rule.peer == name)
        || grant.mail.iter().any(|rule| rule.peer == name)
        || grant.tls.iter().any(|rule| matches!(rule.target(), TlsTarget::Peer(peer) if peer == name))
        || grant.exec.iter().any(|rule| rule.peer.as_deref() == Some(name))
        || grant.secrets.iter().any(|slot| matches!(&slot.to, SlotTarget::Peer(peer) if peer == name))
}

/// The steps that may reach a peer, by name.
pub(super) fn steps_with_peer(pipeline: &Pipeline, peer: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for step in pipeline.calls().filter(|step| names_peer(&step.grant, peer)) {
        if !steps.contains(&step.id.name) {
            steps.push(step.id.name.clone());
        }
    }
    steps
}
