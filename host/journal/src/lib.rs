//! The durable record of runs: events, receipts, history, and the chain that shows whether anybody changed them.
//!
//! One SQLite database in the state directory. [`Journal`] writes, over one thread of its own; [`Reader`] reads, also while
//! another process writes. Every event is a row that holds the hash of the row before it: [`chain`] says how, [`verify_lines`]
//! checks an export anywhere, without the database.
//!
//! Knows no terminal and no wasm. State is not kept here: it is folded from events by whoever needs it.

mod audit;
mod body;
pub mod chain;
mod clock;
mod error;
mod events;
mod history;
mod journal;
mod key;
mod line;
mod network;
mod outputs;
mod ownership;
mod place;
mod queue;
mod reader;
mod receipt;
mod reserve;
mod schema;
mod seal;
mod store;
mod verify;
mod writer;

pub use crate::{
    chain::{Breach, ChainBroken, Verified},
    clock::{boot_id, boot_ms},
    error::JournalError,
    events::{Recorded, StoredEvent},
    history::{RunFilter, RunSummary},
    journal::{Durability, Journal, MAXIMUM_RECEIPT, SavedReceipt},
    key::place_name,
    line::{MAXIMUM_BODY, MAXIMUM_LINE, SCHEMA},
    outputs::Outputs,
    ownership::{Claim, Holder, Liveness, Ownership, Unlocked, Unlocking},
    reader::Reader,
    receipt::Receipt,
    reserve::{has_room, set_aside},
    store::EventStore,
    verify::verify_lines,
    writer::{Appended, Head},
};
