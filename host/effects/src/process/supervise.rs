//! From a decision to a running program.

use std::{process::Stdio, sync::Arc};

use pipe_capability::{denial::Denial, word::Word};
use pipe_core::event::{Started, Use};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::DropGuard;

use super::{
    Command, Exit, arguments,
    launch::{self, Steps},
    prepare::prepare,
    stop::Stop,
};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
    session::{Session, journal_failed},
};

/// The program's ends of its three streams.
pub(crate) struct Streams {
    /// Standard input.
    pub(crate) input: Stdio,
    /// Standard output.
    pub(crate) output: Stdio,
    /// Standard error.
    pub(crate) error_output: Stdio,
}

/// A program below its supervisor. Dropping it ends both.
pub(crate) struct Supervised {
    stop: Stop,
    ended: watch::Receiver<Option<Result<Exit, EffectError>>>,
    _ends_when_dropped: DropGuard,
}

impl Supervised {
    /// What ends the program.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Waits until nothing of the program is left.
    pub(crate) async fn wait(&mut self) -> Result<Exit, EffectError> {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Err(lost())),
            Err(_) => Err(lost()),
        }
    }
}

impl Session {
    /// Starts a program under a supervisor: decision, fence, record, start. Returns once the program runs.
    pub(crate) async fn supervise(
        self: &Arc<Self>,
        command: &Command,
        streams: Streams,
    ) -> Result<Supervised, EffectError> {
        arguments::check(command)?;
        let rule = match self.grant.exec(&command.program, &command.arguments) {
            Ok(rule) => rule.clone(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let written = rule.to_string();
        let used = Use {
            word: Word::Exec.as_str().to_owned(),
            subject: arguments::shown(&rule, command),
            rule: written.clone(),
            effect: true,
            proof: arguments::left_open(&rule, command).and_then(|text| self.proof(Word::Exec, &text)),
            fence: None,
        };
        let failed = format!("cannot start {}", command.program);
        let addresses = match &rule.peer {
            Some(peer) => self.addresses_for_program(peer).await?,
            None => Vec::new(),
        };
        let prepared = {
            let (session, command) = (Arc::clone(self), command.clone());
            self.blocking(move |_| prepare(&session, rule, &command, &addresses))
                .await
                .map_err(|error| effect_error(error, &failed))?
        };
        if let Some(reason) = &prepared.refused {
            return Err(self.refuse(Denial::new(Word::Exec, &command.program, reason.as_str())).await);
        }
        let secrets = prepared.secrets.clone();
        let token = self.cancellation().child_token();
        let stop = Stop::new(token.clone());
        let (say_ended, ended) = watch::channel(None);
        let (say_ready, ready) = oneshot::channel();
        let (say_begin, begin) = oneshot::channel();
        let (say_started, started) = oneshot::channel();
        // A task of its own: it sees the supervisor to its end whatever becomes of the caller.
        let (supervisor, watched) = (self.world.supervisor.clone(), stop.clone());
        self.operations().spawn(async move {
            let say = |exit| drop(say_ended.send_replace(Some(exit)));
            let steps = Steps { ready: say_ready, begin, started: say_started };
            launch::run(supervisor, prepared, streams, &watched, steps, say).await;
        });
        let supervised = Supervised { stop, ended, _ends_when_dropped: token.drop_guard() };
        // Nothing where there will be no program: then the error comes below.
        if let Ok((fence, program)) = ready.await {
            self.ledger.started(Started::Program(program)).await.map_err(journal_failed)?;
            self.record(Use { fence: Some(fence.to_string()), ..used }).await?;
            for secret in secrets {
                self.secret_used(&secret, &format!("of {}", command.program), &written).await?;
            }
            let _ = say_begin.send(());
        }
        match started.await {
            Ok(Ok(())) => Ok(supervised),
            Ok(Err(error)) => Err(EffectError { message: format!("{failed}: {}", error.message), ..error }),
            Err(_) => Err(supervised.stop.check().err().unwrap_or_else(lost)),
        }
    }
}

/// The error where nobody saw the end.
pub(super) fn lost() -> EffectError {
    EffectError::new(ErrorKind::Failed, "the supervisor of the program was lost: how the program ended is not known")
}
