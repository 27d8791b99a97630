//! The checks that the standard plugins precheck and verify share, and how a list of checks is run.
//!
//! A check looks at one thing and holds an expectation: there is none that cannot fail. No data is a failure.

pub mod bound;
pub mod expectation;
pub mod file;
pub mod http;
pub mod options;
pub mod prometheus;
pub mod run;
pub mod sql;
pub mod tcp;
pub mod tls;

pub use expectation::Expectation;
pub use options::{Options, Severity};
pub use run::{Check, run};

/// At most 100 characters of a value that was seen, for messages.
fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
