//! The runner: everything knowable is checked first, then the steps run in the order written; what fails is undone.
//!
//! Emits events and knows no terminal. What happened is in the journal before the next thing happens.

mod audit;
mod backups;
mod begun;
mod ceiling;
mod coming;
mod copies;
pub mod course;
mod difference;
mod error;
pub mod gate;
mod grants;
mod guard;
mod hold;
mod kept;
mod ledger;
mod load;
mod notify;
mod opening;
mod order;
mod peers;
mod pins;
mod plan;
mod prepare;
mod preview;
mod record;
mod remains;
pub mod report;
pub mod retention;
mod rollback;
mod run;
mod secrets;
mod shared;
mod state;
mod step;
mod watch;

pub use audit::{
    AUDIT_SCHEMA, Asked, Audit, AuditSources, AuditedCall, AuditedGate, AuditedPeer, AuditedPlugin, AuditedPolicy,
    AuditedRule, AuditedSigner, CallUse, CheckText, Counts, Finding, Import, LastUse, Place, RUNS_LOOKED_AT, Reach,
    Reached, RunsLookedAt, RunsSeen, Severity, audit, audit_checks, look_back,
};
pub use begun::Begun;
pub use ceiling::check_policies;
pub use coming::{Coming, Due};
pub use copies::{CopyError, remove as remove_copies};
pub use difference::{Difference, Side, Version, difference_of_pipelines, difference_of_plugins};
pub use error::{PrepareError, RunError};
pub use load::{PluginBytes, StandardPlugins};
pub use pins::{PinError, Pins};
pub use plan::{
    Plan, PlanEntry, PlannedCheck, PlannedGate, PlannedGuard, PlannedPhase, PlannedWatch, PlannedWave, Role,
    usual_bounds,
};
pub use prepare::{Planned, Prepared, Settings, describe_plugins, plan, prepare};
pub use preview::{Preview, Previews, Said, preview};
pub use record::Observer;
pub use run::{Ending, RunResult, Wait, resume, run};
pub use shared::{Shared, claim, place};
pub use state::{
    Breached, GateStanding, PhasesStanding, Rollback, RunState, StepStanding, StepState, WatchStanding, WaveStanding,
};
pub use watch::{Seen, look};
