//! The secrets of a request. Filled in by the host where the guest cannot see them, over TLS or to this machine only.

use std::net::SocketAddr;

use super::outgoing::Destination;
use crate::{
    error::{EffectError, ErrorKind},
    session::Session,
    world::Peer,
};
use base64::Engine as _;
use http::{HeaderName, HeaderValue, header};
use pipe_capability::{
    denial::Denial,
    http::HttpRule,
    secret::{SecretSlot, SlotTarget},
    word::Word,
};

/// What goes into the request at the very end.
#[derive(Default)]
pub(super) struct Filled<'g> {
    headers: Vec<(HeaderName, HeaderValue)>,
    path: Option<String>,
    slots: Vec<&'g SecretSlot>,
    /// The peer's own login: name of the secret, and as what it goes where.
    own: Vec<(&'g str, String)>,
}

/// A secret in a request, for the record.
pub(super) struct SecretUse<'g> {
    /// Its name.
    pub(super) secret: &'g str,
    /// Where it goes, and as what.
    pub(super) for_what: String,
    /// The line that led there.
    pub(super) rule: String,
}

impl<'g> Filled<'g> {
    /// Whether the request holds no secret.
    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.path.is_none()
    }

    /// Headers, which replace those of the guest.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    /// Goes before the guest's path. Begins with a slash and does not end with one.
    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Every secret in the request. The peer's own login is there since `rule` grants the peer.
    pub(super) fn uses(&self, rule: &HttpRule) -> impl Iterator<Item = SecretUse<'_>> {
        let own = self.own.iter().map(|(secret, for_what)| SecretUse {
            secret,
            for_what: for_what.clone(),
            rule: rule.to_string(),
        });
        let slots = self.slots.iter().map(|slot| SecretUse {
            secret: &slot.name,
            for_what: format!("to {}", slot.to),
            rule: slot.to_string(),
        });
        own.chain(slots)
    }

    fn header(&mut self, peer: &Peer, secret: &str, name: HeaderName, value: &str) -> Result<(), EffectError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            let what = format!("the secret `{secret}` cannot stand in a header of a request to `{}`", peer.name);
            EffectError::new(ErrorKind::Invalid, what).with_hint("does its file hold more than one line?")
        })?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(())
    }
}

impl Session {
    /// The secrets of a request to `destination`, whose host has these `addresses`.
    pub(super) async fn secrets_for<'s>(
        &'s self,
        destination: &Destination<'s>,
        addresses: &[SocketAddr],
    ) -> Result<Filled<'s>, EffectError> {
        let Some(peer) = destination.peer else { return Ok(Filled::default()) };
        let to = SlotTarget::Peer(peer.name.clone());
        let granted: Vec<&SecretSlot> = self.grant.secrets.iter().filter(|slot| slot.to == to).collect();
        let own = [&peer.password, &peer.bearer, &peer.secret_path].into_iter().flatten();
        let mut names = own.chain(granted.iter().map(|slot| &slot.name));
        if let Some(name) = names.next()
            && !destination.secure
            && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
        {
            let reason = "the peer's `url` is not `https`, and the secret would travel in the clear";
            return Err(self.refuse(Denial::new(Word::Secrets, &format!("{name} to {to}"), reason)).await);
        }

        let mut filled = Filled::default();
        let login = [(&peer.password, "password"), (&peer.bearer, "bearer"), (&peer.secret_path, "secret_path")];
        for (name, kind) in login {
            filled.own.extend(name.as_deref().map(|name| (name, format!("to {to} ({kind})"))));
        }
        // Not in the request, but in the handshake before it.
        if let Some(client) = peer.client.as_ref().filter(|_| destination.secure) {
            filled.own.push((client.key.as_str(), format!("to {to} (client_key)")));
        }
        if let Some(name) = &peer.password {
            let login = format!("{}:{}", peer.user()?.unwrap_or_default(), self.secret_value(name)?);
            let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login));
            filled.header(peer, name, header::AUTHORIZATION, &value)?;
        }
        if let Some(name) = &peer.bearer {
            filled.header(peer, name, header::AUTHORIZATION, &format!("Bearer {}", self.secret_value(name)?))?;
        }
        if let Some(name) = &peer.secret_path {
            filled.path = Some(path(peer, name, self.secret_value(name)?)?);
        }
        for slot in granted {
            let Some(header) = slot.header.as_deref() else { continue };
            let header = HeaderName::try_from(header)
                .map_err(|_| EffectError::new(ErrorKind::Invalid, format!("`{header}` is not the name of a header")))?;
            filled.header(peer, &slot.name, header, &slot.fill(self.secret_value(&slot.name)?))?;
            filled.slots.push(slot);
        }
        Ok(filled)
    }
}

/// A path out of a secret. The error does not show it.
fn path(peer: &Peer, secret: &str, value: &str) -> Result<String, EffectError> {
    let is_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    let path = value.trim_matches('/');
    if path.is_empty() || !path.bytes().all(is_path) {
        let what = format!("the secret `{secret}` of the peer `{}` is not a path", peer.name);
        return Err(EffectError::new(ErrorKind::Invalid, what)
            .with_hint("only what stands behind the host: `services/T000/B000/XXXX`"));
    }
    Ok(format!("/{path}"))
}
