//! Whole processes: `pipe run` of six steps that do almost nothing, against a shell that starts `/bin/true` six times.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{ROUNDS, Row, quantile};

/// What, how to start it, and how long it took each time.
type Measured<'c> = (&'static str, &'c dyn Fn() -> Command, Vec<Duration>);

/// Measured in turn, so that whatever else the machine does falls on all of them.
pub(crate) fn measure() -> Vec<Row> {
    // On a disk, not in memory: the journal is durable.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let precheck = pipeline(
        folder.path(),
        "precheck",
        "allow.disk = [\"/\"]",
        "{ kind = \"disk-free\", path = \"/\", min = \"1B\" }",
    );
    fs::create_dir(folder.path().join("data")).expect("a folder");
    fs::write(folder.path().join("data/file"), "content").expect("a file");
    let verify =
        pipeline(folder.path(), "verify", "allow.read = [\"data\"]", "{ kind = \"file\", path = \"data/file\" }");
    let run = |file: &Path| pipe(folder.path(), &["run", &file.display().to_string(), "--env", "bench"]);
    let check = || pipe(folder.path(), &["check", &precheck.display().to_string()]);
    let mut commands: [Measured<'_>; 5] = [
        ("a shell that starts /bin/true six times", &shell, Vec::new()),
        ("pipe --version", &|| pipe(folder.path(), &["--version"]), Vec::new()),
        ("pipe check: also the engine and one cached plugin", &check, Vec::new()),
        ("pipe run: six prechecks, one disk-free each", &|| run(&precheck), Vec::new()),
        ("pipe run: six verifications, one file each", &|| run(&verify), Vec::new()),
    ];
    // The first round fills the caches.
    for round in 0..=ROUNDS {
        for (what, command, taken) in &mut commands {
            let began = Instant::now();
            let output = command().output().expect(what);
            let took = began.elapsed();
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
            if round > 0 {
                taken.push(took);
            }
        }
    }
    let medians = commands.map(|(what, _, taken)| (what, quantile(taken, 0.5)));
    let base = medians[0].1;
    let rows = medians.into_iter().map(|(what, median)| {
        let ratio = median.as_secs_f64() / base.as_secs_f64();
        let limited = what.starts_with("pipe run");
        Row {
            what: what.to_owned(),
            target: if limited { "<= 2.00 shells" } else { "" },
            measured: format!("{ratio:.2} ({:.2} ms)", median.as_secs_f64() * 1e3),
            met: limited.then_some(ratio <= 2.0),
        }
    });
    rows.collect()
}

fn shell() -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &["/bin/true"; 6].join("; ")]).env_clear().stdin(Stdio::null());
    command
}

fn pipe(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("PIPE_STATE", folder.join("state"))
        .stdin(Stdio::null());
    command
}

fn pipeline(folder: &Path, stage: &str, grant: &str, check: &str) -> PathBuf {
    let mut text = format!("name = \"{stage}\"\nenvironments = [\"bench\"]\n");
    for step in 1..=6 {
        let _ =
            write!(text, "\n[[step]]\nname = \"step {step}\"\nstage = \"{stage}\"\n{grant}\nwith.check = [{check}]\n");
    }
    let file = folder.join(format!("{stage}.toml"));
    fs::write(&file, text).expect("a pipeline");
    file
}
