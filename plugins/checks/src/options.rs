//! What every check takes beside its own settings.

use std::time::Duration;

use pipe_sdk::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check that is not met means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It fails the step.
    #[default]
    Critical,
    /// It is reported as a warning, and the step goes on.
    Warning,
}

/// What every check takes beside its own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name in reports, where the default does not do.
    pub name: Option<String>,
    /// What it means when it is not met.
    pub severity: Severity,
    /// How often it is made again while it is not met.
    pub retries: u32,
    /// How long to wait in between.
    pub interval: Duration,
}

/// How long to wait before a check is made again: one second unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Interval(pub Period);

impl Default for Interval {
    fn default() -> Self {
        Self(Period(Duration::from_secs(1)))
    }
}

/// Declares the settings of a kind of check: its own fields, and those that every check takes. Serde's `flatten` would
/// do the same, but not together with `deny_unknown_fields`.
#[macro_export]
macro_rules! check_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// Name of the check in reports. A name that says what is looked at is the default.
            pub name: Option<String>,
            /// What it means when the check is not met: `critical` fails the step, `warning` does not.
            #[serde(default)]
            pub severity: $crate::Severity,
            /// How often the check is made again while it is not met.
            #[serde(default)]
            #[schemars(range(max = 1000))]
            pub retries: u32,
            /// How long to wait before the check is made again.
            #[serde(default)]
            pub interval: $crate::options::Interval,
        }

        impl $name {
            /// What every check takes.
            fn shared_options(&self) -> $crate::Options {
                $crate::Options {
                    name: self.name.clone(),
                    severity: self.severity,
                    retries: self.retries,
                    interval: self.interval.0.0,
                }
            }
        }
    };
}
