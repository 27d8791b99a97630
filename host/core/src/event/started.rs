//! What a run starts outside of itself, and what could outlive the process that started it.

use serde::{Deserialize, Serialize};

/// A program, by the supervisor above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedProgram {
    /// As the grant names it: `pg_dump`.
    pub name: String,
    /// Identity of the supervisor's process.
    pub pid: u32,
    /// When that process started, in clock ticks since the machine did: field 22 of `/proc/PID/stat`. No two processes of
    /// one boot have both in common.
    pub start_time: u64,
    /// Identity of the machine's start.
    pub boot: String,
    /// Directory of its temporary files, which every process of the program has in its environment.
    pub scratch: String,
}

/// A session at a database server, which may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedSession {
    /// The peer.
    pub peer: String,
    /// The very server: its address and port.
    pub address: String,
    /// Its process there: `pg_backend_pid()`.
    pub backend: i32,
    /// When that process started there, in UTC with microseconds: `backend_start` of `pg_stat_activity`.
    pub backend_start: String,
}

/// Something that could outlive the process that started it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Started {
    /// A program.
    Program(StartedProgram),
    /// A session at a database server.
    DatabaseSession(StartedSession),
}
