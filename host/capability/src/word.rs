//! The words of `allow`: what kind of thing a rule is about.

use std::{fmt, str::FromStr};

/// A word of `allow` in the pipeline file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// HTTP requests, by method, peer or origin, and path.
    Http,
    /// Connections, by host and port.
    Tcp,
    /// TLS handshakes, by peer or by host and port.
    Tls,
    /// Databases, by peer.
    Sql,
    /// Messages, by peer, sender and recipients.
    Mail,
    /// Directories and files, for reading.
    Read,
    /// Directories and files, for reading, writing and deleting.
    Write,
    /// Free space of a path.
    Disk,
    /// Variables of the operator, by name.
    Env,
    /// Secrets that the host puts in where the guest cannot see them.
    Secrets,
    /// Secrets whose plaintext the guest is told.
    Reveal,
    /// Programs, by name and arguments.
    Exec,
    /// Backups and other files of the run.
    Artifacts,
}

impl Word {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 13] = [
        Self::Http,
        Self::Tcp,
        Self::Tls,
        Self::Sql,
        Self::Mail,
        Self::Read,
        Self::Write,
        Self::Disk,
        Self::Env,
        Self::Secrets,
        Self::Reveal,
        Self::Exec,
        Self::Artifacts,
    ];

    /// As it stands behind `allow.` in the pipeline file: `http`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Sql => "sql",
            Self::Mail => "mail",
            Self::Read => "read",
            Self::Write => "write",
            Self::Disk => "disk",
            Self::Env => "env",
            Self::Secrets => "secrets",
            Self::Reveal => "reveal",
            Self::Exec => "exec",
            Self::Artifacts => "artifacts",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that is no word of `allow`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability `{0}`")]
pub struct UnknownWord(pub String);

impl FromStr for Word {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact() {
        for word in Word::ALL {
            assert_eq!(word.to_string().parse(), Ok(word));
        }
        for text in ["", "Http", "http ", "secret", "revealed", "udp"] {
            assert_eq!(text.parse::<Word>(), Err(UnknownWord(text.to_owned())));
        }
    }
}
