//! Not ending, and taking more than there is.

use std::fs::File;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use pipe_sdk::sql::Connection;
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, files};

use crate::done;

pub(crate) fn run_in_a_circle() -> Result<Report, Failure> {
    let mut round = 0_u64;
    loop {
        round = black_box(round.wrapping_add(1));
    }
}

pub(crate) fn sleep() -> Result<Report, Failure> {
    thread::sleep(Duration::from_secs(100_000));
    done("awake")
}

pub(crate) fn loop_in_database(peer: &str) -> Result<Report, Failure> {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    Connection::read(peer)?.query(endless, &[])?;
    done("an end")
}

pub(crate) fn eat_memory() -> Result<Report, Failure> {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; 1 << 20]));
    }
}

pub(crate) fn recurse() -> Result<Report, Failure> {
    fn deeper(depth: u64) -> u64 {
        let here = black_box([depth; 16]);
        if black_box(true) { deeper(depth + 1) + here[3] } else { depth }
    }
    done(deeper(0))
}

pub(crate) fn keep_handles(path: &str) -> Result<Report, Failure> {
    let mut kept = Vec::new();
    for _ in 0..100_000 {
        kept.push(File::open(path).map_err(|error| files::explain(path, &error).within(kept.len()))?);
    }
    done(kept.len())
}

pub(crate) fn keep_connections(peer: &str) -> Result<Report, Failure> {
    let mut kept = Vec::new();
    for _ in 0..10_000 {
        kept.push(Connection::read(peer)?);
    }
    done(kept.len())
}

#[expect(clippy::disallowed_methods, reason = "what no plugin should do")]
pub(crate) fn exit() -> Result<Report, Failure> {
    std::process::exit(0)
}
