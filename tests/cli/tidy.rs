//! The house rules that no compiler knows: layers, sizes, names, and who may print.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pipe_tests::repository;

/// Which crate of the host may know which: the arrows of `host/ARCHITECTURE.md`, with everything below an arrow's end.
const LAYERS: [(&str, &[&str]); 8] = [
    ("core", &[]),
    ("capability", &["core"]),
    ("pipeline", &["capability", "core"]),
    ("journal", &["core"]),
    ("effects", &["capability", "core"]),
    ("sandbox", &["capability", "core", "effects"]),
    ("runner", &["capability", "core", "effects", "journal", "pipeline", "sandbox"]),
    // Not `capability`: how anything is decided is nothing to print.
    ("cli", &["core", "effects", "journal", "pipeline", "runner", "sandbox"]),
];

/// Dependencies that one crate alone may have: what the others do not know, by `host/ARCHITECTURE.md`.
const OWNED: [(&str, &str); 10] = [
    ("wasmtime", "sandbox"),
    ("wasmtime-wasi", "sandbox"),
    ("wasmtime-wasi-http", "sandbox"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("annotate-snippets", "cli"),
    ("toml", "pipeline"),
    ("jsonschema", "pipeline"),
    ("tokio-postgres", "effects"),
    ("lettre", "effects"),
];

const MOST_LINES: usize = 400;

/// Files that are longer, and why.
const LONG: [(&str, &str); 13] = [
    ("host/capability/src/audit/tests.rs", "cases"),
    ("host/capability/tests/ceiling.rs", "tables of cases"),
    ("host/capability/tests/inclusion.rs", "properties and tables of cases"),
    ("host/core/src/event.rs", "one enum: everything that can happen"),
    ("host/effects/tests/artifact.rs", "cases"),
    ("host/effects/tests/fence.rs", "cases"),
    ("host/effects/tests/http.rs", "cases"),
    ("host/effects/tests/once_postgres.rs", "cases"),
    ("host/effects/tests/postgres.rs", "cases"),
    ("host/effects/tests/process.rs", "cases"),
    ("host/effects/tests/sqlite.rs", "cases"),
    ("host/pipeline/tests/wrong_files.rs", "a table of cases"),
    ("host/runner/src/course/tests.rs", "cases, and the world of the properties"),
];

fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder}");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

/// Whether a file is there for tests alone: by its folder, or because the module above it says so.
fn is_test(path: &Path) -> bool {
    let by_name = |part: &str| matches!(part, "tests" | "tests.rs" | "benches" | "examples");
    if shown(path).split('/').any(by_name) {
        return true;
    }
    let folder = path.parent().unwrap_or(path);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let above = [folder.join("lib.rs"), folder.join("main.rs"), folder.with_extension("rs")];
    let said = format!("#[cfg(test)]\nmod {name};");
    above.iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&said)))
}

/// The lines of a file that end up in the program, numbered from 1, without comments.
fn program_lines(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a source file");
    let lines = text.lines().map(str::to_owned).enumerate().map(|(number, line)| (number + 1, line));
    lines
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

/// The names of `[dependencies]` in a manifest.
fn dependencies(crate_name: &str) -> Vec<String> {
    let manifest = repository().join("host").join(crate_name).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_between_the_crates_of_the_host_point_down() {
    let known: BTreeMap<&str, &[&str]> = LAYERS.into();
    let folders = fs::read_dir(repository().join("host")).expect("host").map(|entry| entry.expect("an entry").path());
    for folder in folders.filter(|path| path.join("Cargo.toml").exists()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let allowed = known.get(name.as_str()).unwrap_or_else(|| panic!("host/{name} has no place in the layers"));
        for dependency in dependencies(&name) {
            if let Some(other) = dependency.strip_prefix("pipe-") {
                assert!(allowed.contains(&other), "host/{name} may not know host/{other}");
            }
            if let Some((_, owner)) = OWNED.iter().find(|(owned, _)| *owned == dependency) {
                assert_eq!(name, *owner, "{dependency} belongs to host/{owner} alone");
            }
        }
    }
    for (owned, owner) in OWNED {
        assert!(dependencies(owner).iter().any(|name| name == owned), "host/{owner} no longer uses {owned}");
    }
}

#[test]
fn what_decides_knows_no_io() {
    for (name, forbidden) in [
        ("core", &["tokio", "rusqlite", "hyper", "nix"][..]),
        ("capability", &["tokio", "rusqlite", "hyper", "nix", "async-trait", "cap-std"]),
        ("pipeline", &["tokio", "rusqlite", "hyper", "nix", "async-trait"]),
    ] {
        let found: Vec<String> =
            dependencies(name).into_iter().filter(|dependency| forbidden.contains(&dependency.as_str())).collect();
        assert_eq!(found, [""; 0], "host/{name}");
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for path in [rust_files("host"), rust_files("plugins")].concat() {
        let lines = fs::read_to_string(&path).expect("a source file").lines().count();
        let excepted = LONG.iter().any(|(long, _)| *long == shown(&path));
        assert!(lines <= MOST_LINES || excepted, "{} has {lines} lines", shown(&path));
    }
    for (long, _) in LONG {
        assert!(repository().join(long).exists(), "{long} is gone: so should its exception be");
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for path in [rust_files("host"), rust_files("plugins"), rust_files("tests")].concat() {
        let text = fs::read_to_string(&path).expect("a source file");
        // A module's own tests need no introduction.
        let introduced = text.starts_with("//! ") || path.ends_with("tests.rs");
        assert!(introduced, "{} does not begin with //!", shown(&path));
    }
}

#[test]
fn files_are_named_after_what_is_in_them() {
    let nothing_said = ["mod.rs", "util.rs", "utils.rs", "common.rs", "helper.rs", "helpers.rs", "misc.rs", "imp.rs"];
    for path in [rust_files("host"), rust_files("plugins"), rust_files("tests")].concat() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!nothing_said.contains(&name.as_str()), "{}", shown(&path));
    }
}

/// Asserts that `words` stand in no line of the program outside of the files that may have them.
fn only_in(files: &[PathBuf], words: &[&str], may: &[&str]) {
    for path in files.iter().filter(|path| !is_test(path) && !may.contains(&shown(path).as_str())) {
        for (number, line) in program_lines(path) {
            let found = words.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{}:{number}: {}", shown(path), line.trim());
        }
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let unwraps = [".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!("];
    only_in(&[rust_files("host"), rust_files("plugins")].concat(), &unwraps, &[]);
}

#[test]
fn only_the_command_line_prints_and_ends_the_process() {
    // What a build script prints is meant for cargo.
    let printer = ["host/cli/src/printer.rs", "host/cli/build.rs"];
    only_in(
        &rust_files("host"),
        &["println!(", "print!(", "io::stdout()", "io::stderr()", "dbg!("],
        &[
            &printer[..],
            // The audit log as bytes, as it is in the journal; and where the live line is drawn.
            &["host/cli/src/commands/log.rs", "host/cli/src/tracing_log.rs"],
        ]
        .concat(),
    );
    only_in(&rust_files("host"), &["process::exit(", "process::abort("], &["host/cli/src/main.rs"]);
}

#[test]
fn the_environment_is_read_by_the_command_line_alone() {
    let readers: Vec<PathBuf> =
        rust_files("host").into_iter().filter(|path| !shown(path).starts_with("host/cli/")).collect();
    only_in(&readers, &["env::var(", "env::var_os(", "env::vars(", "env::vars_os("], &[]);
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    let architecture = fs::read_to_string(repository().join("host/ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(architecture.contains("`sandbox/cache.rs`: the one `unsafe` of the host"));
    only_in(&rust_files("host"), &["unsafe {", "unsafe fn", "unsafe impl"], &["host/sandbox/src/cache.rs"]);
}
