//! What stands behind names: another address, or another secret, is another right, although no rule has changed.

use std::{collections::BTreeSet, path::Path};

use pipe_pipeline::{PeerSpec, Pipeline, SecretSource, Tls};

use super::{Difference, Side, moved};

/// Peers: where they lead, how, and with whose login.
pub(super) fn peers(old: &Pipeline, new: &Pipeline) -> Vec<Difference> {
    let mut found = Vec::new();
    for name in old.peers.keys().chain(new.peers.keys()).collect::<BTreeSet<_>>() {
        let about = format!("peer {name}");
        let mut say = |side: Side, what: String| found.push(Difference::new(&about, side, what));
        match (old.peers.get(name), new.peers.get(name)) {
            (Some(before), Some(now)) => peer(before, now, (old, new), &mut say),
            // Nothing reaches it without a rule, which is a difference by itself.
            (None, Some(now)) => say(Side::Changed, format!("a new peer: {}", now.url)),
            (Some(_), None) => say(Side::Changed, "is gone".to_owned()),
            (None, None) => {}
        }
    }
    found
}

fn peer(before: &PeerSpec, now: &PeerSpec, (old, new): (&Pipeline, &Pipeline), say: &mut impl FnMut(Side, String)) {
    let mut pair = |gained: Option<String>, lost: Option<String>| {
        if gained != lost {
            gained.into_iter().for_each(|what| say(Side::Gained, what));
            lost.into_iter().for_each(|what| say(Side::Lost, what));
        }
    };
    let (database, base) = (before.database.as_ref(), (&old.base, &new.base));
    let leads_elsewhere = match (database, &now.database) {
        // The URL of a file is its path.
        (Some(before), Some(now)) => moved(before, base.0, base.1) != *now,
        _ => before.url != now.url,
    };
    if leads_elsewhere {
        pair(Some(format!("leads to {}", now.url)), Some(format!("leads to {}", before.url)));
    }
    let secret = |verb: &str, name: &Option<String>| name.as_ref().map(|name| format!("{verb} `{name}`"));
    for (verb, before, now) in [
        ("its password is the secret", &before.password, &now.password),
        ("its bearer is the secret", &before.bearer, &now.bearer),
        ("its path begins with the secret", &before.secret_path, &now.secret_path),
    ] {
        pair(secret(verb, now), secret(verb, before));
    }
    let shows = |peer: &PeerSpec, from: &Path| {
        peer.client.as_ref().map(|client| {
            let certificate = moved(&client.certificate, from, base.1);
            format!("shows the client certificate {}, with the secret `{}`", certificate.display(), client.key)
        })
    };
    pair(shows(now, base.1), shows(before, base.0));
    let plain = |tls: Tls| (tls == Tls::Disable).then(|| "is spoken to without TLS".to_owned());
    pair(plain(now.tls), plain(before.tls));
    let old_ca = before.ca.as_ref().map(|path| moved(path, base.0, base.1));
    if old_ca != now.ca {
        let trusts =
            |ca: Option<&std::path::PathBuf>| {
                Some(ca.map_or_else(
                    || "trusts the system's authorities".to_owned(),
                    |ca| format!("trusts {}", ca.display()),
                ))
            };
        pair(trusts(now.ca.as_ref()), trusts(before.ca.as_ref()));
    }
    for (side, here, there) in
        [(Side::Gained, &now.addresses, &before.addresses), (Side::Lost, &before.addresses, &now.addresses)]
    {
        for net in here.iter().filter(|net| !there.iter().any(|wide| wide.contains(*net))) {
            say(side, format!("may have addresses of {net}"));
        }
    }
}

/// Secrets: where their values come from.
pub(super) fn secrets(old: &Pipeline, new: &Pipeline) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, now) in &new.secrets {
        let about = format!("secret {name}");
        match old.secrets.get(name) {
            None => found.push(Difference::new(&about, Side::Changed, "a new secret")),
            Some(before) => {
                let before = match before {
                    SecretSource::File(path) => SecretSource::File(moved(path, &old.base, &new.base)),
                    SecretSource::Env(_) => before.clone(),
                };
                if before != *now {
                    found.push(Difference::new(&about, Side::Gained, source(now)));
                    found.push(Difference::new(&about, Side::Lost, source(&before)));
                }
            }
        }
    }
    let gone = old.secrets.keys().filter(|name| !new.secrets.contains_key(*name));
    found.extend(gone.map(|name| Difference::new(&format!("secret {name}"), Side::Changed, "is gone")));
    found
}

fn source(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => format!("comes from the variable {name}"),
        SecretSource::File(path) => format!("comes from {}", path.display()),
    }
}
