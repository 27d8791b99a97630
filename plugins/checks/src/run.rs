//! How a list of checks is run.

use std::time::{Duration, Instant};

use pipe_sdk::{Context, Failure, FailureKind, Finding, Status};

use crate::{Options, Severity};

/// One thing to look at, and what is expected of it.
pub trait Check {
    /// What every check takes.
    fn options(&self) -> Options;

    /// Name in reports, unless the settings give one.
    fn default_name(&self) -> String;

    /// What the schema cannot say about the settings.
    ///
    /// # Errors
    ///
    /// Settings that make no sense.
    fn validate(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Looks once. Status `pass` or `fail`; a name is given later.
    ///
    /// # Errors
    ///
    /// What kept it from looking.
    fn look(&self, context: &Context) -> Result<Finding, Failure>;
}

/// What the runner needs of time.
trait Clock {
    fn remaining(&self) -> Duration;
    fn sleep(&self, duration: Duration);
}

impl Clock for Context {
    fn remaining(&self) -> Duration {
        Self::remaining(self)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// What a single look may take: what the settings say, but no more than leaves time for a report.
#[must_use]
pub fn patience(context: &Context, timeout: Duration) -> Duration {
    let remaining = context.remaining();
    let reserve = (remaining / 10).min(Duration::from_millis(500));
    timeout.min(remaining.saturating_sub(reserve))
}

/// Makes every check, in order, and goes on where one fails, so that the operator sees all of it at once.
///
/// # Errors
///
/// Kind `settings` before anything was looked at; kind `denied`, with all findings, where the host refused something:
/// a missing grant is a mistake in the pipeline file, and no severity makes it less than that.
pub fn run(context: &Context, checks: &[&dyn Check]) -> Result<Vec<Finding>, Failure> {
    run_with(context, checks, context)
}

fn run_with(context: &Context, checks: &[&dyn Check], clock: &dyn Clock) -> Result<Vec<Finding>, Failure> {
    for check in checks {
        check.validate().map_err(|failure| failure.within(name(*check)))?;
    }
    let mut findings = Vec::new();
    let mut refused: Option<Failure> = None;
    for check in checks {
        let (finding, failure) = make(context, *check, clock);
        if let Some(failure) = failure
            && refused.is_none()
        {
            refused = Some(failure.within(&finding.name));
        }
        findings.push(finding);
    }
    match refused {
        Some(failure) => Err(failure.with_findings(findings)),
        None => Ok(findings),
    }
}

fn name(check: &dyn Check) -> String {
    check.options().name.unwrap_or_else(|| check.default_name())
}

/// Makes one check, as often as its settings say. The failure is one that no retry and no severity changes.
fn make(context: &Context, check: &dyn Check, clock: &dyn Clock) -> (Finding, Option<Failure>) {
    let options = check.options();
    let started = Instant::now();
    let mut attempt = 1;
    let (mut finding, failure) = loop {
        let (finding, failure) = match check.look(context) {
            Ok(finding) => (finding, None),
            Err(failure) => (Finding::fail(failure.message.clone()), Some(failure)),
        };
        let hopeless =
            failure.as_ref().is_some_and(|failure| matches!(failure.kind, FailureKind::Denied | FailureKind::Settings));
        if hopeless {
            break (finding, failure);
        }
        let again =
            finding.status == Status::Fail && attempt <= options.retries && options.interval < clock.remaining();
        if !again {
            break (finding, None);
        }
        clock.sleep(options.interval);
        attempt += 1;
    };
    if attempt > 1 {
        finding.message = format!("{} (attempt {attempt})", finding.message);
    }
    if failure.is_none() && finding.status == Status::Fail && options.severity == Severity::Warning {
        finding.status = Status::Warn;
    }
    (finding.named(name(check)).took(started.elapsed()), failure)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Stub {
        options: Options,
        looks: Cell<u32>,
        answer: fn(u32) -> Result<Finding, Failure>,
    }

    impl Check for Stub {
        fn options(&self) -> Options {
            self.options.clone()
        }

        fn default_name(&self) -> String {
            "stub".into()
        }

        fn look(&self, _: &Context) -> Result<Finding, Failure> {
            self.looks.set(self.looks.get() + 1);
            (self.answer)(self.looks.get())
        }
    }

    struct Sleeps(Cell<Duration>);

    impl Clock for Sleeps {
        fn remaining(&self) -> Duration {
            self.0.get()
        }

        fn sleep(&self, duration: Duration) {
            self.0.set(self.0.get() - duration);
        }
    }

    fn context() -> Context {
        Context {
            run_id: "20261123000000-abcdef".into(),
            pipeline: "p".into(),
            environment: "e".into(),
            step: "s".into(),
            instance: None,
            attempt: 1,
            idempotency_key: "k".into(),
            deadline_unix_ms: u64::MAX / 2,
            started_unix_ms: 0,
            settings: "{}".into(),
        }
    }

    fn stub(severity: Severity, retries: u32, answer: fn(u32) -> Result<Finding, Failure>) -> Stub {
        let options = Options { name: None, severity, retries, interval: Duration::from_secs(1) };
        Stub { options, looks: Cell::new(0), answer }
    }

    fn run_stub(stub: &Stub, seconds: u64) -> Result<Vec<Finding>, Failure> {
        run_with(&context(), &[stub], &Sleeps(Cell::new(Duration::from_secs(seconds))))
    }

    #[test]
    fn a_check_is_made_again_until_it_is_met() {
        let check = stub(Severity::Critical, 5, |n| Ok(Finding::expect(n == 3, "seen")));
        let findings = run_stub(&check, 60).expect("no refusal");
        assert_eq!((findings[0].status, findings[0].message.as_str()), (Status::Pass, "seen (attempt 3)"));
        assert_eq!(check.looks.get(), 3);
    }

    #[test]
    fn retries_end_before_the_deadline() {
        let check = stub(Severity::Critical, 100, |_| Err(Failure::unavailable("away")));
        let findings = run_stub(&check, 3).expect("no refusal");
        assert_eq!(findings[0].status, Status::Fail);
        assert_eq!(check.looks.get(), 3);
    }

    #[test]
    fn a_warning_does_not_fail_but_a_refusal_does() {
        let warned = run_stub(&stub(Severity::Warning, 0, |_| Ok(Finding::fail("old"))), 60).expect("no refusal");
        assert_eq!(warned[0].status, Status::Warn);
        let check = stub(Severity::Warning, 9, |_| Err(Failure::denied("not granted")));
        let failure = run_stub(&check, 60).expect_err("refused");
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Denied, "stub: not granted"));
        assert_eq!((failure.findings.len(), failure.findings[0].status), (1, Status::Fail));
        assert_eq!(check.looks.get(), 1);
    }
}
