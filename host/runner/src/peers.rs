//! The peers of a pipeline file as the effects know them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pipe_effects::{
    path::resolve,
    world::{ClientIdentity, Peer, TlsMode},
};
use pipe_pipeline::{PeerSpec, Pipeline, Tls};

/// All of them, by name.
pub(crate) fn peers(pipeline: &Pipeline) -> BTreeMap<String, Peer> {
    pipeline.peers.iter().map(|(name, spec)| (name.clone(), peer(name, spec))).collect()
}

/// Where the file of an SQLite peer lies.
pub(crate) fn database(peers: &BTreeMap<String, Peer>, name: &str, file: &Path) -> PathBuf {
    peers.get(name).and_then(|peer| peer.pinned.clone()).unwrap_or_else(|| file.to_owned())
}

/// A peer of the file as the effects know it.
pub(crate) fn peer(name: &str, spec: &PeerSpec) -> Peer {
    Peer {
        name: name.to_owned(),
        url: spec.url.clone(),
        password: spec.password.clone(),
        bearer: spec.bearer.clone(),
        secret_path: spec.secret_path.clone(),
        tls: match spec.tls {
            Tls::VerifyFull => TlsMode::VerifyFull,
            Tls::Disable => TlsMode::Disable,
        },
        ca: spec.ca.clone(),
        client: spec
            .client
            .as_ref()
            .map(|client| ClientIdentity { certificate: client.certificate.clone(), key: client.key.clone() }),
        addresses: spec.addresses.clone(),
        pinned: spec.database.as_ref().map(|file| resolve(Path::new("/"), file)),
    }
}
