//! Decides what a step may touch. Everyone else asks.
//!
//! A [`grant::Grant`] is a list of rules per [`word::Word`], as the pipeline file wrote them. A request is parsed into a type
//! of its own, and a decision joins the two: the rule that allowed it, or a [`denial::Denial`] that carries the line of the
//! pipeline file which would.
//!
//! Knows no I/O, no clock, no async, no wasm. **A decision that allows allocates nothing**: rules are taken apart when they
//! are parsed, and a decision only borrows.

pub mod address;
pub mod artifact;
pub mod audit;
pub mod ceiling;
pub mod denial;
pub mod endpoint;
pub mod env;
pub mod exec;
pub mod grant;
pub mod http;
mod line;
pub mod mail;
pub mod path;
pub mod pattern;
pub mod peer;
pub mod reveal;
pub mod rule;
pub mod secret;
pub mod sql;
pub mod suggest;
pub mod tcp;
pub mod tls;
pub mod word;
