//! `kind = "env-required"` and `kind = "env-values"`: variables of the operator. Their values are never shown: what
//! stands in a variable may be a secret that nobody has declared as one.

use std::collections::BTreeMap;

use pipe_checks::expectation::Seen;
use pipe_checks::{Check, Expectation, Options, check_settings};
use pipe_sdk::{Context, Failure, Finding, env};

check_settings! {
    /// Looks whether variables are set. Their values are never shown, only their lengths. Needs `allow.env`.
    pub struct EnvRequired {
        /// Names of the variables.
        #[schemars(length(min = 1), inner(length(min = 1)))]
        pub names: Vec<String>,
        /// Least number of characters in each.
        #[schemars(range(min = 1))]
        pub min_length: Option<u64>,
        /// Values that stand for none, such as the placeholders of a template.
        #[serde(default)]
        pub forbid_values: Vec<String>,
    }
}

check_settings! {
    /// Looks whether variables have the values that are expected. Needs `allow.env`.
    pub struct EnvValues {
        /// Names of the variables and what is expected of each: `{ AUDIT = true, RETENTION_DAYS = { min = 2555 } }`.
        #[schemars(extend("minProperties" = 1))]
        pub values: BTreeMap<String, Expectation>,
    }
}

impl EnvRequired {
    fn judge(&self, value_of: impl Fn(&str) -> Result<Option<String>, Failure>) -> Result<Finding, Failure> {
        let (mut lengths, mut unmet) = (Vec::new(), Vec::new());
        for name in &self.names {
            let value = value_of(name)?.unwrap_or_default();
            let length = value.chars().count() as u64;
            if value.trim().is_empty() {
                unmet.push(format!("{name} is not set"));
                continue;
            }
            lengths.push(format!("{name}: {length} characters"));
            if self.forbid_values.iter().any(|forbidden| forbidden.trim() == value.trim()) {
                unmet.push(format!("{name} still holds a placeholder"));
            } else if let Some(least) = self.min_length
                && length < least
            {
                unmet.push(format!("{name} has {length} characters, fewer than {least}"));
            }
        }
        let finding = if unmet.is_empty() {
            let variables =
                if self.names.len() == 1 { "1 variable is" } else { &format!("{} variables are", self.names.len()) };
            Finding::pass(format!("{variables} set"))
        } else {
            Finding::fail(unmet.join("; "))
        };
        Ok(finding.with_observed(lengths.join(", ")).with_expected(format!("set: {}", self.names.join(", "))))
    }
}

impl EnvValues {
    fn judge(&self, value_of: impl Fn(&str) -> Result<Option<String>, Failure>) -> Result<Finding, Failure> {
        let (mut seen, mut unmet) = (Vec::new(), Vec::new());
        for (name, expectation) in &self.values {
            let value = value_of(name)?;
            let shown = shown(value.as_deref(), expectation);
            seen.push(format!("{name}: {shown}"));
            if !expectation.is_met(value.as_deref().map(Seen::Text)) {
                unmet.push(format!("{name} is {shown}, expected {expectation}"));
            }
        }
        let expected: Vec<String> = self.values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let finding = if unmet.is_empty() {
            Finding::pass(format!("as expected: {}", self.values.keys().cloned().collect::<Vec<_>>().join(", ")))
        } else {
            Finding::fail(unmet.join("; "))
        };
        Ok(finding.with_observed(seen.join(", ")).with_expected(expected.join(", ")))
    }
}

/// What may be said of a value: that it is as expected, a number where one is expected, or else its length.
fn shown(value: Option<&str>, expectation: &Expectation) -> String {
    match value {
        None => "not set".to_owned(),
        Some(text) if expectation.asks_for_number() && text.trim().parse::<f64>().is_ok() => text.trim().to_owned(),
        Some(text) if expectation.is_met(Some(Seen::Text(text))) => "as expected".to_owned(),
        Some(text) => format!("another value of {} characters", text.chars().count()),
    }
}

impl Check for EnvRequired {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        match self.names.as_slice() {
            [name] => format!("variable {name}"),
            names => format!("{} variables", names.len()),
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.names.is_empty() { Err(Failure::settings("`names` needs at least one name")) } else { Ok(()) }
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        self.judge(|name| Ok(env::variable(name)?))
    }
}

impl Check for EnvValues {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        match self.values.keys().collect::<Vec<_>>().as_slice() {
            [name] => format!("value of {name}"),
            names => format!("values of {} variables", names.len()),
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.values.is_empty() { Err(Failure::settings("`values` needs at least one variable")) } else { Ok(()) }
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        self.judge(|name| Ok(env::variable(name)?))
    }
}

#[cfg(test)]
mod tests {
    use pipe_sdk::Status;
    use serde_json::json;

    use super::*;

    fn environment(name: &str) -> Result<Option<String>, Failure> {
        Ok(match name {
            "ASID" => Some("918273645546".to_owned()),
            "PARTY_KEY" => Some("your-party-key".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            "AUDIT" => Some("true".to_owned()),
            "RETENTION" => Some("2000".to_owned()),
            "SSL" => Some("hunter2".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_variable_that_is_empty_or_a_placeholder_is_not_set() {
        let judge = |names: &[&str]| {
            let settings = json!({ "names": names, "min_length": 12, "forbid_values": ["your-party-key"] });
            serde_json::from_value::<EnvRequired>(settings).expect("settings").judge(environment).expect("allowed")
        };
        let finding = judge(&["ASID"]);
        assert_eq!((finding.status, finding.message.as_str()), (Status::Pass, "1 variable is set"));
        let finding = judge(&["ASID", "PARTY_KEY", "EMPTY", "NONE", "AUDIT"]);
        assert_eq!(finding.status, Status::Fail);
        assert_eq!(
            finding.message,
            "PARTY_KEY still holds a placeholder; EMPTY is not set; NONE is not set; AUDIT has 4 characters, fewer than 12"
        );
        assert!(!format!("{finding:?}").contains("918273645546"));
    }

    #[test]
    fn a_value_is_held_against_its_expectation_and_not_shown() {
        let settings =
            json!({ "values": { "AUDIT": true, "RETENTION": { "min": 2555 }, "SSL": "require", "NONE": "x" } });
        let check: EnvValues = serde_json::from_value(settings).expect("settings");
        let finding = check.judge(environment).expect("allowed");
        assert_eq!(
            finding.message,
            "NONE is not set, expected \"x\"; RETENTION is 2000, expected at least 2555; \
             SSL is another value of 7 characters, expected \"require\""
        );
        assert!(!format!("{finding:?}").contains("hunter2"));
    }
}
