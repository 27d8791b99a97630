//! The environment of a program: what the grant says and nothing of the operator's.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use pipe_capability::exec::ExecRule;
use secrecy::ExposeSecret as _;

use super::{credentials, program::SEARCH_PATH, program::absolute_entries};
use crate::{
    error::{EffectError, ErrorKind},
    world::World,
};

/// What a program finds in its environment.
pub(super) struct Environment {
    /// By name.
    pub(super) variables: BTreeMap<String, OsString>,
    /// Which secrets are among them, and as what: `db as PGPASSFILE`.
    pub(super) secrets: Vec<String>,
}

/// The variables of a program that runs by `rule`, with `scratch` as its home and place for temporary files.
///
/// Later ones win: ours, the rule's, the peer's login at `addresses`, secrets. What holds a secret is written nowhere else,
/// but for the password file of libpq and the secrets that are handed over as files. These lie in `scratch`.
pub(super) fn environment(
    rule: &ExecRule,
    world: &World,
    step: &str,
    scratch: &Path,
    addresses: &[SocketAddr],
) -> Result<Environment, EffectError> {
    let mut secrets = Vec::new();
    let mut variables: BTreeMap<String, OsString> = BTreeMap::new();
    variables.insert("LANG".to_owned(), "C.UTF-8".into());
    variables.insert("HOME".to_owned(), scratch.into());
    variables.insert("TMPDIR".to_owned(), scratch.into());
    if rule.ports.contains(&DNS) {
        // Datagrams are not to be had, and servers of names answer streams as well.
        variables.insert("RES_OPTIONS".to_owned(), "use-vc".into());
    }
    for (name, value) in &rule.env {
        variables.insert(name.clone(), value.into());
    }
    variables.insert("PATH".to_owned(), search_path(rule).into());
    if let Some(peer) = &rule.peer {
        let password = world.peers.get(peer).and_then(|peer| peer.password.as_ref());
        secrets.extend(password.map(|secret| format!("{secret} as PGPASSFILE")));
        let client = world.peers.get(peer).and_then(|peer| peer.client.as_ref());
        secrets.extend(client.map(|client| format!("{} as PGSSLKEY", client.key)));
        variables.extend(credentials::of_peer(peer, world, step, scratch, addresses)?);
    }
    let value = |name: &str, secret: &str| {
        let undeclared = || format!("the secret `{secret}` for {name} is not declared");
        world.secrets.get(secret).ok_or_else(|| EffectError::new(ErrorKind::Invalid, undeclared()))
    };
    for (name, secret) in &rule.secret_env {
        variables.insert(name.clone(), value(name, secret)?.expose_secret().into());
        secrets.push(format!("{secret} as {name}"));
    }
    for (name, secret) in &rule.secret_file {
        let path = scratch.join(format!("secret-{name}"));
        write_private(&path, value(name, secret)?.expose_secret()).map_err(|error| {
            EffectError::new(ErrorKind::Unavailable, format!("the secret `{secret}` as a file for {name}: {error}"))
        })?;
        variables.insert(name.clone(), path.into());
        secrets.push(format!("{secret} as the file of {name}"));
    }
    Ok(Environment { variables, secrets })
}

/// The port of servers of names.
const DNS: u16 = 53;

/// Writes a file that nobody else may open, and that is not there yet.
pub(super) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}

/// Where the rule's program is looked up.
pub(super) fn search_path(rule: &ExecRule) -> String {
    rule.env.get("PATH").map_or_else(|| SEARCH_PATH.to_owned(), |path| absolute_entries(path))
}
