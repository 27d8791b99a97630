//! `kind = "tcp"`: whether a port takes connections.

use std::time::Instant;

use pipe_sdk::{Context, Failure, Finding, tcp};

use crate::http::Timeout;
use crate::{Check, Options, run};

crate::check_settings! {
    /// Connects to a port and hangs up. Needs `allow.tcp = ["HOST:PORT"]`.
    pub struct TcpCheck {
        /// Name or address.
        #[schemars(length(min = 1))]
        pub host: String,
        /// Port.
        #[schemars(range(min = 1))]
        pub port: u16,
        /// How long to wait for the connection.
        #[serde(default)]
        pub timeout: Timeout,
    }
}

impl Check for TcpCheck {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("tcp {}:{}", self.host, self.port)
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.port == 0 { Err(Failure::settings("a port is a number from 1 to 65535")) } else { Ok(()) }
    }

    fn look(&self, context: &Context) -> Result<Finding, Failure> {
        let started = Instant::now();
        let connection = tcp::connect(&self.host, self.port, run::patience(context, self.timeout.0.0))?;
        let took = started.elapsed().as_millis();
        Ok(Finding::pass(format!("{} takes connections", connection.peer())).with_observed(format!("{took} ms")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_port_has_a_number() {
        let check = |port: u32| serde_json::from_value::<TcpCheck>(json!({ "host": "db", "port": port }));
        assert_eq!(check(5432).expect("settings").default_name(), "tcp db:5432");
        assert!(check(0).expect("settings").validate().is_err());
        assert!(check(65_536).is_err());
        assert!(serde_json::from_value::<TcpCheck>(json!({ "host": "db" })).is_err());
    }
}
