//! A temporary directory with everything that a session needs, and the supervisor's executable.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use pipe_capability::{
    artifact::ArtifactRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    path::PathRule,
    secret::SecretSlot,
};
use pipe_core::{id::StepId, proof::ProofKey};
use pipe_effects::{
    error::EffectError,
    process::{Channel, Command, Exit},
    session::Session,
    world::World,
};
use secrecy::SecretString;

use crate::recording_ledger::RecordingLedger;

/// Where a test works.
pub struct Place {
    pub base: PathBuf,
    pub artifacts: PathBuf,
    pub ledger: Arc<RecordingLedger>,
    _keep: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let keep = tempfile::tempdir().expect("a temporary directory");
        let root = keep.path().canonicalize().expect("it exists");
        let (base, artifacts) = (root.join("base"), root.join("artifacts"));
        fs::create_dir(&base).expect("it is empty");
        fs::create_dir(&artifacts).expect("it is empty");
        Self { base, artifacts, ledger: Arc::new(RecordingLedger::new("backup")), _keep: keep }
    }

    /// A world without peers and secrets.
    pub fn world(&self) -> World {
        World {
            base: self.base.clone(),
            artifacts: self.artifacts.clone(),
            supervisor: vec![supervisor().into()],
            proofs: Some(ProofKey::new(&[7; 32])),
            ..World::empty()
        }
    }

    /// A session of the step `backup` in that world.
    pub fn session(&self, grant: Grant) -> Arc<Session> {
        self.session_in(grant, self.world())
    }

    pub fn session_in(&self, grant: Grant, world: World) -> Arc<Session> {
        Arc::new(Session::new(StepId::new("backup"), Arc::new(grant), Arc::new(world), self.ledger.clone()))
    }

    /// Names in the directory of the artifacts.
    pub fn artifact_files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.artifacts).expect("it exists").map(|entry| entry.expect("readable").file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// A rule for a directory below the base.
    pub fn path_rule(&self, name: &str) -> PathRule {
        PathRule::new(name, self.base.join(name))
    }
}

/// The example that cargo builds next to the tests.
pub fn supervisor() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps/test");
    target.join("examples/confine")
}

/// Registers a secret with a world.
pub fn add_secret(world: &mut World, name: &str, value: &str) {
    let value = SecretString::from(value);
    world.redactor.register(name, &value).expect("long enough");
    world.secrets.0.insert(name.to_owned(), value);
}

/// A rule for a program with these argument patterns.
pub fn exec_rule(program: &str, argv: &[&str]) -> ExecRule {
    let argv = argv.iter().map(|text| ArgumentPattern::parse(text).expect("a pattern")).collect();
    ExecRule { program: program.to_owned(), argv, ..ExecRule::default() }
}

/// A grant of programs, and of everything about artifacts.
pub fn exec_grant(rules: Vec<ExecRule>) -> Grant {
    Grant { exec: rules, artifacts: vec![ArtifactRule::Write], ..Grant::default() }
}

/// A grant of `sh -c` with any script, for tests only.
pub fn shell_grant() -> Grant {
    exec_grant(vec![exec_rule("sh", &["-c", "*"])])
}

pub fn artifact_slot(name: &str) -> SecretSlot {
    SecretSlot::new(name, "artifacts", None, None).expect("a slot")
}

pub fn command(program: &str, arguments: &[&str]) -> Command {
    Command { program: program.to_owned(), arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
}

pub fn shell(script: &str) -> Command {
    command("sh", &["-c", script])
}

/// Everything that a program wrote, and how it ended.
pub struct Ran {
    pub output: String,
    pub errors: String,
    pub exit: Exit,
}

/// Runs a program to its end.
pub async fn run(session: &Arc<Session>, command: Command) -> Result<Ran, EffectError> {
    let mut child = session.start(command).await?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    while let Some(chunk) = child.read().await? {
        match chunk.channel {
            Channel::Output => output.extend(chunk.data),
            Channel::ErrorOutput => errors.extend(chunk.data),
        }
    }
    let exit = child.wait().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { output: text(output), errors: text(errors), exit })
}

/// A number of seconds that no other test waits for, to tell its processes by.
pub fn mark(test: u32) -> String {
    format!("{}.{}", 4000 + test, std::process::id())
}

/// The living processes whose command line holds `mark`.
pub fn alive(mark: &str) -> Vec<u32> {
    let numbers = fs::read_dir("/proc")
        .expect("a process file system")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != std::process::id() && String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    };
    numbers.filter(holds).collect()
}

/// Waits until something is as it should be.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within ten seconds: {what}");
}
