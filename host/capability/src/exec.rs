//! `exec`: programs, with their arguments position by position.

mod argument;
mod limits;
mod restore;

use std::{collections::BTreeMap, fmt};

use pipe_core::digest::Digest;

pub use self::{
    argument::ArgumentPattern,
    limits::{Bound, ExecLimits},
    restore::restores,
};
use crate::{
    env,
    line::{self, Table},
    path::PathRule,
    peer,
    rule::{InToml, RuleError},
    secret,
};

/// A program that may be run: `{ program = "pg_dump", argv = ["-F", "c"], peer = "main" }`.
///
/// The loader fills the fields in and calls [`ExecRule::checked`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRule {
    /// Name or absolute path. Compared exactly as written.
    pub program: String,
    /// One pattern for each argument.
    pub argv: Vec<ArgumentPattern>,
    /// Directory it runs in, as written, which it may then read. Nothing: the directory of the pipeline file, which it may
    /// not.
    pub cwd: Option<String>,
    /// Its variables. It gets no others but those that the host sets.
    pub env: BTreeMap<String, String>,
    /// The peer whose address and login it is given.
    pub peer: Option<String>,
    /// Variables that hold a secret: name of the variable, name of the secret.
    pub secret_env: BTreeMap<String, String>,
    /// Variables that hold the path of a file with a secret in it: name of the variable, name of the secret.
    pub secret_file: BTreeMap<String, String>,
    /// What it may read and run, beside the system's own programs and libraries.
    pub read: Vec<PathRule>,
    /// What it may read, write and delete in.
    pub write: Vec<PathRule>,
    /// Ports that it may connect to over TCP, at any address. That of its peer needs no mention.
    pub ports: Vec<u16>,
    /// UNIX sockets that it may connect to.
    pub sockets: Vec<PathRule>,
    /// What it may use up.
    pub limits: ExecLimits,
    /// What the program's file must be.
    pub sha256: Option<Digest>,
}

impl ExecRule {
    /// The rule, once everything in it is known to make sense. Errors name the key in [`RuleError::field`].
    ///
    /// # Errors
    ///
    /// A program that is neither a name nor an absolute path; `**` before the last place of `argv`; names that no variable,
    /// secret or peer can have; a variable that is set twice.
    pub fn checked(self) -> Result<Self, RuleError> {
        check_program(&self.program).map_err(|error| error.of("program"))?;
        if let Some(at) = self.argv.iter().position(ArgumentPattern::is_rest)
            && at + 1 < self.argv.len()
        {
            return Err(RuleError::new("`**` is not the last of `argv`")
                .of("argv")
                .with_hint("`**` stands for any further arguments; `*` for any one that is not an option"));
        }
        if self.cwd.as_deref().is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0')) {
            return Err(RuleError::new("`cwd` is not a path").of("cwd"));
        }
        check_variables(&self.env).map_err(|error| error.of("env"))?;
        for (field, secrets) in [("secret_env", &self.secret_env), ("secret_file", &self.secret_file)] {
            check_variables(secrets).map_err(|error| error.of(field))?;
            for (variable, secret) in secrets {
                secret::check_name(secret).map_err(|error| error.of(field))?;
                if self.env.contains_key(variable) {
                    return Err(RuleError::new(format!("`{variable}` stands in `env` and in `{field}`")).of(field));
                }
            }
        }
        if let Some(variable) = self.secret_file.keys().find(|variable| self.secret_env.contains_key(*variable)) {
            let message = format!("`{variable}` stands in `secret_env` and in `secret_file`");
            return Err(RuleError::new(message).of("secret_file"));
        }
        for (field, rules) in [("read", &self.read), ("write", &self.write), ("sockets", &self.sockets)] {
            if rules.iter().any(|rule| rule.written.is_empty() || rule.written.contains('\0')) {
                return Err(RuleError::new(format!("`{field}` holds what is no path")).of(field));
            }
        }
        if self.ports.contains(&0) {
            return Err(RuleError::new("there is no port 0").of("ports"));
        }
        self.limits.check()?;
        if let Some(peer) = &self.peer {
            peer::check_name(peer).map_err(|error| error.of("peer"))?;
        }
        Ok(self)
    }

    /// Whether it covers the program with these arguments. Arguments that hold a NUL are covered by no rule.
    #[must_use]
    pub fn covers(&self, program: &str, arguments: &[String]) -> bool {
        let (fixed, rest) = fixed_and_rest(&self.argv);
        self.program == program
            && (arguments.len() == fixed.len() || rest && arguments.len() > fixed.len())
            && fixed.iter().zip(arguments).all(|(pattern, argument)| pattern.matches(argument))
            && arguments.iter().all(|argument| !argument.contains('\0'))
            && (self.peer.is_none() || !self.leads_elsewhere(arguments))
    }

    /// Whether an argument that the rule leaves open could lead a program with the login of its peer to another server: a
    /// connection string or an option for one. The clients of PostgreSQL take both, and either beats what the host says.
    fn leads_elsewhere(&self, arguments: &[String]) -> bool {
        let (fixed, _) = fixed_and_rest(&self.argv);
        let open = |at: usize, argument: &str| match fixed.get(at) {
            Some(pattern) => pattern.open_part(argument).map(str::to_owned),
            None => Some(argument.to_owned()),
        };
        let names_server = |argument: &str| {
            let name = argument.split('=').next().unwrap_or_default();
            let long = ["--host", "--port", "--dbname", "--username"];
            let short = argument.starts_with('-') && !argument.starts_with("--");
            name.len() > 2 && long.iter().any(|option| option.starts_with(name))
                || short && argument.contains(['h', 'd', 'p', 'U'])
        };
        arguments.iter().enumerate().any(|(at, argument)| {
            open(at, argument).is_some_and(|part| part.contains('=') || part.contains("://") || names_server(argument))
        })
    }

    /// Whether it lets every program be run that `other` lets, with the same arguments, and gives it whatever `other` gives.
    ///
    /// Never wrongly true. Arguments are held against each other place by place. Variables must be the same, since one that is
    /// left out may be what keeps a program harmless; paths, ports and limits may be fewer and smaller, and a rule without
    /// `sha256` includes one with.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let Self {
            program,
            argv,
            cwd,
            env,
            peer,
            secret_env,
            secret_file,
            read,
            write,
            ports,
            sockets,
            limits,
            sha256,
        } = other;
        // Whoever may write may read.
        let reads = || self.read.iter().chain(&self.write);
        self.program == *program
            && includes_arguments(&self.argv, argv)
            && self.cwd == *cwd
            && self.env == *env
            && self.peer == *peer
            && self.secret_env == *secret_env
            && self.secret_file == *secret_file
            && read.iter().all(|narrow| reads().any(|wide| wide.includes(narrow)))
            && write.iter().all(|narrow| self.write.iter().any(|wide| wide.includes(narrow)))
            && ports.iter().all(|port| self.ports.contains(port))
            && sockets.iter().all(|narrow| self.sockets.iter().any(|wide| wide.includes(narrow)))
            && self.limits.include(limits)
            && (self.sha256.is_none() || self.sha256 == *sha256)
    }

    /// The arguments as far as the rule fixes them, with `…` for what it leaves open, for a record that keeps no values. The
    /// rule covers them.
    #[must_use]
    pub fn outline(&self, arguments: &[String]) -> Vec<String> {
        let last = self.argv.last();
        let patterns = self.argv.iter().chain(last.into_iter().cycle());
        arguments.iter().zip(patterns).map(|(_, pattern)| pattern.outline()).collect()
    }

    /// The narrowest rule for a program with these arguments. It gives the program nothing else; where `like` pins the same
    /// program by its content, so does it.
    pub(crate) fn narrowest<'r>(
        program: &str,
        arguments: &[String],
        mut like: impl Iterator<Item = &'r Self>,
    ) -> Option<Self> {
        let exactly = |argument: &String| ArgumentPattern::parse(&ArgumentPattern::exactly(argument)).ok();
        let rule = Self {
            program: program.to_owned(),
            argv: arguments.iter().map(exactly).collect::<Option<_>>()?,
            sha256: like.find_map(|rule| rule.sha256.filter(|_| rule.program == program)),
            ..Self::default()
        };
        rule.checked().ok().filter(|rule| rule.covers(program, arguments))
    }
}

/// Whether `wide` takes every list of arguments that `narrow` takes.
pub(crate) fn includes_arguments(wide: &[ArgumentPattern], narrow: &[ArgumentPattern]) -> bool {
    let (fixed, rest) = fixed_and_rest(wide);
    let (narrow, narrow_rest) = fixed_and_rest(narrow);
    let enough = if rest { narrow.len() >= fixed.len() } else { !narrow_rest && narrow.len() == fixed.len() };
    enough && fixed.iter().zip(narrow).all(|(pattern, narrow)| pattern.includes(narrow))
}

/// The patterns that stand for one argument each, and whether any may follow.
fn fixed_and_rest(argv: &[ArgumentPattern]) -> (&[ArgumentPattern], bool) {
    match argv.split_last() {
        Some((last, before)) if last.is_rest() => (before, true),
        _ => (argv, false),
    }
}

fn check_program(program: &str) -> Result<(), RuleError> {
    let whole = 0..program.len();
    if program.is_empty() {
        return Err(RuleError::new("the program is missing").with_hint("as in `program = \"pg_dump\"`"));
    }
    if let Some(at) = program.find(char::is_control) {
        return Err(RuleError::new("control characters in the name of the program").at(at..program.len()));
    }
    if program.contains('*') {
        return Err(RuleError::new("programs are granted one by one").at(whole).with_hint("name each"));
    }
    if let Some(path) = program.strip_prefix('/') {
        let sound = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        return if sound {
            Ok(())
        } else {
            Err(RuleError::new("the path of the program is not a plain one").at(whole))
        };
    }
    if program.contains('/') || program == "." || program == ".." {
        return Err(RuleError::new(format!("`{program}` is neither a name nor an absolute path"))
            .at(whole)
            .with_hint("a name is looked up in PATH; any other place is written from the root"));
    }
    if program.contains(char::is_whitespace) {
        return Err(RuleError::new(format!("`{program}` holds spaces"))
            .at(whole)
            .with_hint("there is no shell: arguments stand in `argv`, each by itself"));
    }
    Ok(())
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), RuleError> {
    for (name, value) in variables {
        if !env::is_name(name) {
            return Err(RuleError::new(format!("`{name}` is not the name of a variable"))
                .with_hint("letters, digits and `_`, not beginning with a digit"));
        }
        if value.contains('\0') {
            return Err(RuleError::new(format!("the value of `{name}` holds a NUL")));
        }
    }
    Ok(())
}

impl fmt::Display for ExecRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argv = line::array(self.argv.iter().map(InToml::in_toml));
        let table = Table::default()
            .text("program", &self.program)
            .value("argv", &argv)
            .optional("cwd", self.cwd.as_deref())
            .texts("env", &self.env)
            .optional("peer", self.peer.as_deref())
            .texts("secret_env", &self.secret_env)
            .texts("secret_file", &self.secret_file)
            .values("read", self.read.iter().map(InToml::in_toml))
            .values("write", self.write.iter().map(InToml::in_toml))
            .values("ports", self.ports.iter().map(u16::to_string))
            .values("sockets", self.sockets.iter().map(InToml::in_toml));
        let table = self.limits.in_toml().fold(table, |table, (key, value)| table.value(key, &value));
        let table = table.optional("sha256", self.sha256.map(|digest| digest.to_string()).as_deref());
        f.write_str(&table.finish())
    }
}

impl InToml for ExecRule {
    fn in_toml(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests;
