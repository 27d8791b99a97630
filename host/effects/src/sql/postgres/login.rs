//! Connecting to PostgreSQL: address, TLS, password, and what the login may do.

use std::{net::SocketAddr, sync::Arc};

use pipe_capability::{denial::Denial, word::Word};
use tokio::time::timeout;
use tokio_postgres::{
    Config, SimpleQueryMessage,
    config::{ChannelBinding, SslMode},
};

use super::{
    Access, CONNECT, Notices, Server, drive, failure,
    wire::{Checked, Meter, Metered},
};
use crate::{
    egress::{self, Endpoint, Unresolved},
    error::{EffectError, ErrorKind},
    session::Session,
    world::{Peer, TlsMode},
};

/// How long a reading statement may run, whatever the step's own limit: what reads for longer is in somebody's way.
const READING: &str = "10min";

/// Everything needed to log in.
pub(super) struct Login {
    pub(super) peer: String,
    pub(super) user: String,
    pub(super) endpoint: Endpoint,
    pub(super) access: Access,
    pub(super) tls: Checked,
    addresses: Vec<SocketAddr>,
    config: Config,
    /// Name of the password's secret.
    secret: Option<String>,
}

/// What the server says about the login.
pub(super) struct Ready {
    pub(super) superuser: bool,
    /// Roles that could do more than read.
    dangerous: Vec<String>,
}

impl Ready {
    /// Why the login is not one to read with.
    pub(super) fn refused(&self, access: Access, login: &Login) -> Option<String> {
        let advice = "give the peer a login that may only read";
        match access {
            Access::Write => None,
            Access::Read if self.superuser => Some(format!(
                "`{}` is a superuser, whom no transaction keeps from the server's files: {advice}",
                login.user
            )),
            Access::Read if self.dangerous.is_empty() => None,
            Access::Read => {
                let roles = self.dangerous.join(", ");
                Some(format!("`{}` is a member of {roles}, and so could do more than read: {advice}", login.user))
            }
        }
    }
}

impl Login {
    /// Looks everything up, and refuses what may not be: addresses, and passwords in the clear.
    pub(super) async fn prepare(session: &Session, peer: &Peer, access: Access) -> Result<Self, EffectError> {
        let endpoint = peer.endpoint(5432)?;
        let user = peer
            .user()?
            .ok_or_else(|| peer.wrong("names no user").with_hint("as in `postgres://user@host/database`"))?;
        let database = peer.path()?.trim_start_matches('/').to_owned();
        if database.is_empty() {
            return Err(peer.wrong("names no database").with_hint("as in `postgres://user@host/database`"));
        }
        let addresses = match session.resolve(&endpoint, &peer.addresses, CONNECT).await {
            Ok(addresses) => addresses,
            Err(Unresolved::Failed(error)) => return Err(error),
            Err(Unresolved::Refused(refused)) => {
                return Err(session.refuse(refused.at_peer(Word::Sql, &peer.name, &peer.addresses)).await);
            }
        };
        let secure = peer.tls == TlsMode::VerifyFull;
        let mut config = Config::new();
        if let Some(secret) = &peer.password {
            if !secure && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
                let reason = "the peer says `tls = \"disable\"`, and the password would travel in the clear";
                let subject = format!("{secret} to {}", peer.name);
                return Err(session.refuse(Denial::new(Word::Secrets, &subject, reason)).await);
            }
            config.password(session.secret_value(secret)?);
        }
        let application: String = format!("pipe/{}", session.step).chars().filter(char::is_ascii).take(63).collect();
        config
            .user(&user)
            .dbname(&database)
            .application_name(&application)
            .channel_binding(ChannelBinding::Prefer)
            .ssl_mode(if secure { SslMode::Require } else { SslMode::Disable });
        let roots = if secure { Some(session.tls_config(&peer.trust()).await?) } else { None };
        let tls = Checked { config: roots, endpoint: endpoint.clone(), limit: CONNECT };
        let secret = peer.password.clone();
        Ok(Self { peer: peer.name.clone(), user, endpoint, access, tls, addresses, config, secret })
    }

    /// The same, at `address` and nowhere else where that is one of the addresses.
    pub(super) fn preferring(mut self, address: &str) -> Self {
        if let Some(found) = address.parse().ok().filter(|address| self.addresses.contains(address)) {
            self.addresses = vec![found];
        }
        self
    }

    /// Connects, shakes hands and logs in. From here on a task of the session moves the bytes.
    pub(super) async fn connect(&self, session: &Arc<Session>) -> Result<Server, EffectError> {
        let stream = egress::connect(&self.endpoint, &self.addresses, CONNECT).await?;
        let address =
            stream.peer_addr().map_err(|error| egress::failure::connect(&self.endpoint, self.addresses[0], &error))?;
        let wire = Meter::full();
        let logged_in =
            timeout(CONNECT, self.config.connect_raw(Metered::new(stream, wire.clone()), self.tls.clone())).await;
        let (client, connection) = logged_in
            .map_err(|_| egress::failure::connect_timed_out(&self.endpoint, CONNECT))?
            .map_err(|error| failure::login(&self.endpoint, self.secret.as_deref(), &session.world.redactor, &error))?;
        let notices = Notices { session: Arc::clone(session), peer: self.peer.clone() };
        let driver = session.operations().spawn(drive(connection, notices, session.cancellation().clone()));
        Ok(Server { client, driver, wire, address })
    }

    /// The address of the server that is connected, for a cancellation to go there and nowhere else.
    pub(super) async fn again(&self, address: SocketAddr) -> Result<Metered, EffectError> {
        egress::connect(&self.endpoint, &[address], CONNECT).await.map(|stream| Metered::new(stream, Meter::full()))
    }
}

impl Server {
    /// Makes the session what the fences take it for, and asks what the login may do.
    pub(super) async fn set_up(&self, login: &Login) -> Result<Ready, EffectError> {
        let late = || egress::failure::connect_timed_out(&login.endpoint, CONNECT);
        let failed = |error| failure::set_up(&login.endpoint, &error);
        let mut settings = "SET standard_conforming_strings = on;".to_owned();
        if login.access == Access::Read {
            settings.push_str(&format!("SET default_transaction_read_only = on; SET statement_timeout = '{READING}'"));
        }
        timeout(CONNECT, self.client.batch_execute(&settings)).await.map_err(|_| late())?.map_err(failed)?;
        // Makes a server from version 14 on stop by itself if this process is killed. Others cannot.
        let watched = self.client.batch_execute("SET client_connection_check_interval = '5s'");
        let _ = timeout(CONNECT, watched).await.map_err(|_| late())?;
        let answer = timeout(CONNECT, self.client.simple_query(ROLES)).await.map_err(|_| late())?.map_err(failed)?;
        let mut ready = Ready { superuser: false, dangerous: Vec::new() };
        let mut known = false;
        for message in answer {
            if let SimpleQueryMessage::Row(row) = message
                && let (Some(name), Some(kind)) = (row.get("rolname"), row.get("kind"))
            {
                known = true;
                match kind {
                    "superuser" => ready.superuser = true,
                    "dangerous" => ready.dangerous.push(format!("`{}`", name.replace('`', ""))),
                    _ => {}
                }
            }
        }
        if known {
            Ok(ready)
        } else {
            let what = format!("{}: the server does not say what the login may do", login.endpoint);
            Err(EffectError::new(ErrorKind::Failed, what))
        }
    }
}

/// The roles that the login is or can become, as far as they could do more than read. One row always: the login itself.
/// The path is pinned first, so that no function or operator of somebody else answers in the catalog's name.
const ROLES: &str = "\
BEGIN READ ONLY; \
SET LOCAL search_path = pg_catalog; \
SELECT r.rolname, \
  CASE WHEN r.rolname = session_user AND r.rolsuper THEN 'superuser' \
       WHEN r.rolname = session_user THEN 'login' ELSE 'dangerous' END AS kind \
FROM pg_catalog.pg_roles r \
WHERE r.rolname = session_user \
   OR (pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') \
       AND (r.rolsuper OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', \
                                        'pg_execute_server_program', 'pg_signal_backend'))) \
ORDER BY r.rolname <> session_user, r.rolname LIMIT 20; \
ROLLBACK";
