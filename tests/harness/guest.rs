//! Plugins that exist for tests alone, built by a cargo of their own as `host/cli/build.rs` builds the standard ones.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{pipe, repository};

const TARGET: &str = "wasm32-wasip2";
const GUESTS: [&str; 3] = ["hostile", "bad-schema", "clerk"];

/// The component of a guest of `tests/sandbox` or `tests/crash`. Built once per process; cargo knows whether it is up to date.
#[must_use]
pub fn component(guest: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(format!("{}.wasm", guest.replace('-', "_")))
}

/// Builds all of them, and says where they are.
fn build() -> PathBuf {
    let target = pipe().ancestors().nth(2).unwrap_or_else(|| Path::new("target")).join("plugins");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "--target", TARGET, "--manifest-path"]);
    cargo.arg(repository().join("plugins/Cargo.toml")).arg("--target-dir").arg(&target);
    for guest in GUESTS {
        cargo.args(["--package", guest]);
    }
    // What the outer cargo says about its own build is not meant for the inner one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" || text == "RUSTFLAGS" {
            cargo.env_remove(&name);
        }
    }
    assert!(cargo.status().is_ok_and(|status| status.success()), "the guests could not be built");
    target.join(TARGET).join("release")
}
