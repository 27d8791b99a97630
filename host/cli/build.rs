//! Builds the six standard plugins and hands their components to the binary.
//!
//! They are a workspace of their own for wasm32-wasip2, so a cargo of its own builds them, into a target folder of its own
//! inside ours. The target is added to the toolchain where it is missing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "wasm32-wasip2";
const STAGES: [&str; 6] = ["precheck", "backup", "migrate", "release", "verify", "notify"];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), String> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.join("../..");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for watched in ["plugins/Cargo.toml", "plugins/Cargo.lock", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    for member in ["sdk", "checks"].iter().chain(&STAGES) {
        println!("cargo::rerun-if-changed={}", root.join("plugins").join(member).display());
    }
    ensure_target()?;
    let target = target_folder(&out);
    build(&root.join("plugins/Cargo.toml"), &target)?;
    for stage in STAGES {
        let built = target.join(TARGET).join("release").join(format!("{stage}.wasm"));
        fs::copy(&built, out.join(format!("{stage}.wasm")))
            .map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
    }
    Ok(())
}

/// `target/plugins`, beside the profile's folder that holds `OUT_DIR`.
fn target_folder(out: &Path) -> PathBuf {
    // OUT_DIR is <target>/<profile>/build/<crate>-<hash>/out
    out.ancestors().nth(4).unwrap_or(out).join("plugins")
}

fn ensure_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let installed = libraries.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if installed {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!("the standard plugins need the target {TARGET}: run `rustup target add {TARGET}`"))
}

fn build(manifest: &Path, target: &Path) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--target", TARGET, "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(target);
    for stage in STAGES {
        command.args(["--package", stage]);
    }
    // What the outer cargo says about its own build is not meant for the inner one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" && !text.starts_with("CARGO_NET") || text == "RUSTFLAGS" {
            command.env_remove(&name);
        }
    }
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC", "RUSTDOC", "TARGET", "HOST", "PROFILE"] {
        command.env_remove(name);
    }
    if command.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err("the standard plugins could not be built".to_owned())
}
