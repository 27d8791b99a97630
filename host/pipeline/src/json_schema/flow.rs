//! The parts that say how a run goes: gates, checklists, guards, and the watch.

use pipe_core::event::Breach;
use serde_json::{Value, json};

use super::{table, text};

/// A wait for people.
pub(super) fn gate() -> Value {
    table(
        "Waits until people of a role have approved with their SSH keys: pipe approve.",
        &["role"],
        json!({
            "role": text("A name of [roles]."),
            "quorum": {
                "type": "integer", "minimum": 1, "maximum": 20,
                "description": "How many different people must approve. Usually 1.",
            },
            "expires": { "$ref": "#/$defs/duration" },
            "on_expiry": {
                "enum": ["rollback", "stop", "fail"],
                "description": "rollback (of steps): undo what was started. stop: wait for pipe resume, which opens the gate \
                                again. fail (in the rollback): give the rollback up. Usually stop.",
            },
            "if_started": text("In the rollback: the gate stands only where this step was started."),
        }),
    )
}

pub(super) fn checklist() -> Value {
    json!({
        "type": "array", "maxItems": 100, "description": "What is to be seen to: attested or waived by those who approve.",
        "items": { "anyOf": [{ "type": "string" }, table("A line that a step before the gate sees to.", &["item", "step"], json!({
            "item": text("What is to be seen to."),
            "step": text("The step that sees to it by succeeding."),
        }))] },
    })
}

pub(super) fn watch() -> Value {
    let lasts = json!({ "for": { "$ref": "#/$defs/duration" } });
    table("Checks that go on after the last step, by `pipe watch`.", &["for", "checks", "every"], guard(lasts))
}

/// What guards and the watch have in common.
pub(super) fn guard(mut own: Value) -> Value {
    let breach = json!({
        "enum": Breach::ALL.map(Breach::word),
        "description": "What follows when a check is not met, or says nothing: undo at once, stop and ask a person, or only \
                        say so. Default: rollback.",
    });
    own["checks"] = json!({
        "type": "array", "minItems": 1, "description": "[[check]] entries.",
        "items": { "anyOf": [{ "type": "string" }, table("A check with consequences of its own.", &["check"], json!({
            "check": text("One of the [[check]] entries."),
            "breach": breach,
        }))] },
    });
    own["every"] = json!({ "$ref": "#/$defs/duration" });
    own["breach"] = breach;
    own
}
