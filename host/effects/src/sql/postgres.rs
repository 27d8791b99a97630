//! PostgreSQL: a connection over our own egress, driven by a task that ends with the session.

mod failure;
mod login;
mod marks;
mod number;
pub(super) mod ownership;
mod parameter;
mod remains;
mod shape;
mod time;
mod value;
mod wire;
mod worker;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pipe_core::event::{LogLevel, Started};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};
use tokio_postgres::{AsyncMessage, Client, Connection};
use tokio_util::sync::CancellationToken;

pub(crate) use self::remains::sessions_at;
use self::{
    login::Login,
    wire::{Metered, TlsSocket},
    worker::{Marked, Worker},
};
use super::{Access, work::Request};
use crate::{
    error::EffectError,
    session::{Session, journal_failed},
    world::Peer,
};

/// How long a connection may take, and then a login.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the server may take to stop what it was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The most notices of one connection that are passed on.
const MOST_NOTICES: usize = 100;

/// Connects and logs in.
pub(super) async fn open(
    session: &Arc<Session>,
    peer: &Peer,
    access: Access,
    permit: OwnedSemaphorePermit,
) -> Result<mpsc::Sender<Request>, EffectError> {
    let login = Login::prepare(session, peer, access).await?;
    let server = session.until_cancelled(login.connect(session)).await?;
    let ready = session.until_cancelled(server.set_up(&login)).await.map_err(|mut error| {
        error.message = session.world.redactor.redact(&error.message).into_owned();
        error
    })?;
    if let Some(reason) = ready.refused(access, &login) {
        return Err(session.refuse_sql(peer, reason).await);
    }
    if ready.superuser {
        let warning = format!("{}: `{}` is a superuser, and may run programs on the server", peer.name, login.user);
        session.ledger.logged(LogLevel::Warning, warning, BTreeMap::new());
    }
    if access == Access::Write {
        let opened = session.until_cancelled(server.identify(&login)).await?;
        session.ledger.started(Started::DatabaseSession(opened)).await.map_err(journal_failed)?;
    }
    let mut marked = None;
    if let (Access::Write, Some(book)) = (access, session.markers(&peer.name)) {
        let table = session.until_cancelled(marks::learn(session, &server, &login, &book)).await?;
        marked = Some(Marked { book, table, course: None });
    }
    let (requests, receiver) = mpsc::channel(1);
    let worker = Worker::new(Arc::clone(session), login, server, marked);
    session.operations().spawn(async move {
        let _permit = permit;
        worker.serve(receiver).await;
    });
    Ok(requests)
}

/// A connection that is logged in.
struct Server {
    client: Client,
    /// Ends when the connection has ended, and says whether it did so by itself.
    driver: JoinHandle<bool>,
    wire: wire::Meter,
    /// The very server that a cancellation must reach.
    address: std::net::SocketAddr,
}

/// Moves bytes until the connection ends. Once the session is cancelled there is [`GRACE`] left for that. Says whether the
/// connection ended by itself.
async fn drive(
    mut connection: Connection<Metered, TlsSocket>,
    notices: Notices,
    cancellation: CancellationToken,
) -> bool {
    let mut left = MOST_NOTICES;
    let moved = async {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(notice) = message
                && left > 0
            {
                left -= 1;
                notices.tell(notice.severity(), notice.message());
            }
        }
    };
    let late = async {
        cancellation.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = moved => true,
        () = late => false,
    }
}

/// Passes on what the server says beside its answers.
struct Notices {
    session: Arc<Session>,
    peer: String,
}

impl Notices {
    fn tell(&self, severity: &str, message: &str) {
        let line = format!("{}: {severity}: {message}", self.peer);
        let line: String = self
            .session
            .world
            .redactor
            .redact(&line)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(500)
            .collect();
        let level = if severity == "WARNING" { LogLevel::Warning } else { LogLevel::Debug };
        self.session.ledger.logged(level, line, BTreeMap::new());
    }
}
