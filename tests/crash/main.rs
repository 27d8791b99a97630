//! The real `pipe`, killed with SIGKILL before and after everything that it writes, sends, renames, locks and starts; and what
//! `pipe resume` makes of it.
//!
//! There is no hook in the product: a tracer stops it at its calls to the kernel. What happens on the disk after a power failure
//! is not tested here (SQLite's `synchronous = FULL` and the syncs around every rename are what that rests on).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod call;
mod desk;
mod points;
mod scene;
mod tracer;
mod upgrade;
