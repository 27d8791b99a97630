//! `kind = "audit-roundtrip"`: a record is written where audit records go, found there, and removed again.

mod line;
mod rows;

use pipe_checks::{Check, Options, check_settings};
use pipe_sdk::{Context, Failure, Finding};

check_settings! {
    /// Writes a marker where audit records go, looks for it, and removes it again. Either into a table, by three
    /// statements (needs `allow.sql = ["write PEER"]`), or as a line of a file (needs `allow.write`).
    #[schemars(extend("if" = { "required": ["peer"] }))]
    #[schemars(extend("then" = { "required": ["insert", "select", "delete"], "properties": { "path": false } }))]
    #[schemars(extend("else" = {
        "required": ["path"], "properties": { "insert": false, "select": false, "delete": false },
    }))]
    pub struct AuditRoundtrip {
        /// Peer of the pipeline file, for a table.
        pub peer: Option<String>,
        /// Statement that writes the marker, which is `$1`.
        #[schemars(regex(pattern = r"\$1([^0-9]|$)"))]
        pub insert: Option<String>,
        /// Statement that returns a row where the marker is found.
        #[schemars(regex(pattern = r"\$1([^0-9]|$)"))]
        pub select: Option<String>,
        /// Statement that removes the marker.
        #[schemars(regex(pattern = r"\$1([^0-9]|$)"))]
        pub delete: Option<String>,
        /// Path of a file, for a line. It must exist. Where others write to it at the same moment, the line stays
        /// and the check warns.
        #[schemars(length(min = 1))]
        pub path: Option<String>,
    }
}

/// Where the marker goes.
enum Place<'s> {
    Table(&'s str, rows::Statements<'s>),
    File(&'s str),
}

impl AuditRoundtrip {
    fn place(&self) -> Result<Place<'_>, Failure> {
        match (&self.peer, &self.insert, &self.select, &self.delete, &self.path) {
            (Some(peer), Some(insert), Some(select), Some(delete), None) => {
                let statements = rows::Statements { insert, select, delete };
                statements.validate()?;
                Ok(Place::Table(peer, statements))
            }
            (None, None, None, None, Some(path)) => Ok(Place::File(path)),
            _ => Err(Failure::settings("needs either `peer` with `insert`, `select` and `delete`, or `path`")),
        }
    }
}

/// The same for every attempt at a step, so that one attempt removes what another left behind.
fn marker(context: &Context) -> String {
    let key: String = context.idempotency_key.chars().filter(|c| !c.is_control()).collect();
    format!("pipe-probe {key}")
}

impl Check for AuditRoundtrip {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        let place = self.peer.as_ref().or(self.path.as_ref()).map_or("", String::as_str);
        format!("audit roundtrip {place}")
    }

    fn validate(&self) -> Result<(), Failure> {
        self.place().map(drop)
    }

    fn look(&self, context: &Context) -> Result<Finding, Failure> {
        let marker = marker(context);
        let finding = match self.place()? {
            Place::Table(peer, statements) => {
                let connection = pipe_sdk::sql::Connection::write(peer)?;
                rows::roundtrip(&connection, &statements, &marker)
            }
            Place::File(path) => line::roundtrip(path, &marker),
        };
        finding.map(|finding| finding.with_expected("written, found and removed"))
    }
}
