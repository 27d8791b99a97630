//! Sessions of a process that is dead: recognised by the number of the server's process and its start, and ended.

use std::sync::Arc;

use pipe_core::event::StartedSession;
use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::{Access, CONNECT, GRACE, Server, failure, login::Login};
use crate::{
    egress,
    error::{EffectError, ErrorKind},
    session::Session,
};

/// When a session began, as text that no setting changes.
const BEGAN: &str =
    "pg_catalog.to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS began";

/// Whatever follows means what it says, however the login's defaults are set.
pub(super) const PLAIN: &str = "SET search_path = pg_catalog; SET standard_conforming_strings = on; \
                     SET default_transaction_read_only = off; SET lock_timeout = 0; SET statement_timeout = '10s'";

impl Server {
    /// What the server calls this session.
    pub(super) async fn identify(&self, login: &Login) -> Result<StartedSession, EffectError> {
        let late = || egress::failure::connect_timed_out(&login.endpoint, CONNECT);
        let failed = |error| failure::set_up(&login.endpoint, &error);
        let statement = format!(
            "SELECT pid, {BEGAN} FROM pg_catalog.pg_stat_activity \
             WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
        );
        let asked = self.client.query_typed(&statement, &[]);
        let rows = timeout(CONNECT, asked).await.map_err(|_| late())?.map_err(failed)?;
        let known = rows.first().and_then(|row| {
            let (backend, backend_start) = (row.try_get("pid").ok()?, row.try_get("began").ok()?);
            let (peer, address) = (login.peer.clone(), self.address.to_string());
            Some(StartedSession { peer, address, backend, backend_start })
        });
        known.ok_or_else(|| {
            let what = format!("{}: the server does not say which session this is", login.endpoint);
            EffectError::new(ErrorKind::Failed, what)
        })
    }
}

/// A server that can be asked about its sessions, and told to end them.
pub(crate) struct Sessions {
    server: Server,
    login: Login,
}

/// Logs in to a peer as a step that may write does: at `address` where the peer still leads there.
pub(crate) async fn sessions_at(session: &Arc<Session>, peer: &str, address: &str) -> Result<Sessions, EffectError> {
    let Some(found) = session.world.peers.get(peer) else {
        return Err(EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no peer `{peer}`")));
    };
    let rule = format!("{} {peer}", Access::Write);
    if let Some(secret) = &found.password {
        session.secret_used(secret, &format!("to {peer} (password)"), &rule).await?;
    }
    if let Some(client) = &found.client {
        session.secret_used(&client.key, &format!("to {peer} (client_key)"), &rule).await?;
    }
    let login = Login::prepare(session, found, Access::Write).await?.preferring(address);
    let server = login.connect(session).await?;
    let sessions = Sessions { server, login };
    let plain = sessions.within(sessions.server.client.batch_execute(PLAIN)).await;
    plain.map(|()| sessions)
}

impl Sessions {
    /// Whether the session is still there. It may show more of itself only to its own login, which this is.
    pub(crate) async fn has(&self, session: &StartedSession) -> Result<bool, EffectError> {
        Ok(!self.each("1", session).await?.is_empty())
    }

    /// Tells the server to end it. The server does so once it can.
    pub(crate) async fn terminate(&self, session: &StartedSession) -> Result<(), EffectError> {
        self.each("pg_catalog.pg_terminate_backend(pid)", session).await.map(drop)
    }

    async fn each(&self, what: &str, session: &StartedSession) -> Result<Vec<tokio_postgres::Row>, EffectError> {
        let statement = format!(
            "SELECT {what} FROM (SELECT pid, {BEGAN} FROM pg_stat_activity WHERE usename = session_user) AS ours \
             WHERE pid = $1 AND began = $2"
        );
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&session.backend, Type::INT4), (&session.backend_start, Type::TEXT)];
        self.within(self.server.client.query_typed(&statement, &parameters)).await
    }

    /// Says goodbye.
    pub(crate) async fn leave(self) {
        let Server { client, mut driver, .. } = self.server;
        drop(client);
        if timeout(GRACE, &mut driver).await.is_err() {
            driver.abort();
        }
    }

    async fn within<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, EffectError> {
        self.server.wire.refill();
        match timeout(CONNECT, asked).await {
            Ok(answer) => answer.map_err(|error| failure::set_up(&self.login.endpoint, &error)),
            Err(_) => Err(egress::failure::connect_timed_out(&self.login.endpoint, CONNECT)),
        }
    }
}
