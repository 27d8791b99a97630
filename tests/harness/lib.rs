//! Runs the real `pipe` in a folder of its own and shows everything that it did: stdout, stderr and exit code.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a harness that cannot go on should stop the test")]

pub mod browser;
pub mod guest;
pub mod normalise;
pub mod tls;
pub mod waiting;

use std::{
    fmt, fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

/// The `pipe` under test: built by this profile, beside the test's own executable.
pub fn pipe() -> &'static Path {
    static PIPE: OnceLock<PathBuf> = OnceLock::new();
    PIPE.get_or_init(|| {
        // <target>/<profile>/deps/<test>
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let pipe = profile.join("pipe");
        assert!(pipe.exists(), "build it first: cargo build --release --package pipe-cli");
        pipe
    })
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A folder with a pipeline in it, and the environment in which `pipe` will run there. Nothing of the tester's own
/// environment reaches it.
pub struct Deployment {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Default for Deployment {
    fn default() -> Self {
        Self::new()
    }
}

impl Deployment {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The example of the README, at which nothing has been deployed yet.
    #[must_use]
    pub fn example() -> Self {
        let pipelines = repository().join("pipelines");
        Self::new()
            .copy_of("pipelines/example/app", "example/app")
            .copy_of("pipelines/example/data", "example/data")
            .copy_of("pipelines/example/migrations", "example/migrations")
            .folder("example/live")
            .file("example.toml", fs::read(pipelines.join("example.toml")).unwrap())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, and the folders that lead to it.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
        self
    }

    /// Writes a file that only its owner may read.
    #[must_use]
    pub fn secret_file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let this = self.file(path, content);
        fs::set_permissions(this.at(path), fs::Permissions::from_mode(0o600)).unwrap();
        this
    }

    /// Replaces a part of a file, which must be there.
    #[must_use]
    pub fn edit(self, path: &str, from: &str, to: &str) -> Self {
        let content = fs::read_to_string(self.at(path)).unwrap();
        assert!(content.contains(from), "{path} does not hold {from:?}");
        self.file(path, content.replacen(from, to, 1))
    }

    /// Makes a folder.
    #[must_use]
    pub fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    /// Copies a folder of the repository.
    #[must_use]
    pub fn copy_of(self, repository_path: &str, to: &str) -> Self {
        copy(&repository().join(repository_path), &self.at(to));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The command, ready to be run: for tests that look on while it runs.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(pipe());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path())
            .env("XDG_CACHE_HOME", shared_cache())
            .env("PIPE_STATE", self.at("state"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `pipe` to its end.
    #[must_use = "assert something of it"]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(self.command(arguments).output().unwrap())
    }

    /// The same with something to read on stdin.
    #[must_use = "assert something of it"]
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.ended(child.wait_with_output().unwrap())
    }

    /// What a command showed, whoever ran it.
    #[must_use]
    pub fn ended(&self, output: Output) -> Ended {
        Ended {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
            folder: self.path().to_owned(),
        }
    }
}

/// One cache of compiled plugins for all tests of a machine: it is keyed by content.
fn shared_cache() -> PathBuf {
    pipe().ancestors().nth(2).unwrap().join("test-cache")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Everything that a run of `pipe` showed.
pub struct Ended {
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
    /// Exit code.
    pub code: i32,
    folder: PathBuf,
}

impl Ended {
    /// stdout as JSON values, one a line.
    #[must_use]
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl fmt::Display for Ended {
    /// What varies from run to run is replaced: see [`normalise`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let normal = |text: &str| normalise::normalise(text, &self.folder);
        write!(f, "{}\n──── stderr\n{}\n──── exit code {}", normal(&self.stdout), normal(&self.stderr), self.code)
    }
}
