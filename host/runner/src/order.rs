//! The order rule: a migration begins once a backup of the same run was verified that is all a policy asks of one, and is not
//! too old; or once it is written down who accepts that there is none.
//!
//! What counts was seen by the host, never said by a plugin: that an artifact of a backup step was read back to its end, that the
//! host encrypted it, that the whole of it went into a program that restores and ended well. Which database a dump was made
//! of, and what is in the one that it was restored into, nobody looks at here.

use std::time::Duration;

use jiff::Timestamp;
use pipe_core::{
    event::{EventKind, Moment},
    id::StepId,
    report::{Failure, FailureKind},
    stage::Stage,
    units::format_duration,
};
use pipe_journal::JournalError;
use pipe_pipeline::{BACKUP_AGE, Policy, Step};
use pipe_sandbox::BackupArtifact;

use crate::{
    gate::moment,
    run::Wait,
    state::{ArtifactState, RunState},
    step::{Stepper, refused},
};

/// What policies ask of the backup before a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackupNeeds {
    encrypted: bool,
    restored: bool,
    max_age: Option<Duration>,
}

impl BackupNeeds {
    /// Everything that any of them asks.
    pub(crate) fn of(policies: &[Policy]) -> Self {
        policies.iter().map(|policy| &policy.ceiling.require).fold(Self::default(), |needs, require| Self {
            encrypted: needs.encrypted || require.encrypted_backup_before_migrate,
            restored: needs.restored || require.restored_backup_before_migrate,
            max_age: needs.max_age.into_iter().chain(require.backup_max_age).min(),
        })
    }

    /// Whether there must be one, whoever accepts that there is none.
    const fn insist(self) -> bool {
        self.encrypted || self.restored
    }

    fn met_by(self, known: &ArtifactState) -> bool {
        known.verification.is_some()
            && (known.artifact.encrypted || !self.encrypted)
            && (known.is_restored() || !self.restored)
    }

    /// Why no backup will do, and what to do about it.
    const fn missing(self) -> (&'static str, &'static str) {
        match (self.encrypted, self.restored) {
            (true, true) => (
                "the policy requires a backup of this run that is encrypted and was restored, and there is none",
                "let the backup step encrypt what it stores, and verify it by restoring it",
            ),
            (true, false) => (
                "the policy requires a backup of this run that is encrypted and verified, and there is none",
                "let the backup step encrypt and verify what it stores",
            ),
            (false, true) => (
                "the policy requires a backup of this run that was restored, and there is none",
                "let the backup step verify what it stores by restoring it",
            ),
            (false, false) => ("no backup of this run has been verified", "let the backup step verify what it stores"),
        }
    }
}

/// Whether a migration may begin.
enum Readiness {
    Ready,
    /// No backup will do.
    Missing,
    /// One would, and is too old.
    Stale {
        backup: StepId,
        /// Which backup, how old, and how old it may be.
        why: String,
    },
}

impl Stepper<'_> {
    fn readiness(&self, step: &Step) -> Readiness {
        let needs = self.prepared.needs;
        if step.stage != Stage::Migrate || (step.without_backup.is_some() && !needs.insist()) {
            return Readiness::Ready;
        }
        let state = self.recorder.state();
        let counts: Vec<_> =
            of_backups(&state).filter(|known| needs.met_by(known)).map(|known| (known, &known.taken)).collect();
        let Some((last, _)) = counts.last() else { return Readiness::Missing };
        // What has begun leans on the backup from before that: a later one would hold half of it. And no rollback waits for one.
        if state.rollback.is_some() || state.step(&step.id).is_some_and(|known| known.touched) {
            return Readiness::Ready;
        }
        let most = needs.max_age.into_iter().fold(step.backup_max_age.unwrap_or(BACKUP_AGE), Duration::min);
        let now = moment();
        let newest = || self.newest_entry();
        let ages = counts.iter().filter_map(|(known, taken)| Some((age(taken.as_ref()?, &now, newest)?, known)));
        let (backup, why) = match ages.min_by_key(|(age, _)| *age) {
            Some((age, _)) if age <= most => return Readiness::Ready,
            Some((age, known)) => {
                let (age, most) = (shown(age), format_duration(most));
                (&known.step, format!("began {age} ago, and may be {most} old"))
            }
            None => (
                &last.step,
                "is of unknown age, since the clock was set back since then or the record does not say".to_owned(),
            ),
        };
        let why = format!("\"{}\" does not begin: its backup \"{backup}\" {why}", step.id);
        Readiness::Stale { backup: backup.clone(), why }
    }

    /// What a run waits for before a migration whose backup is too old.
    pub(crate) fn stale(&self, step: &Step) -> Option<Wait> {
        match self.readiness(step) {
            Readiness::Stale { backup, why } => Some(Wait::Backup { backup, why }),
            Readiness::Ready | Readiness::Missing => None,
        }
    }

    /// Why a migration may not begin.
    pub(crate) fn unready(&self, step: &Step) -> Option<Failure> {
        let (message, hint) = match self.readiness(step) {
            Readiness::Ready => return None,
            Readiness::Missing => {
                let (message, hint) = self.prepared.needs.missing();
                (message.to_owned(), hint)
            }
            Readiness::Stale { why, .. } => (why, "begin another run: it takes a backup of its own"),
        };
        let hint = Some(hint.to_owned());
        Some(Failure { kind: FailureKind::Denied, hint, ..refused(message) })
    }

    /// Writes down who accepts that there is no backup.
    pub(crate) async fn waive(&self, step: &Step) -> Result<(), JournalError> {
        let Some(waiver) = &step.without_backup else { return Ok(()) };
        let (role, reason) = (waiver.role.clone(), waiver.reason.clone());
        let actor = self.prepared.actor.clone();
        let rule = "backup".to_owned();
        self.recorder.durable(EventKind::Waived { step: step.id.clone(), rule, role, reason, actor }).await
    }

    /// What a migration is told of the backups before it.
    pub(crate) fn backups(&self) -> Vec<BackupArtifact> {
        of_backups(&self.recorder.state())
            .map(|known| BackupArtifact {
                step: known.step.to_string(),
                digest: known.artifact.digest,
                name: known.artifact.name.clone(),
                verified: known.verification.is_some(),
            })
            .collect()
    }

    /// The latest time in the record of the run, by the wall clock.
    fn newest_entry(&self) -> Option<Timestamp> {
        let events = self.recorder.journal().reader().ok()?.events(self.recorder.run()).ok()?;
        events.iter().map(|stored| stored.at).max()
    }
}

fn of_backups(state: &RunState) -> impl Iterator<Item = &ArtifactState> {
    let of_backup = |step: &StepId| state.step(step).is_some_and(|known| known.stage == Stage::Backup);
    state.artifacts.iter().filter(move |known| of_backup(&known.step))
}

/// How long ago that was; nothing where nobody can know. Within one start of the machine its own clock says so, which nobody
/// moves. Across starts there is only the wall clock, and where that stands before the newest entry of the record, it was set
/// back: it says nothing then.
fn age(taken: &Moment, now: &Moment, newest: impl FnOnce() -> Option<Timestamp>) -> Option<Duration> {
    if taken.boot.is_some() && taken.boot == now.boot {
        return now.boot_ms.checked_sub(taken.boot_ms).map(Duration::from_millis);
    }
    if now.at < newest()? {
        return None;
    }
    now.at.duration_since(taken.at).try_into().ok()
}

/// In whole hours, minutes or seconds, rounded down.
fn shown(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds >= 48 * 3600 => format!("{}h", seconds / 3600),
        seconds if seconds >= 7200 => format!("{}m", seconds / 60),
        0 => format_duration(age),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64, boot: &str, boot_hours: u64) -> Moment {
        let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1_000_000 / 24 + hours);
        Moment { at, boot: Some(boot.to_owned()), boot_ms: boot_hours * 3_600_000 }
    }

    #[test]
    fn no_clock_that_is_set_makes_a_backup_younger() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        let taken = at(0, "a", 5);
        let newest = |hours: i64| move || Some(at(hours, "a", 0).at);
        // Within one start the wall clock is not asked.
        for wall in [-1000, 0, 1000] {
            assert_eq!(age(&taken, &at(wall, "a", 8), newest(0)), hours(3), "{wall}");
        }
        assert_eq!(age(&taken, &at(0, "a", 4), newest(0)), None, "that clock does not go back");
        // Across starts, where the wall clock stands behind everything that was written.
        assert_eq!(age(&taken, &at(30, "b", 1), newest(2)), hours(30));
        assert_eq!(age(&taken, &at(1, "b", 1), newest(2)), None, "set back behind what was written");
        assert_eq!(age(&taken, &at(-1, "b", 1), newest(-2)), None, "set back behind the backup");
        assert_eq!(age(&taken, &at(30, "b", 1), || None), None, "a record that cannot be read says nothing");
        let nameless = Moment { boot: None, ..at(0, "a", 5) };
        assert_eq!(age(&nameless, &Moment { boot: None, ..at(7, "a", 6) }, newest(0)), hours(7), "no start has a name");
    }

    #[test]
    fn ages_are_shown_in_whole_units() {
        for (seconds, text) in [(3, "3s"), (7199, "7199s"), (7260, "121m"), (49 * 3600 + 5, "49h")] {
            assert_eq!(shown(Duration::from_secs(seconds)), text);
        }
        assert_eq!(shown(Duration::from_millis(20)), "20ms");
    }
}
