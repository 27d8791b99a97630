//! Work that blocks: off the async threads, seen by [`Session::close`], and told when it must stop.

use std::{fmt::Display, io};

use tokio_util::sync::CancellationToken;

use crate::{
    error::{EffectError, ErrorKind},
    session::Session,
};

impl Session {
    /// Runs `work` where it may block. The token it gets is cancelled with the session, or when the caller goes away; work
    /// that takes long looks at it with [`go_on`].
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let token = self.cancellation().child_token();
        let _stops_with_caller = token.clone().drop_guard();
        let task = self.operations().spawn_blocking(move || {
            go_on(&token)?;
            work(&token)
        });
        task.await.unwrap_or_else(|lost| Err(io::Error::other(format!("the work was lost: {lost}"))))
    }
}

/// An error once the work must stop.
pub(crate) fn go_on(token: &CancellationToken) -> io::Result<()> {
    if token.is_cancelled() { Err(io::Error::other(EffectError::cancelled())) } else { Ok(()) }
}

/// The effect's own error where one came through an I/O trait, else what the operating system said, after `doing`.
pub(crate) fn effect_error(error: io::Error, doing: impl Display) -> EffectError {
    match error.downcast::<EffectError>() {
        Ok(error) => error,
        Err(error) => EffectError::new(ErrorKind::Failed, format!("{doing}: {error}")),
    }
}
