//! A pipeline held against a policy, with both lines of everything that is above it.

use std::ops::Range;

use pipe_capability::ceiling::{Against, Excess, Outside, Part, StepSeen};
use pipe_core::diagnostic::Diagnostic;

use super::Policy;
use crate::pipeline::{Pipeline, Step};

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
    // Not into a report: one line can be above the policy for two reasons, and both are worth knowing.
    let of_step = |(step, seen): (&'a Step, StepSeen<'a>)| {
        let excesses = policy.ceiling.excesses(&seen, outside);
        excesses.into_iter().map(|excess| policy.diagnostic(pipeline, step, &excess)).collect::<Vec<_>>()
    };
    steps.into_iter().flat_map(of_step).collect()
}

/// What a rule with references comes to; nothing where it stands in the file as it is.
fn resolved(pipeline: &Pipeline, step: &Step, at: Part) -> String {
    let Part::Rule(word, index) = at else { return String::new() };
    let written = step.rules.of(word, index).and_then(|span| pipeline.file.text.get(span.clone()));
    let has_references = written.is_some_and(|text| text.contains("${"));
    let rule = step.grant.rules(word).into_iter().nth(index).filter(|_| has_references);
    rule.map_or_else(String::new, |rule| format!("this is {rule}"))
}

impl Policy {
    fn diagnostic(&self, pipeline: &Pipeline, step: &Step, excess: &Excess) -> Diagnostic {
        let span = match excess.at {
            Part::Rule(word, index) => step.rules.of(word, index).unwrap_or(&step.span),
            Part::Plugin => &step.plugin_span,
            Part::Whole => &step.span,
        };
        let message = format!("the step `{}` is above the policy", step.id.name);
        let means = if excess.means.is_empty() { resolved(pipeline, step, excess.at) } else { excess.means.clone() };
        let diagnostic = Diagnostic::error(ABOVE_POLICY, message).at(&pipeline.file, span.clone(), means);
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

    /// Line of the policy file that speaks against something, from 1; nothing where it is that no line speaks for it.
    #[must_use]
    pub fn line(&self, against: Against) -> Option<usize> {
        self.place(against).map(|span| self.file.position(span.start).0)
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
