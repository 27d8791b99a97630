//! What the documents say is true: the README's commands run, the paths that are named exist, the pipelines are valid.

use std::{fs, path::Path};

use pipe_tests::{Deployment, repository};

/// Commands of the README that no test runs, and why.
const SKIPPED: [(&str, &str); 1] = [("bash tests/all.sh", "it is what runs this test")];

/// What stands before the arguments of `pipe` in the README.
const PIPE: &str = "cargo run --release -- ";

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every line of the blocks that are fenced as `sh`.
fn commands(markdown: &str) -> Vec<String> {
    let blocks = markdown.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_readme_runs_as_it_stands() {
    let deployment = Deployment::new()
        .file("pipelines/example.toml", read("pipelines/example.toml"))
        .file("pipelines/medical-system.toml", read("pipelines/medical-system.toml"))
        .copy_of("pipelines/policies", "pipelines/policies")
        .copy_of("pipelines/example/app", "pipelines/example/app")
        .copy_of("pipelines/example/data", "pipelines/example/data")
        .copy_of("pipelines/example/migrations", "pipelines/example/migrations")
        .folder("pipelines/example/live");
    let commands = commands(&read("README.md"));
    let mut ran = 0;
    for command in &commands {
        if SKIPPED.iter().any(|(skipped, _)| skipped == command) {
            continue;
        }
        let arguments = command.strip_prefix(PIPE).unwrap_or_else(|| panic!("who runs `{command}`?"));
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let ended = deployment.run(&arguments);
        assert_eq!(ended.code, 0, "{command}\n{ended}");
        ran += 1;
    }
    assert!(ran >= 6, "{commands:?}");
    for (skipped, _) in SKIPPED {
        assert!(commands.iter().any(|command| command == skipped), "the README says no longer: {skipped}");
    }
}

#[test]
fn the_readme_keeps_its_promise_about_refusals() {
    let example = read("pipelines/example.toml");
    let grants = example.lines().filter(|line| line.starts_with("allow.")).count();
    // Without a grant of a step, the run is refused there, and the refusal prints a line that would allow it.
    for left_out in 0..grants - 1 {
        let deployment = Deployment::example();
        let first = deployment.run(&["run", "example.toml", "--env", "demo"]);
        assert_eq!(first.code, 0, "{first}");
        let mut seen = 0;
        let kept = example.lines().filter(|line| {
            let grant = line.starts_with("allow.");
            seen += usize::from(grant);
            !grant || seen - 1 != left_out
        });
        let kept: Vec<&str> = kept.collect();
        let deployment = deployment.file("example.toml", kept.join("\n"));
        let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
        assert!(matches!(ended.code, 4 | 5), "without grant {left_out}\n{ended}");
        assert!(ended.stderr.contains("would allow it: allow."), "without grant {left_out}\n{ended}");
        assert!(ended.stderr.contains("  hint: in step \""), "without grant {left_out}\n{ended}");
    }
}

/// What stands in backquotes outside of fenced blocks and looks like a path.
fn paths(markdown: &str) -> Vec<String> {
    let prose: String = markdown.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-'));
        let ends = [".rs", ".toml", ".md", ".sh"].iter().any(|end| text.ends_with(end));
        plain && (text.contains('/') || ends)
    };
    quoted.filter(is_path).map(str::to_owned).collect()
}

/// The document's own shorthand: `sandbox/call.rs` is `host/sandbox/src/call.rs`, and a bare name is a file of the CLI.
fn exists(path: &str) -> bool {
    let root = repository();
    let of_crate = path.split_once('/').map(|(name, rest)| root.join("host").join(name).join("src").join(rest));
    root.join(path).exists()
        || of_crate.is_some_and(|path| path.exists())
        || root.join("host/cli/src").join(path).exists()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut named = 0;
    for document in ["README.md", "host/ARCHITECTURE.md", "wit/README.md"] {
        for path in paths(&read(document)) {
            assert!(exists(&path), "{document} names {path}");
            named += 1;
        }
    }
    assert!(named >= 20, "only {named} paths were found");
}

#[test]
fn every_pipeline_of_the_repository_is_valid() {
    let pipelines = repository().join("pipelines");
    let files = fs::read_dir(&pipelines).expect("pipelines").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let mut arguments = vec!["check".to_owned(), file.display().to_string()];
        if needs_version(&file) {
            arguments.extend(["--set".to_owned(), "version=1.2.3".to_owned()]);
        }
        let ended = Deployment::new().run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ended.code, 0, "{}\n{ended}", file.display());
        assert_eq!(ended.stderr, "", "{} has warnings", file.display());
    }
}

/// Whether the input `version` has no default.
fn needs_version(file: &Path) -> bool {
    let text = fs::read_to_string(file).expect("a pipeline");
    text.lines().any(|line| line.starts_with("version ") && !line.contains("default"))
}
