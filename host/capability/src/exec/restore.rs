//! Which programs restore what they read, as far as their name and arguments tell.

use super::ExecRule;

/// Options of `pg_restore` with which it restores all that it reads, each as it is written out. Nothing else is taken for a
/// restore: an option that is not here could leave a part out, or print instead.
const WHOLE: [&str; 26] = [
    "--exit-on-error",
    "-e",
    "--single-transaction",
    "-1",
    "--clean",
    "-c",
    "--if-exists",
    "--create",
    "-C",
    "--no-owner",
    "-O",
    "--no-privileges",
    "--no-acl",
    "-x",
    "--no-comments",
    "--no-publications",
    "--no-security-labels",
    "--no-subscriptions",
    "--no-tablespaces",
    "--disable-triggers",
    "--no-password",
    "-w",
    "--verbose",
    "-v",
    "-Fc",
    "-Ft",
];

/// Options with a value, of which the same is true.
const WHOLE_WITH: [&str; 6] = ["--format=", "--role=", "--host=", "--port=", "--username=", "--superuser="];

/// Whether this is a program that makes a database of what it is given on standard input, all of it, and ends with 0 only if
/// that went well: `pg_restore`, by this name or path, with a database to restore into and no option that leaves something out.
///
/// Said of the command, by whoever decides that it runs: what the program of that name really is, `sha256` of its rule says and
/// `programs` of a policy.
#[must_use]
pub fn restores<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> bool {
    if !is_restorer(program) {
        return false;
    }
    let mut arguments = arguments.into_iter();
    let mut into = false;
    while let Some(argument) = arguments.next() {
        let named = argument.strip_prefix("--dbname=").or_else(|| match argument {
            "-d" | "--dbname" => arguments.next(),
            _ => argument.strip_prefix("-d"),
        });
        match named {
            Some("") => return false,
            Some(_) => into = true,
            None if WHOLE.contains(&argument) || WHOLE_WITH.iter().any(|option| argument.starts_with(option)) => {}
            None => return false,
        }
    }
    into
}

impl ExecRule {
    /// Whether some command that it covers could be one that [`restores`]. Never wrongly false.
    #[must_use]
    pub fn may_restore(&self) -> bool {
        let open = self.argv.iter().any(|pattern| pattern.is_rest() || pattern.literal().is_none());
        is_restorer(&self.program) && (open || restores(&self.program, self.argv.iter().filter_map(|it| it.literal())))
    }
}

fn is_restorer(program: &str) -> bool {
    program.rsplit('/').next() == Some("pg_restore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::ArgumentPattern;

    fn rule(argv: &[&str]) -> ExecRule {
        let argv = argv.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect();
        ExecRule { program: "pg_restore".to_owned(), argv, ..ExecRule::default() }
    }

    #[test]
    fn only_a_whole_restore_into_a_database_is_one() {
        for (program, arguments, expected) in [
            ("pg_restore", &["--exit-on-error", "--no-owner", "--dbname=scratch"][..], true),
            ("/usr/lib/postgresql/15/bin/pg_restore", &["-e", "-d", "scratch"], true),
            ("pg_restore", &["-dscratch", "--clean", "--if-exists"], true),
            ("pg_restore", &["--dbname", "scratch"], true),
            ("pg_restore", &["--file=/dev/null"], false),
            ("pg_restore", &[], false),
            ("pg_restore", &["--dbname="], false),
            ("pg_restore", &["-d"], false),
            ("pg_restore", &["--dbname=scratch", "--list"], false),
            ("pg_restore", &["--dbname=scratch", "--schema-only"], false),
            // As pg_restore takes them too: cut short, or several letters in one.
            ("pg_restore", &["--dbname=scratch", "--schema-o"], false),
            ("pg_restore", &["--dbname=scratch", "-es"], false),
            ("pg_restore", &["--dbname=scratch", "--table=patients"], false),
            // Whatever is no option is a file to read instead of standard input.
            ("pg_restore", &["--dbname=scratch", "other.dump"], false),
            ("cat", &["--dbname=scratch"], false),
            ("pg_restore.sh", &["--dbname=scratch"], false),
        ] {
            assert_eq!(restores(program, arguments.iter().copied()), expected, "{program} {arguments:?}");
        }
    }

    #[test]
    fn a_rule_that_leaves_something_open_may_restore() {
        for (argv, expected) in [
            (&["--file=/dev/null"][..], false),
            (&["--exit-on-error", "--dbname=scratch"], true),
            (&["--exit-on-error", "--dbname=*"], true),
            (&["**"], true),
            (&[], false),
        ] {
            assert_eq!(rule(argv).may_restore(), expected, "{argv:?}");
        }
        assert!(!ExecRule { program: "pg_dump".to_owned(), ..rule(&["**"]) }.may_restore());
    }
}
