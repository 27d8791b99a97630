//! What the host does on behalf of a guest: HTTP, TCP, TLS, SQL, mail, programs, artifacts, free space, variables, receipts.
//!
//! Every method of [`session::Session`] asks `capability` first, writes the use or the refusal into the
//! [`ledger::Ledger`], and only then acts. Knows no wasmtime and no terminal.

pub mod artifact;
mod blocking;
pub mod confine;
pub mod disk;
mod egress;
pub mod error;
pub mod files;
pub mod http;
pub mod ledger;
pub mod mail;
pub mod path;
mod peer;
pub mod process;
pub mod remains;
mod reveal;
pub mod session;
pub mod sql;
pub mod tcp;
pub mod tls;
mod traffic;
pub mod variable;
pub mod world;
