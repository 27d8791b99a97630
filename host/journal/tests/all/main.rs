//! The journal as other crates use it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and one that measures")]

mod append;
mod cost;
mod damage;
mod export;
mod history;
mod key;
mod kill;
mod open;
mod ownership;
mod receipts;
mod sample;
mod sealed;
