//! What must hold whatever is allowed.

use std::time::Duration;

use super::{Against, Excess, Outside, Part, Place, PluginSeen, StepSeen};
use crate::{
    http::{HttpTarget, Scheme},
    word::Word,
};

/// What a ceiling requires of every step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// No plugin is told a secret, whatever the blocks allow.
    pub no_reveal: bool,
    /// Nothing is spoken over HTTP without TLS, not even on this machine.
    pub https_only: bool,
    /// Programs that may be run, as the pipeline file writes them. Nothing: as the blocks allow.
    pub programs: Option<Vec<String>>,
    /// Every plugin that is no standard one is pinned by `sha256`.
    pub pinned_plugins: bool,
    /// A migrate step has a backup before it that its grant lets encrypt and its settings, where they tell, do encrypt. That it
    /// was encrypted and verified is known when the run comes to the migration, and is asked once more then.
    pub encrypted_backup_before_migrate: bool,
    /// The same of a backup that was restored: see [`restores`](crate::exec::restores) for what counts. Where both are required,
    /// one backup must be both.
    pub restored_backup_before_migrate: bool,
    /// How old the backup may be at most that a migration leans on, counted from when it was begun.
    pub backup_max_age: Option<Duration>,
    /// Programs run even where the kernel cannot confine them, and the record says so. Else they do not run there.
    pub unconfined_programs: bool,
}

impl Requirements {
    /// Key in the policy file.
    pub const REVEAL: &'static str = "reveal";
    /// Key in the policy file.
    pub const HTTPS_ONLY: &'static str = "https_only";
    /// Key in the policy file.
    pub const PROGRAMS: &'static str = "programs";
    /// Key in the policy file.
    pub const PINNED_PLUGINS: &'static str = "pinned_plugins";
    /// Key in the policy file.
    pub const ENCRYPTED_BACKUP: &'static str = "encrypted_backup_before_migrate";
    /// Key in the policy file.
    pub const RESTORED_BACKUP: &'static str = "restored_backup_before_migrate";
    /// Key in the policy file, and in the pipeline file.
    pub const BACKUP_MAX_AGE: &'static str = "backup_max_age";
    /// Key in the policy file.
    pub const UNCONFINED: &'static str = "unconfined_programs";

    /// Everything of a step that does not hold.
    pub(super) fn breaches(&self, step: &StepSeen<'_>, outside: &Outside) -> Vec<Excess> {
        let mut found = Vec::new();
        let mut breach = |at: Part, key: &'static str, means: String, why: &str| {
            found.push(Excess { at, against: Against::Requirement(key), means, why: why.to_owned() });
        };
        if self.no_reveal {
            for at in 0..step.grant.reveal.len() {
                breach(Part::Rule(Word::Reveal, at), Self::REVEAL, String::new(), "no plugin is told a secret");
            }
        }
        if self.https_only {
            let plain = |name: &str| outside.peer(name).is_some_and(|peer| peer.place.is_plain_http());
            let shown =
                |name: &str| outside.peer(name).map_or_else(String::new, |peer| format!("`{name}` is {}", peer.place));
            let why = "nothing goes over HTTP without TLS";
            for (at, rule) in step.grant.http.iter().enumerate() {
                let part = Part::Rule(Word::Http, at);
                match rule.target() {
                    HttpTarget::Peer(name) if plain(name) => breach(part, Self::HTTPS_ONLY, shown(name), why),
                    HttpTarget::Origin { scheme: Scheme::Http, .. } => {
                        breach(part, Self::HTTPS_ONLY, String::new(), why);
                    }
                    _ => {}
                }
            }
            for (at, rule) in step.grant.exec.iter().enumerate() {
                if let Some(name) = rule.peer.as_ref().filter(|name| plain(name)) {
                    breach(Part::Rule(Word::Exec, at), Self::HTTPS_ONLY, shown(name), why);
                }
            }
        }
        if let Some(programs) = &self.programs {
            for (at, rule) in step.grant.exec.iter().enumerate() {
                let part = Part::Rule(Word::Exec, at);
                if !programs.contains(&rule.program) {
                    let means = format!("the program is `{}`", rule.program);
                    breach(part, Self::PROGRAMS, means, "only these programs may be run");
                } else if !rule.program.starts_with('/') && rule.env.contains_key("PATH") {
                    // A name is the program of that name only where the pipeline does not say where to look.
                    let means = format!("`PATH` says where `{}` is looked up", rule.program);
                    breach(part, Self::PROGRAMS, means, "a program of this name is the system's own");
                }
            }
        }
        if self.pinned_plugins && matches!(step.plugin, PluginSeen::File { pinned: false, .. }) {
            breach(Part::Plugin, Self::PINNED_PLUGINS, "not pinned by `sha256`".to_owned(), "every plugin is pinned");
        }
        found.extend(self.migration(step));
        found
    }
}

impl Place {
    /// Whether it is spoken to over HTTP without TLS.
    fn is_plain_http(&self) -> bool {
        matches!(self, Self::Net { scheme, .. } if scheme == "http")
    }
}
