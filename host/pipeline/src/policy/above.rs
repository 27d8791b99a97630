//! A pipeline held against a policy, with both lines of everything that is above it.

use std::ops::Range;

use pipe_capability::ceiling::{Against, Excess, Outside, Part, StepSeen};
use pipe_core::diagnostic::Diagnostic;

use super::Policy;
use crate::{
    pipeline::{Pipeline, Step},
    report::Report,
};

/// Code of every diagnostic about a pipeline that is above its policy.
pub const ABOVE_POLICY: &str = "above-policy";

/// Everything of a pipeline that a policy does not allow. `steps` are all that call a plugin, each as it is seen; `outside`
/// says what the names of the pipeline really stand for.
#[must_use]
pub fn check_against_policy<'a>(
    policy: &Policy,
    pipeline: &Pipeline,
    steps: impl IntoIterator<Item = (&'a Step, StepSeen<'a>)>,
    outside: &Outside,
) -> Vec<Diagnostic> {
    let report = Report::new(&pipeline.file);
    for (step, seen) in steps {
        for excess in policy.ceiling.excesses(&seen, outside) {
            report.push(policy.diagnostic(pipeline, step, &excess));
        }
    }
    report.into_diagnostics()
}

impl Policy {
    fn diagnostic(&self, pipeline: &Pipeline, step: &Step, excess: &Excess) -> Diagnostic {
        let span = match excess.at {
            Part::Rule(word, index) => step.rules.of(word, index).unwrap_or(&step.span),
            Part::Plugin => &step.plugin_span,
            Part::Whole => &step.span,
        };
        let message = format!("the step `{}` is above the policy", step.id.name);
        let diagnostic = Diagnostic::error(ABOVE_POLICY, message).at(&pipeline.file, span.clone(), &excess.means);
        let file = self.file.path.display();
        match self.place(excess.against) {
            Some(span) => diagnostic
                .at(&self.file, span, &excess.why)
                .hint(format!("ask for less, or ask those who keep {file} for more")),
            None => diagnostic.hint(format!(
                "in {file} {}: stage {}, plugin {}, environment {}",
                excess.why, step.stage, step.plugin, pipeline.environment
            )),
        }
    }

    /// Where the policy says it.
    fn place(&self, against: Against) -> Option<Range<usize>> {
        let block = |index: usize| self.places.blocks.get(index);
        match against {
            Against::Rule(index, word, rule) => block(index)?.words.get(&word)?.1.get(rule).cloned(),
            Against::Word(index, word) => block(index)?.words.get(&word).map(|(key, _)| key.clone()),
            Against::Block(index) => block(index).map(|block| block.span.clone()),
            Against::NoBlock => None,
            Against::Requirement(key) => self.places.require.get(key).cloned(),
        }
    }
}
