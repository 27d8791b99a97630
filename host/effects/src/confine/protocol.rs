//! What host and supervisor say to each other, and over which descriptors.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::fd::RawFd,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::fence::Fence;

/// Read end of a pipe. One byte comes when the program may begin; the pipe closes when the host lets go of the program, or
/// dies.
pub(crate) const LIFELINE: RawFd = 3;
/// Write end of a pipe for [`Report`]s, one JSON text a line.
pub(crate) const STATUS: RawFd = 4;
/// A file without a name that holds a [`Specification`] in JSON.
pub(crate) const SPECIFICATION: RawFd = 5;
/// The content of the program, where it was checked: a file that lies nowhere, and that nobody can change any more.
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
    pub(crate) scratch: PathBuf,
    /// What the program may touch.
    pub(crate) reach: Reach,
    /// What it may use up.
    pub(crate) bounds: Bounds,
    /// Namespaces that the supervisor was started in. Nothing: those of the host.
    pub(crate) namespaces: Option<Namespaces>,
    /// Whether the program runs even where the kernel cannot keep it within its reach.
    pub(crate) unconfined: bool,
}

/// What a program may touch beside what every program may. Paths are absolute and free of links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// What it may read and run.
    pub(crate) read: Vec<PathBuf>,
    /// What it may read, write and delete in.
    pub(crate) write: Vec<PathBuf>,
    /// Sockets that it may connect to.
    pub(crate) sockets: Vec<PathBuf>,
    /// Other names of the above: the name, and the path that it leads to.
    pub(crate) aliases: Vec<(PathBuf, PathBuf)>,
    /// TCP ports that it may connect to.
    pub(crate) ports: Vec<u16>,
}

/// What a program may use up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// What it may hold in memory with everything that it has started, in bytes.
    pub(crate) memory: u64,
    /// Its processes and their threads.
    pub(crate) processes: u64,
    /// What its own directory may hold, in bytes.
    pub(crate) scratch: u64,
    /// How large a file it may write, in bytes.
    pub(crate) file_size: u64,
    /// Open descriptors of a process.
    pub(crate) open_files: u64,
    /// Time on the processor of a process, in seconds.
    pub(crate) cpu: Option<u64>,
}

/// Which namespaces a supervisor has to itself, beside that of processes, in which it is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespaces {
    /// A network in which there is nothing.
    pub(crate) network: bool,
    /// Users, of whom the processes are counted by themselves.
    pub(crate) users: bool,
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
    /// The fence stands. The program begins once the host says so.
    Ready(Fence),
    /// The program runs.
    Started,
    /// The program has ended, and nothing of its tree is left.
    Ended(End),
    /// The program was ended with its tree, since it had more than it may of what this key of its rule bounds.
    Exceeded(String),
    /// The program could not be started or watched.
    Failed {
        /// Why.
        message: String,
        /// What would help.
        hint: Option<String>,
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
