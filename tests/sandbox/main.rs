//! Hostile guests: plugins that try what a plugin must not be able to do, each in a real run of the real `pipe`.
//!
//! A refusal is told to the operator with the line that would allow it, and that very line does allow it. No guest takes
//! longer, more or further than its step may, and none of them harms the record of the run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "guest/src/behaviours.rs"]
mod behaviours;

mod ambient;
mod artifacts;
mod bad_plugins;
mod cache;
mod coverage;
mod databases;
mod endless;
mod files;
mod floods;
mod handshakes;
mod hazards;
mod limits;
mod mail;
mod network;
mod others;
mod places;
mod previews;
mod programs;
mod record;
mod reports;
mod scene;
mod secrets;
mod servers;
mod single_files;
mod sockets;
mod terminal;
mod too_much;
mod words;

use behaviours::Behaviour;
use scene::{Scene, Seen};
