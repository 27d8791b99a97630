//! Waves: each is released once, then held while its guard looks. Time is that of the monotonic clock: a clock that is set
//! shortens no hold, and a process that goes on with one begins it again.

use std::{sync::PoisonError, time::Duration};

use pipe_core::{
    event::{Breach, EventKind, Wave},
    report::{Failure, FailureKind, StageReport},
};
use pipe_journal::JournalError;
use pipe_pipeline::{Guard, Step};
use tokio::time::Instant;

use crate::{
    guard::Verdict,
    step::{Stepper, Stopped, refused},
};

/// How a part of a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// As it should.
    Well,
    /// A check was not met, and that was written down.
    Breached,
    /// The operator stopped it.
    Interrupted,
}

impl Stepper<'_> {
    /// The wave that an attempt of this step would release.
    pub(crate) fn next_wave(&self, step: &Step) -> Option<Wave> {
        let released = self.recorder.state().step(&step.id).map_or(0, |known| known.waves.released);
        wave(step, released.checked_add(1)?)
    }

    /// Writes down that a wave was released. Durable before it is held.
    pub(crate) async fn wave_released(
        &self,
        step: &Step,
        wave: Wave,
        report: StageReport,
    ) -> Result<Stopped, JournalError> {
        self.recorder.durable(EventKind::WaveReleased { step: step.id.clone(), wave, report }).await?;
        Ok(Stopped::No)
    }

    /// Ends a step whose waves have all held: with the report of the last, and what was live before the first.
    pub(crate) async fn finish_waves(&self, step: &Step) -> Result<Stopped, JournalError> {
        let waves = self.recorder.state().step(&step.id).map(|known| known.waves.clone()).unwrap_or_default();
        let report = StageReport { before: waves.before, ..waves.report.unwrap_or_default() };
        self.finish(step, Ok(report)).await
    }

    /// Holds a wave while its guard looks.
    pub(crate) async fn hold(&self, step: &Step, index: u32, guard_first: bool) -> Result<Stopped, JournalError> {
        let began = std::time::Instant::now();
        self.began.lock().unwrap_or_else(PoisonError::into_inner).entry(step.id.clone()).or_insert(began);
        let place = usize::try_from(index).unwrap_or(usize::MAX).wrapping_sub(1);
        let (Some(wave), Some(planned)) = (wave(step, index), step.waves.get(place)) else {
            return self.finish(step, Err(refused(format!("it has no wave {index}")))).await;
        };
        let guard = step.guard.as_ref();
        let mut held = Held::Well;
        if let (true, Some(guard)) = (guard_first, guard) {
            held = self.look(step, wave, guard).await?;
        }
        if held == Held::Well {
            let hold_ms = u64::try_from(planned.hold.as_millis()).unwrap_or(u64::MAX);
            self.recorder.durable(EventKind::WaveHolding { step: step.id.clone(), wave, hold_ms }).await?;
            held = self.hold_for(step, wave, planned.hold, guard).await?;
        }
        match held {
            Held::Well => {
                self.recorder.durable(EventKind::WaveFinished { step: step.id.clone(), wave }).await?;
                Ok(Stopped::No)
            }
            Held::Breached => Ok(Stopped::No),
            Held::Interrupted if self.stops() => Ok(Stopped::Here),
            Held::Interrupted => self.finish(step, Err(interrupted(wave))).await,
        }
    }

    /// Looks every so often until the time is over, and once more then: nothing goes on that was not looked at.
    async fn hold_for(
        &self,
        step: &Step,
        wave: Wave,
        lasts: Duration,
        guard: Option<&Guard>,
    ) -> Result<Held, JournalError> {
        let ends = Instant::now() + lasts;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            let pause = guard.map_or(left, |guard| guard.every.min(left));
            if !self.wait(step, wave, Instant::now() + pause, ends).await {
                return Ok(Held::Interrupted);
            }
            let over = Instant::now() >= ends;
            let held = match guard {
                Some(guard) => self.look(step, wave, guard).await?,
                None => Held::Well,
            };
            if held != Held::Well || over {
                return Ok(held);
            }
        }
    }

    /// Waits, and says how long the hold still takes. Says whether nobody interrupted it.
    async fn wait(&self, step: &Step, wave: Wave, until: Instant, ends: Instant) -> bool {
        loop {
            let now = Instant::now();
            let left = ends.saturating_duration_since(now);
            if !left.is_zero() {
                self.recorder.tell(EventKind::Holding {
                    step: step.id.clone(),
                    wave,
                    left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                });
            }
            let tick = until.min(now + Duration::from_secs(1));
            tokio::select! {
                biased;
                () = self.interrupt.cancelled() => return false,
                () = tokio::time::sleep_until(tick) => {}
            }
            if Instant::now() >= until {
                return true;
            }
        }
    }

    /// Makes every check of the guard once, and writes down what they said.
    async fn look(&self, step: &Step, wave: Wave, guard: &Guard) -> Result<Held, JournalError> {
        let verdict =
            self.round(guard, |checked| EventKind::GuardChecked { step: step.id.clone(), wave, checked }).await?;
        let (breach, failure) = match verdict {
            Verdict::Interrupted => return Ok(Held::Interrupted),
            Verdict::Met | Verdict::Breached(Breach::Warn, _) => return Ok(Held::Well),
            Verdict::Breached(breach, failure) => (breach, failure),
        };
        let failure = Failure { message: format!("{} in {wave}", failure.message), ..failure };
        self.recorder.durable(EventKind::GuardBreached { step: step.id.clone(), wave, breach, failure }).await?;
        Ok(Held::Breached)
    }
}

/// A wave of a step by its number.
fn wave(step: &Step, index: u32) -> Option<Wave> {
    let place = usize::try_from(index).ok()?.checked_sub(1)?;
    let weight = step.waves.get(place)?.weight;
    Some(Wave { index, count: u32::try_from(step.waves.len()).unwrap_or(u32::MAX), weight })
}

fn interrupted(wave: Wave) -> Failure {
    let message = format!("interrupted by the operator while {wave} was held");
    Failure { kind: FailureKind::Interrupted, ..refused(message) }
}
