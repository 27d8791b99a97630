//! What every layer shares: identities, units, diagnostics, events and the redactor.
//!
//! Knows no I/O, no clock but the one it is handed, no wasm and no terminal.

pub mod diagnostic;
pub mod digest;
pub mod event;
pub mod id;
pub mod limits;
pub mod phase;
pub mod proof;
pub mod redact;
pub mod report;
pub mod stage;
pub mod text;
pub mod units;
