//! The programs of a dump, and which of their arguments would make a backup that is none.

use pipe_sdk::{Failure, process::Command};

use crate::settings::{PgDump, VerifyDump};

/// The program that writes the dump to its standard output.
pub(crate) fn producer(dump: &PgDump) -> Result<Command, Failure> {
    if let Some(argument) = dump.arguments.iter().find(|argument| is_option(argument, 'f', "--file")) {
        return Err(Failure::settings(format!(
            "{argument} makes {} write a file; the dump must go to standard output, where it is encrypted",
            dump.program
        )));
    }
    if let Some(argument) = dump.arguments.iter().find(|argument| holds_password(argument)) {
        let shown = argument.split_once("://").map_or("a connection string", |(scheme, _)| scheme);
        return Err(Failure::settings(format!(
            "an argument ({shown}) holds a password; name the database as `peer` in allow.exec instead"
        )));
    }
    Ok(Command::new(&dump.program).args(dump.arguments.iter().cloned()))
}

/// The program that reads the dump from its standard input.
///
/// `pg_restore --list` is not among the choices: it reads the table of contents at the front and nothing of the data, so
/// that a dump cut off in the middle passes. `--file=/dev/null` unpacks every block. Tried with PostgreSQL 15: it fails
/// where the last byte is missing, and where a byte of the compressed data is another.
pub(crate) fn verifier(dump: &PgDump) -> Result<Command, Failure> {
    let command = Command::new(&dump.verifier);
    let restore = match &dump.verify {
        VerifyDump::Read => return Ok(command.arg("--file=/dev/null")),
        VerifyDump::Restore(restore) => restore,
    };
    let given = |short, long| restore.arguments.iter().any(|argument| is_option(argument, short, long));
    if !given('d', "--dbname") {
        return Err(Failure::settings("verify.restore.arguments need --dbname=NAME: without it nothing is restored"));
    }
    let parts = [('l', "--list"), ('s', "--schema-only"), ('f', "--file"), ('L', "--use-list"), ('t', "--table")];
    if let Some((_, long)) = parts.iter().find(|(short, long)| given(*short, long)) {
        return Err(Failure::settings(format!("{long} in verify.restore.arguments would restore only a part")));
    }
    Ok(command.args(restore.arguments.iter().cloned()))
}

/// Whether an argument is an option, in its short form (`-f`, `-fx`) or its long one (`--file`, `--file=x`).
fn is_option(argument: &str, short: char, long: &str) -> bool {
    let is_long = argument.strip_prefix(long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let is_short = argument.strip_prefix('-').is_some_and(|rest| rest.starts_with(short));
    is_long || is_short
}

/// `postgres://user:password@host/`, or `password=…` of a connection string.
fn holds_password(argument: &str) -> bool {
    let login = argument.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default();
    let in_url = login.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'));
    in_url || argument.split_whitespace().any(|word| word.contains("password=") && !word.starts_with("--no-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dump(more: serde_json::Value) -> PgDump {
        let mut settings = json!({ "peer": "main", "encrypt": false });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn the_commands_are_those_of_the_grant() {
        let command = producer(&dump(json!({}))).unwrap();
        assert_eq!(
            (command.program(), command.arguments().join(" ")),
            ("pg_dump", "--format=custom --no-password".into())
        );
        let command = verifier(&dump(json!({ "verifier": "/usr/bin/pg_restore" }))).unwrap();
        assert_eq!(
            (command.program(), command.arguments().join(" ")),
            ("/usr/bin/pg_restore", "--file=/dev/null".into())
        );
        let arguments = ["--exit-on-error", "--no-owner", "--dbname=scratch"];
        let command = verifier(&dump(json!({ "verify": { "restore": { "arguments": arguments } } }))).unwrap();
        assert_eq!(command.arguments(), arguments);
    }

    #[test]
    fn a_dump_that_goes_elsewhere_is_refused() {
        for argument in ["-f", "-fx.dump", "--file", "--file=x.dump"] {
            assert!(producer(&dump(json!({ "arguments": ["-Fc", argument] }))).is_err(), "{argument}");
        }
        for argument in ["-Fc", "--format=custom", "--filter=x"] {
            assert!(producer(&dump(json!({ "arguments": [argument] }))).is_ok(), "{argument}");
        }
    }

    #[test]
    fn a_password_among_the_arguments_is_refused_and_not_repeated() {
        for argument in
            ["postgresql://u:hunter2@db/x", "--dbname=postgres://u:hunter2@db/x?a=b", "host=db password=hunter2"]
        {
            let failure = producer(&dump(json!({ "arguments": [argument] }))).unwrap_err();
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
        for argument in ["postgresql://u@db:5432/x", "--no-password", "host=db"] {
            assert!(producer(&dump(json!({ "arguments": [argument] }))).is_ok(), "{argument}");
        }
    }

    #[test]
    fn a_restore_that_restores_nothing_or_a_part_is_refused() {
        let with = |arguments: &[&str]| verifier(&dump(json!({ "verify": { "restore": { "arguments": arguments } } })));
        assert!(with(&["--exit-on-error"]).unwrap_err().message.contains("need --dbname=NAME"));
        for part in ["--list", "-l", "--schema-only", "-s", "--file=x", "--table=a", "-ta", "-L"] {
            assert!(with(&["--dbname=x", part]).unwrap_err().message.contains("only a part"), "{part}");
        }
        assert!(with(&["-e", "-d", "x", "--single-transaction", "--clean", "--if-exists"]).is_ok());
    }
}
