//! Write a stage plugin of `pipe` in Rust.
//!
//! A plugin is a type that implements [`Plugin`] and the trait of one stage, and one line that exports it:
//!
//! ```
//! use pipe_sdk::precheck::{Precheck, Report};
//! use pipe_sdk::{Context, Description, Failure, Finding, Plugin, Word};
//!
//! /// What stands under `with` in the pipeline file.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// How many.
//!     count: u32,
//! }
//!
//! struct Example;
//!
//! impl Plugin for Example {
//!     type Settings = Settings;
//!
//!     fn describe() -> Description {
//!         Description::new("example", env!("CARGO_PKG_VERSION"), "Counts.").asks(Word::Env, "HOME", "always")
//!     }
//! }
//!
//! impl Precheck for Example {
//!     fn check(_context: &Context, settings: Settings) -> Result<Report, Failure> {
//!         let finding = Finding::check("count", || Ok(Finding::pass("enough").with_observed(settings.count)));
//!         Ok(Report { findings: vec![finding], ..Report::default() })
//!     }
//! }
//!
//! pipe_sdk::export_precheck!(Example);
//! ```
//!
//! Two traits are optional, and named behind the type where it is exported: [`undo::Undo`] takes back what the stage did,
//! [`preview::Preview`] says what it would do.
//!
//! Everything the host offers has a module of its own; a component imports only what its code calls. Files are plain
//! `std::fs`, explained by [`files::explain`] where they fail. Nothing here panics on what the host answers.

#[doc(hidden)]
pub mod bindings;

pub mod artifact;
pub mod calendar;
pub mod checkpoint;
pub mod disk;
pub mod env;
pub mod files;
pub mod http;
pub mod log;
pub mod mail;
pub mod process;
pub mod run;
pub mod schema;
pub mod secret;
pub mod sql;
pub mod stage;
pub mod tcp;
pub mod tls;
pub mod units;

mod context;
mod description;
mod error;
mod failure;
mod finding;

pub use bindings::host::pipe::stage::types::{Context, Failure, FailureKind, Finding, Output, Receipt, Status};
pub use description::{Description, Plugin, Word};
pub use error::{Error, ErrorKind};
pub use finding::fails;
pub use stage::{backup, migrate, notify, precheck, preview, release, undo, verify};

/// A value for later steps.
pub fn output(key: impl Into<String>, value: impl Into<String>) -> Output {
    Output { key: key.into(), value: value.into() }
}
