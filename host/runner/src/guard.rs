//! Checks that are made again and again: while a wave holds, and while a deployment is watched. No data is a breach: a check that
//! could not look is not met.

use std::{collections::BTreeMap, time::Instant};

use futures_util::future::join_all;
use pipe_core::{
    event::{Breach, Checked, EventKind},
    report::{Failure, FailureKind, Finding, FindingStatus, StageReport},
};
use pipe_journal::JournalError;
use pipe_pipeline::{Guard, GuardCheck, Step};
use pipe_sandbox::Call;

use crate::step::{Stepper, milliseconds, refused};

/// What a round of checks said.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Every check was met.
    Met,
    /// One was not; the gravest of those.
    Breached(Breach, Failure),
    /// The operator stopped it.
    Interrupted,
}

/// The most findings of one look that are kept: there may be one every second for a day.
const MOST_FINDINGS: usize = 20;

impl Stepper<'_> {
    /// Makes every check of a guard, all at the same time: a round takes as long as its slowest check, and that no longer
    /// than the check's own `timeout`.
    pub(crate) async fn round(
        &self,
        guard: &Guard,
        event: impl Fn(Checked) -> EventKind,
    ) -> Result<Verdict, JournalError> {
        let made = join_all(guard.checks.iter().map(|named| self.check(named))).await;
        if self.interrupt.is_cancelled() {
            return Ok(Verdict::Interrupted);
        }
        let mut verdict = Verdict::Met;
        for (breach, checked, failure) in made {
            self.recorder.soon(event(checked)).await?;
            let Some(failure) = failure else { continue };
            match &verdict {
                Verdict::Breached(graver, _) if *graver >= breach => {}
                _ => verdict = Verdict::Breached(breach, failure),
            }
        }
        Ok(verdict)
    }

    /// Makes one check, as often as its `retry` says. A failure where it is not met.
    async fn check(&self, named: &GuardCheck) -> (Breach, Checked, Option<Failure>) {
        let began = Instant::now();
        let found = self.prepared.pipeline.checks.iter().find(|check| check.id == named.check);
        let result = match found {
            Some(check) => self.probe(check).await,
            None => Err(refused("it is not in the pipeline".to_owned())),
        };
        let (status, message, findings, failure) = match result {
            Ok(report) if !report.findings.iter().any(looked) => {
                let message = "no data: it looked at nothing".to_owned();
                let failure = Failure {
                    kind: FailureKind::Unmet,
                    message: format!("check \"{}\": {message}", named.check),
                    retryable: false,
                    findings: Vec::new(),
                    hint: None,
                };
                (FindingStatus::Skip, message, report.findings, Some(failure))
            }
            Ok(report) => {
                let warned = report.findings.iter().find(|finding| finding.status == FindingStatus::Warn);
                let status = if warned.is_some() { FindingStatus::Warn } else { FindingStatus::Pass };
                let said = warned.or(report.findings.first()).map(|finding| finding.message.clone());
                (status, said.unwrap_or_default(), report.findings, None)
            }
            Err(failure) => {
                let message = said(&failure);
                let named = format!("check \"{}\": {message}", named.check);
                let findings = failure.findings.clone();
                let failure = Failure { message: named, retryable: false, ..failure };
                (FindingStatus::Fail, message, findings, Some(failure))
            }
        };
        let findings = findings.into_iter().take(MOST_FINDINGS).collect();
        let checked =
            Checked { check: named.check.clone(), status, message, findings, duration_ms: milliseconds(began) };
        (named.breach, checked, failure)
    }

    async fn probe(&self, check: &Step) -> Result<StageReport, Failure> {
        let settings = self.settings(check, &BTreeMap::new())?;
        let mut attempt = 1;
        loop {
            match self.attempt(check, attempt, &settings, Call::Verify).await {
                Err(failure) if failure.retryable && attempt < check.retry.attempts => {
                    tokio::select! {
                        () = tokio::time::sleep(check.retry.backoff) => attempt += 1,
                        () = self.interrupt.cancelled() => return Err(failure),
                    }
                }
                ended => return ended,
            }
        }
    }
}

/// Whether a finding says something.
fn looked(finding: &Finding) -> bool {
    finding.status != FindingStatus::Skip
}

/// What a check saw that was not met: the finding itself says more than how many there were.
fn said(failure: &Failure) -> String {
    let failed: Vec<&str> = failure
        .findings
        .iter()
        .filter(|finding| finding.status == FindingStatus::Fail)
        .map(|finding| finding.message.as_str())
        .collect();
    if failure.kind == FailureKind::Unmet && !failed.is_empty() { failed.join("; ") } else { failure.message.clone() }
}

#[cfg(test)]
mod tests {
    use pipe_core::report::Finding;

    use super::*;

    #[test]
    fn what_was_seen_is_said_and_not_how_many_there_were() {
        let finding = |status, message: &str| Finding {
            name: "errors".into(),
            status,
            message: message.into(),
            observed: None,
            expected: None,
            duration_ms: 1,
        };
        let findings = vec![finding(FindingStatus::Pass, "fine"), finding(FindingStatus::Fail, "5% is above 1%")];
        let unmet = Failure { kind: FailureKind::Unmet, findings, ..refused("1 of 2 checks failed: errors".into()) };
        assert_eq!(said(&unmet), "5% is above 1%");
        assert_eq!(said(&refused("no answer".into())), "no answer");
    }
}
