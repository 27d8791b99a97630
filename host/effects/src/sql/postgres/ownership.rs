//! Who drives the runs of a pipeline in an environment, kept in a database that several hosts share.
//!
//! One row for each pipeline and environment: the epoch, and the run that has it. Whoever takes or frees it raises the epoch in
//! one statement that also says which epoch it found (compare and swap), so that of two at the same instant one succeeds.
//! **The epoch is the fence**, not the connection and not a lock of the server: it holds behind a pooler, over a failover and
//! after a partition, where a session and its advisory lock would be lost or, worse, kept by a server that nobody else talks to.
//! A process asks for it before every effect; where it gets no answer, it does nothing.

mod owner;
mod table;

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pipe_capability::{grant::Grant, sql::Access};
use pipe_core::id::StepId;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::Type;

pub use self::owner::{Owned, SharedClaim, SharedError, SharedOwner};
use self::table::{Connected, Parameter, ROW, odd};
use super::{GRACE, Server, login::Login};
use crate::{
    error::{EffectError, ErrorKind},
    ledger::Ledger,
    session::Session,
    world::World,
};

/// The table that says who owns what, in the schema `public`.
pub const OWNERSHIP_TABLE: &str = "pipe_ownership";

/// How often the server is asked again where the connection was lost, and how long between.
const TRIES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(500);

/// The database of one pipeline and environment, over one kept connection.
pub struct SharedPlace {
    session: Arc<Session>,
    peer: String,
    owned: Owned,
    kept: tokio::sync::Mutex<Option<Connected>>,
}

/// A pipeline and environment that this process owns by the database, as far as anybody knows.
pub struct SharedOwnership {
    place: SharedPlace,
    run: String,
    epoch: u64,
    lost: std::sync::Mutex<Option<SharedError>>,
    is_lost: AtomicBool,
    proven: std::sync::Mutex<Instant>,
}

impl SharedPlace {
    /// At a peer of a world. Connects when something is asked.
    #[must_use]
    pub fn new(world: &Arc<World>, ledger: Arc<dyn Ledger>, peer: &str, owned: Owned) -> Self {
        let session = Session::new(StepId::new("lock"), Arc::new(Grant::default()), Arc::clone(world), ledger);
        Self { session: Arc::new(session), peer: peer.to_owned(), owned, kept: tokio::sync::Mutex::new(None) }
    }

    /// What is owned there.
    #[must_use]
    pub const fn owned(&self) -> &Owned {
        &self.owned
    }

    /// Name of the peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Takes it for a run, durably. Makes the table where it is missing.
    ///
    /// # Errors
    ///
    /// Another run has it, or has had it since, or the database cannot be asked.
    pub async fn take(self, claim: &SharedClaim) -> Result<SharedOwnership, SharedError> {
        let held = claim.held.map(u64::cast_signed);
        // What is there may be this very run of this state directory, whose kernel lock says that nobody else drives it; or it was
        // this directory that had it last or freed it, and nobody since, where a run goes on. A number alone does not say so: after
        // a fail-over that lost what was written last, another may have had it under the same. A run that begins takes what is
        // nobody's.
        let statement = format!(
            "INSERT INTO public.{OWNERSHIP_TABLE} AS known (pipeline, environment, epoch, run, place, owner, state, note, since) \
             VALUES ($1, $2, COALESCE($7, 0) OPERATOR(pg_catalog.+) 1, $3, $4, $5, $6, NULL, pg_catalog.clock_timestamp()) \
             ON CONFLICT (pipeline, environment) DO UPDATE SET epoch = known.epoch OPERATOR(pg_catalog.+) 1, \
             run = EXCLUDED.run, place = EXCLUDED.place, owner = EXCLUDED.owner, state = EXCLUDED.state, note = NULL, \
             since = EXCLUDED.since \
             WHERE (known.run OPERATOR(pg_catalog.=) EXCLUDED.run AND known.place OPERATOR(pg_catalog.=) EXCLUDED.place) \
             OR (known.place OPERATOR(pg_catalog.=) EXCLUDED.place \
             AND ($7 IS NULL OR known.epoch OPERATOR(pg_catalog.=) $7)) \
             OR (known.run IS NULL AND $7 IS NULL) RETURNING epoch"
        );
        let text = |value| -> Parameter<'_> { (value, Type::TEXT) };
        let parameters = [
            text(&self.owned.pipeline),
            text(&self.owned.environment),
            text(&claim.run),
            text(&claim.place),
            text(&claim.owner),
            text(&claim.state),
            (&held, Type::INT8),
        ];
        let mut kept = self.kept.lock().await;
        let connected = self.connected(&mut kept).await?;
        connected.make(&self.session).await?;
        let rows = connected.ask(&self.session, &statement, &parameters).await?;
        let Some(row) = rows.first() else {
            let now = connected.row(&self.session, &self.owned).await?.ok_or(SharedError::Missing)?;
            return Err(match claim.held {
                Some(held) if now.epoch != held => SharedError::Over { held, now: Box::new(now) },
                _ => SharedError::Owned(Box::new(now)),
            });
        };
        let epoch = row.try_get::<_, i64>(0).map_err(|error| odd(&connected.login, &error))?.cast_unsigned();
        drop(kept);
        Ok(SharedOwnership {
            place: self,
            run: claim.run.clone(),
            epoch,
            lost: std::sync::Mutex::default(),
            is_lost: AtomicBool::new(false),
            proven: std::sync::Mutex::new(Instant::now()),
        })
    }

    /// Who has it. Nothing where nobody ever has.
    ///
    /// # Errors
    ///
    /// The database cannot be asked.
    pub async fn look(&self) -> Result<Option<SharedOwner>, SharedError> {
        let mut kept = self.kept.lock().await;
        let connected = self.connected(&mut kept).await?;
        if !connected.has_table(&self.session).await? {
            return Ok(None);
        }
        connected.row(&self.session, &self.owned).await
    }

    /// Ends the epoch of whoever has it, so that it is nobody's; at `place` a run can go on. The epoch that begins with that.
    ///
    /// # Errors
    ///
    /// It is not `seen` any more, or the database cannot be asked.
    pub async fn unlock(&self, seen: &SharedOwner, owner: &str, place: &str, note: &str) -> Result<u64, SharedError> {
        let statement = format!(
            "UPDATE public.{OWNERSHIP_TABLE} SET epoch = epoch OPERATOR(pg_catalog.+) 1, run = NULL, place = $6, owner = $4, \
             state = '', note = $5, since = pg_catalog.clock_timestamp() \
             WHERE {ROW} AND epoch OPERATOR(pg_catalog.=) $3 RETURNING epoch"
        );
        let epoch = seen.epoch.cast_signed();
        let parameters: [Parameter<'_>; 6] = [
            (&self.owned.pipeline, Type::TEXT),
            (&self.owned.environment, Type::TEXT),
            (&epoch, Type::INT8),
            (&owner, Type::TEXT),
            (&note, Type::TEXT),
            (&place, Type::TEXT),
        ];
        let mut kept = self.kept.lock().await;
        let connected = self.connected(&mut kept).await?;
        let rows = connected.ask(&self.session, &statement, &parameters).await?;
        match rows.first() {
            Some(row) => Ok(row.try_get::<_, i64>(0).map_err(|error| odd(&connected.login, &error))?.cast_unsigned()),
            None => {
                let now = connected.row(&self.session, &self.owned).await?.ok_or(SharedError::Missing)?;
                Err(SharedError::Over { held: seen.epoch, now: Box::new(now) })
            }
        }
    }

    /// Says goodbye to the server.
    pub async fn close(&self) {
        if let Some(Connected { server: Server { client, mut driver, .. }, .. }) = self.kept.lock().await.take() {
            drop(client);
            if timeout(GRACE, &mut driver).await.is_err() {
                driver.abort();
            }
        }
        self.session.close().await;
    }

    /// The connection that is kept, or a new one. It is taken out by whoever finds it broken.
    async fn connected<'k>(&self, kept: &'k mut Option<Connected>) -> Result<&'k Connected, SharedError> {
        let connected = match kept.take() {
            Some(connected) => connected,
            None => self.connect().await.map_err(SharedError::Unproven)?,
        };
        Ok(kept.insert(connected))
    }

    async fn connect(&self) -> Result<Connected, EffectError> {
        let session = &self.session;
        let Some(found) = session.world.peers.get(&self.peer) else {
            let what = format!("the pipeline file has no peer `{}`", self.peer);
            return Err(EffectError::new(ErrorKind::Invalid, what));
        };
        let login = Login::prepare(session, found, Access::Write).await?;
        let server = login.connect(session).await?;
        Connected::new(server, login).plain(session).await
    }
}

impl SharedOwnership {
    /// How often it was taken or freed, this time included.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Name of the peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        self.place.peer()
    }

    /// What is owned.
    #[must_use]
    pub const fn owned(&self) -> &Owned {
        self.place.owned()
    }

    /// Why it is not this process's any more, where that is known. Nothing is asked.
    #[must_use]
    pub fn lost(&self) -> Option<SharedError> {
        if !self.is_lost.load(Ordering::SeqCst) {
            return None;
        }
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Proves that it is this process's: one question over the connection that is kept. Where that is lost, over a new one, a few
    /// times. An answer that is younger than `fresh` will do, counted from when it was asked for; the clock of that goes on while
    /// the process is stopped.
    ///
    /// # Errors
    ///
    /// It is not, or nobody can say. From then on it is not, for good: the run has to be resumed.
    pub async fn prove(&self, fresh: Duration) -> Result<(), SharedError> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let is_fresh = || self.proven.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < fresh;
        if is_fresh() {
            return Ok(());
        }
        let mut kept = self.place.kept.lock().await;
        if is_fresh() {
            return Ok(());
        }
        let mut last = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            let asked = Instant::now();
            let answer = match self.place.connected(&mut kept).await {
                Ok(connected) => connected.row(&self.place.session, self.owned()).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(Some(now)) if now.epoch == self.epoch && now.run.as_deref() == Some(self.run.as_str()) => {
                    *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    return Ok(());
                }
                Ok(Some(now)) => return Err(self.lose(SharedError::Over { held: self.epoch, now: Box::new(now) })),
                Ok(None) => return Err(self.lose(SharedError::Missing)),
                Err(error) => {
                    *kept = None;
                    last = Some(error);
                }
            }
        }
        Err(self.lose(last.unwrap_or(SharedError::Missing)))
    }

    /// Gives it back: the run has ended.
    ///
    /// # Errors
    ///
    /// The database cannot be asked. It still says that the run has it.
    pub async fn give_back(&self) -> Result<(), SharedError> {
        let statement = format!(
            "UPDATE public.{OWNERSHIP_TABLE} SET run = NULL, since = pg_catalog.clock_timestamp() \
             WHERE {ROW} AND epoch OPERATOR(pg_catalog.=) $3 AND run OPERATOR(pg_catalog.=) $4"
        );
        let (owned, epoch) = (self.owned(), self.epoch.cast_signed());
        let parameters: [Parameter<'_>; 4] = [
            (&owned.pipeline, Type::TEXT),
            (&owned.environment, Type::TEXT),
            (&epoch, Type::INT8),
            (&self.run, Type::TEXT),
        ];
        let mut kept = self.place.kept.lock().await;
        let connected = self.place.connected(&mut kept).await?;
        connected.ask(&self.place.session, &statement, &parameters).await.map(drop)
    }

    /// Says goodbye to the server. What is owned stays so.
    pub async fn close(&self) {
        self.place.close().await;
    }

    fn lose(&self, why: SharedError) -> SharedError {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        self.is_lost.store(true, Ordering::SeqCst);
        why
    }
}
