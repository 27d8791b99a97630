//! The sandbox: loads stage plugins, finds out what they are, and calls them with a grant, limits and a deadline.
//!
//! The only crate that knows wasmtime. Translates what a guest asks for into calls of `pipe-effects`, which decides
//! nothing itself either but asks `pipe-capability`.

mod bindings;
mod cache;
mod call;
mod contract;
mod convert;
mod engine;
mod filesystem;
mod host;
mod http;
mod limits;
mod lines;
mod link;
mod network;
mod plugin;
mod report;
mod state;

pub use cache::CacheError;
pub use call::{BackupArtifact, Call, CallContext, Receipt, StepSummary};
pub use contract::{CONTRACT_VERSION, Contract};
pub use plugin::{CapabilityRequest, Description, LoadError, Plugin, Sandbox, SandboxError};
