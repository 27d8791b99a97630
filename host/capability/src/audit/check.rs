//! The questions that an audit asks.

use super::Severity;

/// A question that an audit asks of every call or peer. Its name and severity are part of the output format: names are never
/// changed, only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// A record of earlier runs that cannot be read, or is not what was written.
    UntrustedRecord,
    /// What a policy does not allow.
    AbovePolicy,
    /// A secret that the plugin is shown.
    RevealsSecret,
    /// A variable or path that holds secrets, by its name.
    SecretInReach,
    /// A vendor's file that may be another one tomorrow.
    UnpinnedPlugin,
    /// A backup that anybody can read.
    BackupInTheClear,
    /// A migration with nothing to go back to.
    MigratesWithoutBackup,
    /// A program outside of the sandbox.
    NativeCode,
    /// A change that is not undone.
    Irreversible,
    /// What travels without TLS.
    InTheClear,
    /// A pattern that stands for more than anybody has listed.
    WidePattern,
    /// What may be changed and deleted.
    Write,
    /// A name that may lead to private or special addresses.
    PrivateAddress,
    /// A rule that no run has used.
    NeverUsed,
    /// A rule that is wider than what the runs used.
    BroaderThanNeeded,
    /// A word that the plugin cannot use, since its binary does not import it.
    CannotBeUsed,
    /// A word that the plugin has, and never said that it needs.
    NotRequested,
    /// A word that the plugin's binary imports, and its vendor does not mention.
    HiddenImport,
    /// Words that the plugin may ask for and does not have.
    NotGranted,
    /// What a plugin tried and was refused.
    WasRefused,
    /// A plugin that is not the one of the last run.
    PluginChanged,
}

impl Check {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 21] = [
        Self::UntrustedRecord,
        Self::AbovePolicy,
        Self::RevealsSecret,
        Self::UnpinnedPlugin,
        Self::SecretInReach,
        Self::BackupInTheClear,
        Self::MigratesWithoutBackup,
        Self::NativeCode,
        Self::Irreversible,
        Self::InTheClear,
        Self::WidePattern,
        Self::Write,
        Self::PrivateAddress,
        Self::NeverUsed,
        Self::BroaderThanNeeded,
        Self::CannotBeUsed,
        Self::NotRequested,
        Self::HiddenImport,
        Self::NotGranted,
        Self::WasRefused,
        Self::PluginChanged,
    ];

    /// Its name for programs: `native-code`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.texts().0
    }

    /// Its name for people, a few words in lower case.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.texts().1
    }

    /// What it means, and what to do about it.
    #[must_use]
    pub const fn help(self) -> &'static str {
        self.texts().2
    }

    /// How much it matters, unless the case at hand is a worse or a better one.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::UntrustedRecord | Self::AbovePolicy | Self::RevealsSecret | Self::UnpinnedPlugin => Severity::Error,
            Self::Write | Self::PrivateAddress | Self::NotGranted | Self::PluginChanged => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// Whether it asks for somebody's decision rather than for a change: a policy that covers the rule is one.
    #[must_use]
    pub const fn is_a_decision(self) -> bool {
        matches!(
            self,
            Self::RevealsSecret
                | Self::SecretInReach
                | Self::NativeCode
                | Self::InTheClear
                | Self::WidePattern
                | Self::Write
                | Self::PrivateAddress
        )
    }

    const fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::UntrustedRecord => (
                "untrusted-record",
                "record not to be trusted",
                "The record of earlier runs cannot be read, or is not what was written: nothing here is told from it. That a rule \
                 was used, or never was, is not known until somebody has found out why; `pipe log verify` names the place.",
            ),
            Self::AbovePolicy => (
                "above-policy",
                "above the policy",
                "A policy does not allow this, and the pipeline does not start under it: ask for less, or ask those who keep \
                 the policy for more.",
            ),
            Self::RevealsSecret => (
                "reveals-secret",
                "plaintext secret",
                "The plugin is shown a secret, and can send it wherever it may send anything. A login of a peer or a slot \
                 (`allow.secrets`) lets the host use the secret without showing it.",
            ),
            Self::SecretInReach => (
                "secret-in-reach",
                "may hold a secret",
                "By its name, this variable or path holds a secret that `[secrets]` does not declare. Declared, the host uses it \
                 and masks it everywhere; granted like this, the plugin reads it and nothing masks it.",
            ),
            Self::UnpinnedPlugin => (
                "unpinned-plugin",
                "vendor plugin not pinned",
                "The pipeline file does not say what the content of this plugin is: the file that runs tomorrow need not be the \
                 one that was audited today.",
            ),
            Self::BackupInTheClear => (
                "backup-in-the-clear",
                "backup not encrypted",
                "Whoever can read the state directory, or a copy of it, can read what was saved. `encrypt` names the secret that \
                 encrypts it.",
            ),
            Self::MigratesWithoutBackup => (
                "migrates-without-backup",
                "no backup before a migration",
                "The step may change a database, and no backup step stands before it in the file.",
            ),
            Self::NativeCode => (
                "native-code",
                "native code",
                "A program is not a component: what it does inside is not seen. Its arguments are held to the rule, and what \
                 it may touch by the kernel, no finer than that can.",
            ),
            Self::Irreversible => {
                ("irreversible", "not undone", "When a later step fails, what this one has changed stays changed.")
            }
            Self::InTheClear => (
                "in-the-clear",
                "without TLS",
                "Whoever is on the way can read and change what is sent and what comes back.",
            ),
            Self::WidePattern => (
                "wide-pattern",
                "wide pattern",
                "The rule covers more than anybody has listed: `**` is every path or argument from there on, the method `*` is \
                 GET, HEAD, POST, PUT, PATCH and DELETE, and a port of a program is that port of any address.",
            ),
            Self::Write => (
                "write",
                "may write",
                "A write grant covers reading, changing and deleting: of a file, or of everything in a directory.",
            ),
            Self::PrivateAddress => (
                "private-address",
                "private addresses",
                "A name never leads to a private or special address unless `addresses` says so. Here it may.",
            ),
            Self::NeverUsed => (
                "never-used",
                "granted, never used",
                "The step has succeeded in the runs that were looked at and has used other rules, but not this one. What nobody \
                 needs is best not granted.",
            ),
            Self::BroaderThanNeeded => (
                "broader-than-needed",
                "broader than needed",
                "Narrower rules would have been enough for all that the newest runs did. `pipe suggest` says why, and prints \
                 a patch.",
            ),
            Self::CannotBeUsed => (
                "cannot-be-used",
                "granted, cannot be used",
                "The component does not import the interface that this word needs: granting it does nothing now, and everything \
                 once the plugin is replaced.",
            ),
            Self::NotRequested => (
                "not-requested",
                "granted, not requested",
                "The plugin's own description does not mention this word. Either nobody needs the grant, or the vendor does not \
                 say what the plugin does.",
            ),
            Self::HiddenImport => (
                "hidden-import",
                "imported, not requested",
                "The binary imports an interface that the plugin's own description does not mention. Every call is refused unless \
                 granted, but ask the vendor what it is for. (Components made from Python or JavaScript import whatever their \
                 world has.)",
            ),
            Self::NotGranted => (
                "not-granted",
                "requested, not granted",
                "The vendor's plugin says that it may ask for this and has no rule for it. That is as it should be where the \
                 settings do not need it; a call that does is refused. (Standard plugins ask by kind of setting: of them it is \
                 not told.)",
            ),
            Self::WasRefused => (
                "was-refused",
                "tried and refused",
                "In the runs that were looked at, the plugin asked for something that it may not have. Either its settings need \
                 a rule, or the plugin does more than it should.",
            ),
            Self::PluginChanged => (
                "plugin-changed",
                "plugin changed",
                "The last run had a plugin of this name with other content: what is said here about use is about that one.",
            ),
        }
    }
}
