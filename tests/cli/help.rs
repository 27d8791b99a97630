//! Help, exit codes, completions and manual: what somebody reads before they dare.

use pipe_tests::{Deployment, repository};

const COMMANDS: [&[&str]; 26] = [
    &[],
    &["run"],
    &["check"],
    &["plan"],
    &["audit"],
    &["diff"],
    &["inspect"],
    &["history"],
    &["show"],
    &["prune"],
    &["status"],
    &["resume"],
    &["rollback"],
    &["resolve"],
    &["abandon"],
    &["approve"],
    &["watch"],
    &["lock"],
    &["suggest"],
    &["unlock"],
    &["log"],
    &["log", "export"],
    &["log", "verify"],
    &["schema"],
    &["completions"],
    &["man"],
];

fn stdout_of(arguments: &[&str]) -> String {
    let ended = Deployment::new().run(arguments);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stderr, "", "{arguments:?}");
    ended.stdout
}

#[test]
fn the_help_of_every_command() {
    let help = COMMANDS.iter().map(|command| {
        let text = stdout_of(&[command, &["--help"][..]].concat());
        // The path of this test's own state directory.
        let lines = text.lines().map(|line| match line.trim_start().strip_prefix("[env: PIPE_STATE=") {
            Some(_) => "          [env: PIPE_STATE]".to_owned(),
            None => line.trim_end().to_owned(),
        });
        format!("──── pipe {}\n{}", [*command, &["--help"]].concat().join(" "), lines.collect::<Vec<_>>().join("\n"))
    });
    insta::assert_snapshot!(help.collect::<Vec<_>>().join("\n\n"));
}

#[test]
fn every_command_has_help_here() {
    let help = stdout_of(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    for line in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let word = line.split_whitespace().next().unwrap_or_default();
        let known = COMMANDS.iter().any(|command| command.first() == Some(&word)) || word == "help";
        assert!(known, "`pipe {word} --help` is in no snapshot");
    }
}

/// Codes and what they mean, by the table of the README.
fn codes_of_readme() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    let table = readme.split("| code | meaning |\n|---|---|\n").nth(1).expect("the table of exit codes");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split_once('|').expect("two columns"));
    cells.map(|(code, meaning)| (code.trim().to_owned(), meaning.trim().to_owned())).collect()
}

#[test]
fn the_exit_codes_of_the_help_are_those_of_the_readme() {
    for help in [stdout_of(&["help"]), stdout_of(&["run", "--help"])] {
        let table = help.split("Exit codes:\n").nth(1).expect("exit codes");
        let printed = table.lines().filter_map(|line| line.trim().split_once("  "));
        let printed: Vec<(String, String)> =
            printed.map(|(code, meaning)| (code.to_owned(), meaning.trim().to_owned())).collect();
        assert_eq!(printed, codes_of_readme());
    }
}

#[test]
fn every_exit_code_of_the_readme_is_met_by_a_test() {
    // Code, and the test that meets it. A code without a test does not get into the table.
    let met = [
        ("0", "example::the_example_succeeds_in_all_six_stages"),
        ("1", "failure::a_precheck_that_fails_leaves_nothing_to_undo"),
        ("2", "help::a_command_line_that_makes_no_sense"),
        ("3", "wrong::every_wrong_file_is_refused_with_its_place_and_advice"),
        ("4", "failure::a_refused_capability_says_which_line_would_allow_it"),
        ("5", "failure::a_verification_that_fails_brings_the_last_version_back"),
        ("6", "failure::an_undo_that_fails_calls_for_a_person"),
        ("7", "resume::a_killed_run_owns_its_environment_and_asks_what_becomes_of_the_step_in_hand"),
        ("8", "interrupt::a_second_run_waits_for_nobody_and_touches_nothing"),
        ("9", "audit::the_exit_code_is_for_who_asks_for_it"),
        ("10", "diff::a_gain_has_its_own_exit_code"),
        ("70", "record::without_a_journal_there_is_nothing_to_show"),
        ("130", "interrupt::twice_stops_at_once"),
    ];
    let codes: Vec<String> = codes_of_readme().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, met.map(|(code, _)| code));
    for (code, test) in met {
        let (module, function) = test.split_once("::").unwrap_or_default();
        let file = repository().join(format!("tests/cli/{module}.rs"));
        let source = std::fs::read_to_string(&file).expect("the module of the test");
        assert!(source.contains(&format!("fn {function}()")), "{code}: there is no test {test}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let deployment = Deployment::example();
    for arguments in [
        &[][..],
        &["deploy"],
        &["run"],
        &["run", "example.toml", "--set", "version"],
        &["run", "example.toml", "--env"],
        &["run", "example.toml", "--yes"],
        &["log"],
        &["log", "verify", "--head", "abc"],
        &["history", "--limit", "many"],
        &["completions", "cmd"],
        &["--output", "yaml", "history"],
    ] {
        let ended = deployment.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}\n{ended}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(ended.stderr.contains("Usage:") || ended.stderr.contains("For more information"), "{ended}");
    }
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout_of(&["completions", shell]);
        for word in ["run", "inspect", "--env", "verify"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_manual_is_a_page_or_a_folder_of_pages() {
    let page = stdout_of(&["man"]);
    assert!(page.contains(".TH pipe 1") && page.contains("sandboxed WebAssembly component"), "{page}");
    let deployment = Deployment::new();
    let ended = deployment.run(&["man", "--out", "pages"]);
    assert_eq!(ended.code, 0, "{ended}");
    for name in ["pipe.1", "pipe-run.1", "pipe-log-verify.1"] {
        assert!(deployment.at("pages").join(name).is_file(), "{name}");
    }
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(stdout_of(&["--version"]), format!("pipe {}\n", env!("CARGO_PKG_VERSION")));
}
