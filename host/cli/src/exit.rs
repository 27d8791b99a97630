//! Exit codes: part of the interface, documented here and nowhere decided but here.

use pipe_core::{
    diagnostic::{Diagnostic, Severity},
    event::Outcome,
    report::FailureKind,
};
use pipe_pipeline::ABOVE_POLICY;
use pipe_runner::{Ending, RunResult};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Succeeded,
    /// A step failed, and nothing had been started that needed undoing.
    Failed,
    /// The command line makes no sense. Also clap's own code.
    Usage,
    /// A pipeline file, a policy, a plugin, a grant, a secret, an approval or an audit log is missing or not valid. Nothing was touched.
    Invalid,
    /// The pipeline is above a policy; or a step failed because the pipeline file does not grant what it needs, and nothing
    /// needed undoing.
    Refused,
    /// A step failed, and what had been started was undone.
    RolledBack,
    /// A step failed, and not everything could be undone. Somebody must look.
    RollbackFailed,
    /// The run waits for somebody.
    Waiting,
    /// Another run of the same pipeline and environment is going on, or has not ended.
    Locked,
    /// An audit found something as bad as it was told to fail on.
    Found,
    /// A new version may do what the old one may not.
    Gained,
    /// A file, directory or journal of ours cannot be used, or a fault in pipe itself.
    Internal,
    /// The operator interrupted it.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
            Self::RolledBack => 5,
            Self::RollbackFailed => 6,
            Self::Waiting => 7,
            Self::Locked => 8,
            Self::Found => 9,
            Self::Gained => 10,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }

    /// How files that are wrong are told to the shell. What is above a policy and nothing else is a refusal.
    pub(crate) fn of_diagnostics(diagnostics: &[Diagnostic]) -> Self {
        let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).peekable();
        let above = errors.peek().is_some() && errors.all(|error| error.code == ABOVE_POLICY);
        if above { Self::Refused } else { Self::Invalid }
    }

    /// How a run's end is told to the shell.
    pub(crate) fn of(result: &RunResult) -> Self {
        match result.ending {
            Ending::Waiting(_) => Self::Waiting,
            Ending::Stopped => Self::Interrupted,
            Ending::Finished(outcome) => Self::of_outcome(outcome, result),
        }
    }

    fn of_outcome(outcome: Outcome, result: &RunResult) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::RolledBack => Self::RolledBack,
            Outcome::RollbackFailed => Self::RollbackFailed,
            Outcome::Interrupted => Self::Interrupted,
            Outcome::Failed | Outcome::Abandoned => {
                let last = result.state.steps.last().and_then(|step| step.failure.as_ref());
                if last.is_some_and(|failure| failure.kind == FailureKind::Denied) {
                    Self::Refused
                } else {
                    Self::Failed
                }
            }
        }
    }
}

/// The table that `pipe help` and the README print.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    succeeded
  1    a step failed, and nothing needed undoing
  2    the command line makes no sense
  3    a pipeline file, policy, plugin, grant, secret, approval or audit log is missing or not valid
  4    above a policy, or a step was refused a capability and nothing needed undoing
  5    a step failed, and what had been started was undone
  6    a step failed, and not everything could be undone
  7    the run waits for somebody or for its time: `pipe status` says for what
  8    another run of the same pipeline and environment is going on, or has not ended
  9    an audit has a finding of the severity that it was told to fail on
  10   the new version gained a capability
  70   a file or journal of pipe's own cannot be used, or a fault in pipe
  130  interrupted";
