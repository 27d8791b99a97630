//! `exec`: programs, with their arguments position by position.

mod argument;

use std::{collections::BTreeMap, fmt};

use pipe_core::digest::Digest;

pub use self::argument::ArgumentPattern;
use crate::{
    env,
    line::{self, Table},
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
    /// Directory it runs in, as written. Nothing: the directory of the pipeline file.
    pub cwd: Option<String>,
    /// Its variables. It gets no others but those that the host sets.
    pub env: BTreeMap<String, String>,
    /// The peer whose address and login it is given.
    pub peer: Option<String>,
    /// Variables that hold a secret: name of the variable, name of the secret.
    pub secret_env: BTreeMap<String, String>,
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
        check_variables(&self.secret_env).map_err(|error| error.of("secret_env"))?;
        for (variable, secret) in &self.secret_env {
            secret::check_name(secret).map_err(|error| error.of("secret_env"))?;
            if self.env.contains_key(variable) {
                return Err(
                    RuleError::new(format!("`{variable}` stands in `env` and in `secret_env`")).of("secret_env")
                );
            }
        }
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
    }

    /// Whether it lets every program be run that `other` lets, with the same arguments, and gives it whatever `other` gives.
    ///
    /// Never wrongly true. Arguments are held against each other place by place. What a program is given must be the same
    /// down to its variables, since one that is left out may be what keeps a program harmless; but a rule without `sha256`
    /// includes one with.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let Self { program, argv, cwd, env, peer, secret_env, sha256 } = other;
        self.program == *program
            && includes_arguments(&self.argv, argv)
            && self.cwd == *cwd
            && self.env == *env
            && self.peer == *peer
            && self.secret_env == *secret_env
            && (self.sha256.is_none() || self.sha256 == *sha256)
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
            .optional("sha256", self.sha256.map(|digest| digest.to_string()).as_deref());
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
