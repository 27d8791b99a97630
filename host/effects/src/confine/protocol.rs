//! What host and supervisor say to each other, and over which descriptors.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::fd::RawFd,
};

use serde::{Deserialize, Serialize};

/// Read end of a pipe on which nothing is ever written. It closes when the host lets go of the program, or dies.
pub(crate) const LIFELINE: RawFd = 3;
/// Write end of a pipe for [`Report`]s, one JSON text a line.
pub(crate) const STATUS: RawFd = 4;
/// A file without a name that holds a [`Specification`] in JSON.
pub(crate) const SPECIFICATION: RawFd = 5;
/// The program itself, where its content was checked.
pub(crate) const PROGRAM: RawFd = 6;

/// What to start. The environment, the working directory and the streams are the supervisor's own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Specification {
    /// Absolute path of the program.
    pub(crate) program: OsString,
    /// Whether [`PROGRAM`] is the program.
    pub(crate) pinned: bool,
    /// What the program is told its name is.
    pub(crate) name: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// The call's own temporary directory, to be removed at the end.
    pub(crate) scratch: OsString,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// What the supervisor tells the host.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The program runs.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The program has ended, and nothing of its tree is left.
    Ended(End),
    /// The program could not be started or watched.
    Failed {
        /// Why.
        message: String,
    },
}

impl Report {
    /// Writes the report as one line, at once: it is shorter than what a pipe takes in one piece.
    pub(crate) fn send(&self, mut to: &File) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line)
    }
}
