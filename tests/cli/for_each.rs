//! Steps that are repeated over a set, so many at the same time.

use std::{fs, time::Instant};

use pipe_tests::Deployment;

/// A step that waits for a program, for each of four services; `gamma` fails where it is told to.
fn services(for_each: &str, gamma: &str) -> Deployment {
    Deployment::new().file(
        "pipeline.toml",
        format!(
            r#"
name = "services"
environments = ["demo"]

[sets.services]
alpha = "1.5"
beta = "1.5"
delta = "1.5"
gamma = "{gamma}"

[[step]]
name = "deploy"
stage = "release"
for_each = {{ in = "services", {for_each} }}
allow.exec = [{{ program = "sleep", argv = ["${{each.value}}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["${{each.value}}"] }}, undo = {{ program = "true" }} }}
"#
        ),
    )
}

fn run(deployment: &Deployment) -> (i32, Vec<String>, String) {
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    let shown = deployment.run(&["show", "last", "--output", "json"]).json();
    let words = shown.iter().filter_map(|event| {
        let (word, step) = (event["what"]["event"].as_str()?, &event["what"]["step"]);
        let interesting = ["step-started", "step-finished", "undo-finished"].contains(&word);
        interesting.then(|| format!("{word} {}", step["instance"].as_str().unwrap_or_default()))
    });
    (ended.code, words.collect(), ended.stderr)
}

fn count(words: &[String], begin: &str) -> usize {
    words.iter().filter(|word| word.starts_with(begin)).count()
}

#[test]
fn instances_run_side_by_side_and_never_more_than_the_file_says() {
    let deployment = services("at_once = 2", "1.5");
    let began = Instant::now();
    let (code, words, stderr) = run(&deployment);
    let took = began.elapsed().as_secs_f64();
    assert_eq!(code, 0, "{stderr}");
    let mut running = 0_i32;
    let mut most = 0;
    for word in &words {
        running += if word.starts_with("step-started") { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((words.len(), most), (8, 2), "{words:?}");
    // Four waits of 1.5 s, two by two: less than one after the other, and no less than two of them.
    assert!((3.0..6.0).contains(&took), "{took}");
    assert!(stderr.contains("deploy[alpha]") && stderr.contains("deploy[delta]"), "{stderr}");
}

#[test]
fn where_one_fails_no_other_begins_and_those_that_run_are_not_stopped() {
    // The names in their order: alpha, beta, delta, gamma.
    let deployment = services("at_once = 2", "1.5").edit("pipeline.toml", "alpha = \"1.5\"", "alpha = \"no time\"");
    let (code, words, stderr) = run(&deployment);
    assert_eq!(code, 5, "{stderr}");
    assert_eq!(count(&words, "step-started"), 2, "{words:?}");
    assert_eq!(count(&words, "undo-finished"), 2, "both had begun to change something: {words:?}");
    assert!(words.contains(&"step-finished beta".to_owned()), "{words:?}");
}

#[test]
fn where_the_file_says_so_all_others_run_first() {
    let deployment = services("at_once = 2, on_failure = \"continue\"", "0").edit(
        "pipeline.toml",
        "alpha = \"1.5\"",
        "alpha = \"no time\"",
    );
    let (code, words, stderr) = run(&deployment);
    assert_eq!(code, 5, "{stderr}");
    assert_eq!((count(&words, "step-started"), count(&words, "step-finished")), (4, 4), "{words:?}");
    assert_eq!(count(&words, "undo-finished"), 4, "{words:?}");
}

#[test]
fn what_the_file_says_of_it_is_checked() {
    for (for_each, expected) in [
        ("at_once = 0", "`at_once` is a whole number from 1 to 32"),
        ("at_once = 33", "`at_once` is a whole number from 1 to 32"),
        ("on_failure = \"stpo\"", "did you mean `stop`?"),
        ("atonce = 1", "did you mean `at_once`?"),
    ] {
        let deployment = services(for_each, "0");
        let checked = deployment.run(&["check", "pipeline.toml"]);
        assert_eq!(checked.code, 3, "{checked}");
        assert!(checked.stderr.contains(expected), "{checked}");
        assert!(!fs::exists(deployment.at("state/journal.db")).unwrap_or(true));
    }
}
