//! What stands between a program and the machine, for the record.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a program is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fence {
    /// Version of the kernel's Landlock interface, where files and ports are fenced by it.
    pub(crate) landlock: Option<i32>,
    /// System calls that lead out of the fence are refused.
    pub(crate) seccomp: bool,
    /// It sees no processes but its own, and none outlives it.
    pub(crate) processes: bool,
    /// Whatever it may not write is read-only, attributes too.
    pub(crate) read_only: bool,
    /// It has a network of its own in which there is nothing.
    pub(crate) network: bool,
    /// What could not be had, and did not need to be: another part of the fence stands in for it.
    pub(crate) without: Vec<String>,
    /// What the kernel cannot do, and nothing stands in for.
    pub(crate) missing: Vec<String>,
}

impl fmt::Display for Fence {
    /// `native code within Landlock 7, seccomp, namespaces for processes, mounts, network`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces =
            [(self.processes, "processes"), (self.read_only, "mounts"), (self.network, "network")].map(named);
        let namespaces: Vec<&str> = namespaces.into_iter().flatten().collect();
        let mut within: Vec<String> = self.landlock.map(|version| format!("Landlock {version}")).into_iter().collect();
        within.extend(named((self.seccomp, "seccomp")).map(str::to_owned));
        if !namespaces.is_empty() {
            within.push(format!("namespaces for {}", namespaces.join(", ")));
        }
        if within.is_empty() {
            within.push("nothing".to_owned());
        }
        write!(f, "native code within {}", within.join(", "))?;
        if !self.without.is_empty() {
            write!(f, "; without {}", self.without.join(", "))?;
        }
        if self.missing.is_empty() { Ok(()) } else { write!(f, "; NOT CONFINED by {}", self.missing.join(", ")) }
    }
}

fn named((has, name): (bool, &str)) -> Option<&str> {
    has.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_and_what_does_not_is_said() {
        let whole = Fence {
            landlock: Some(7),
            seccomp: true,
            processes: true,
            read_only: true,
            network: true,
            ..Fence::default()
        };
        let said = "native code within Landlock 7, seccomp, namespaces for processes, mounts, network";
        assert_eq!(whole.to_string(), said);
        let less = Fence { landlock: Some(4), without: vec!["mounts (EPERM)".to_owned()], ..Fence::default() };
        assert_eq!(less.to_string(), "native code within Landlock 4; without mounts (EPERM)");
        let none = Fence { missing: vec!["Landlock".to_owned()], ..Fence::default() };
        assert_eq!(none.to_string(), "native code within nothing; NOT CONFINED by Landlock");
    }
}
