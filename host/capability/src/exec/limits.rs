//! What a program may use up.

use std::{fmt, time::Duration};

use pipe_core::units::{ByteSize, format_duration};

use super::ExecRule;
use crate::{line, rule::RuleError, word::Word};

/// One thing that is bounded for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Memory that it holds with everything that it has started.
    Memory,
    /// Its processes and their threads.
    Processes,
    /// What its own temporary folder holds.
    Scratch,
    /// Each file that it writes.
    FileSize,
    /// Descriptors that each of its processes has open.
    OpenFiles,
    /// Time on the processor of each of its processes.
    Cpu,
}

impl Bound {
    /// All of them, in the order in which rules are printed.
    pub const ALL: [Self; 6] =
        [Self::Memory, Self::Processes, Self::Scratch, Self::FileSize, Self::OpenFiles, Self::Cpu];

    /// The key of a rule: `open_files`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Scratch => "scratch",
            Self::FileSize => "file_size",
            Self::OpenFiles => "open_files",
            Self::Cpu => "cpu",
        }
    }

    /// The bound of a key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bound| bound.key() == key)
    }

    /// What a program gets whose rule does not say, in bytes, pieces or seconds: far more than what dumps, migrates and
    /// tests takes, and less than what brings a machine down. Nothing: the deadline of its step is enough.
    #[must_use]
    pub const fn usual(self) -> Option<u64> {
        match self {
            Self::Memory => Some(4 << 30),
            Self::Processes => Some(1024),
            Self::Scratch => Some(512 << 20),
            Self::FileSize => Some(16 << 30),
            Self::OpenFiles => Some(1024),
            Self::Cpu => None,
        }
    }

    /// The least and the most that a rule may say: what a program needs to start, and what the kernel takes.
    const fn range(self) -> (u64, u64) {
        match self {
            Self::Memory => (32 << 20, 1 << 50),
            Self::Processes => (1, 1 << 20),
            Self::Scratch => (64 << 10, 1 << 50),
            Self::FileSize => (4 << 10, 1 << 60),
            Self::OpenFiles => (16, 1 << 20),
            Self::Cpu => (1, 1 << 40),
        }
    }

    /// An amount of it, for people: `4.0 GiB`.
    #[must_use]
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Memory | Self::Scratch | Self::FileSize => ByteSize(amount).to_string(),
            Self::Processes | Self::OpenFiles => amount.to_string(),
            Self::Cpu => format_duration(Duration::from_secs(amount)),
        }
    }

    /// The same as a value of TOML.
    fn in_toml(self, amount: u64) -> String {
        match self {
            Self::Memory | Self::Scratch | Self::FileSize => line::text(&exact_size(amount)),
            Self::Processes | Self::OpenFiles => amount.to_string(),
            Self::Cpu => line::text(&format_duration(Duration::from_secs(amount))),
        }
    }
}

impl fmt::Display for Bound {
    /// What it is that is bounded: `memory of all its processes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory of all its processes",
            Self::Processes => "processes and threads",
            Self::Scratch => "its temporary folder",
            Self::FileSize => "the size of one file",
            Self::OpenFiles => "open files of one process",
            Self::Cpu => "processor time of one process",
        })
    }
}

/// What a rule says that its program may use up. Nothing: [`Bound::usual`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecLimits {
    /// What it may hold in memory with everything that it has started, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads that there are at once.
    pub processes: Option<u64>,
    /// What its temporary folder may hold, in bytes.
    pub scratch: Option<u64>,
    /// How large a file it may write, in bytes.
    pub file_size: Option<u64>,
    /// Descriptors that are open at once in one process.
    pub open_files: Option<u64>,
    /// Time on the processor of one process, in whole seconds.
    pub cpu: Option<Duration>,
}

impl ExecLimits {
    /// What is in force: what the rule says, or what is usual. Nothing: no bound.
    #[must_use]
    pub fn of(&self, bound: Bound) -> Option<u64> {
        self.written(bound).or(bound.usual())
    }

    fn written(&self, bound: Bound) -> Option<u64> {
        match bound {
            Bound::Memory => self.memory,
            Bound::Processes => self.processes,
            Bound::Scratch => self.scratch,
            Bound::FileSize => self.file_size,
            Bound::OpenFiles => self.open_files,
            Bound::Cpu => self.cpu.map(|cpu| cpu.as_secs()),
        }
    }

    fn set(&mut self, bound: Bound, amount: u64) {
        match bound {
            Bound::Memory => self.memory = Some(amount),
            Bound::Processes => self.processes = Some(amount),
            Bound::Scratch => self.scratch = Some(amount),
            Bound::FileSize => self.file_size = Some(amount),
            Bound::OpenFiles => self.open_files = Some(amount),
            Bound::Cpu => self.cpu = Some(Duration::from_secs(amount)),
        }
    }

    /// Whether nothing of `other` is more.
    pub(super) fn include(&self, other: &Self) -> bool {
        Bound::ALL.into_iter().all(|bound| match (self.of(bound), other.of(bound)) {
            (Some(wide), Some(narrow)) => narrow <= wide,
            (wide, _) => wide.is_none(),
        })
    }

    pub(super) fn check(&self) -> Result<(), RuleError> {
        if self.cpu.is_some_and(|cpu| cpu.subsec_nanos() != 0) {
            return Err(RuleError::new("`cpu` is not a number of whole seconds").of("cpu"));
        }
        for bound in Bound::ALL {
            let (least, most) = bound.range();
            if self.written(bound).is_some_and(|amount| !(least..=most).contains(&amount)) {
                let (key, least, most) = (bound.key(), bound.shown(least), bound.shown(most));
                return Err(RuleError::new(format!("`{key}` is not between {least} and {most}")).of(key));
            }
        }
        Ok(())
    }

    /// What a rule says, key by key, as values of TOML.
    pub(super) fn in_toml(&self) -> impl Iterator<Item = (&'static str, String)> {
        Bound::ALL.into_iter().filter_map(|bound| Some((bound.key(), bound.in_toml(self.written(bound)?))))
    }
}

impl ExecRule {
    /// The line that gives the program twice of what it had too little of.
    #[must_use]
    pub fn raised(&self, bound: Bound) -> String {
        let mut rule = self.clone();
        let (_, most) = bound.range();
        let amount = self.limits.of(bound).map(|amount| amount.saturating_mul(2).min(most));
        if let Some(amount) = amount {
            rule.limits.set(bound, amount);
        }
        line::set(Word::Exec, [rule.to_string()])
    }
}

/// The largest unit that says a size exactly.
fn exact_size(bytes: u64) -> String {
    let exact = [(30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(shift, _)| bytes.is_multiple_of(1 << shift));
    exact.map_or_else(|| format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}
