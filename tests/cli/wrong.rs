//! Wrong pipeline files, kept in `wrong/`. `pipe check` refuses each, points at the place, and says what would be right.
//!
//! What it prints stands beside each file. To add a case: a file, then `INSTA_UPDATE=always cargo test`, then read it.

use std::{fs, path::Path};

use pipe_tests::Deployment;

/// Every wrong file, by name.
fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/wrong");
    let names = fs::read_dir(folder).expect("tests/cli/wrong").map(|entry| entry.expect("a file").file_name());
    let mut cases: Vec<String> =
        names.filter_map(|name| name.to_string_lossy().strip_suffix(".toml").map(str::to_owned)).collect();
    cases.sort();
    assert!(cases.len() >= 12, "{cases:?}");
    cases
}

#[test]
fn every_wrong_file_is_refused_with_its_place_and_advice() {
    let deployment = Deployment::new().copy_of("tests/cli/wrong", ".");
    for case in cases() {
        let ended = deployment.run(&["check", &format!("{case}.toml")]);
        assert_eq!(ended.code, 3, "{case}\n{ended}");
        assert_eq!(ended.stdout, "", "{case}: an error is no result");
        let errors = ended.stderr.split("\n\n").filter(|part| part.starts_with("error"));
        for error in errors {
            assert!(error.contains(&format!("--> {case}.toml:")), "{case} points nowhere:\n{error}");
            assert!(error.contains("= hint: "), "{case} gives no advice:\n{error}");
        }
        assert!(ended.stderr.contains("error["), "{case} is not called an error:\n{ended}");
        assert!(!ended.stderr.contains("hunter2"), "{case} prints a secret:\n{ended}");
        insta::with_settings!({ snapshot_path => "wrong", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(case, ended.stderr.trim_end());
        });
    }
}

#[test]
fn errors_are_data_for_programs() {
    let deployment = Deployment::new().copy_of("tests/cli/wrong", ".");
    for case in cases() {
        let ended = deployment.run(&["check", &format!("{case}.toml"), "--output", "json"]);
        let errors: Vec<_> = ended.json().into_iter().filter(|line| line["severity"] == "error").collect();
        assert!(!errors.is_empty(), "{case}\n{ended}");
        for error in errors {
            assert_eq!(error["schema"], "pipe.diagnostic/v1", "{case}");
            assert!(error["places"][0]["line"].as_u64() >= Some(1), "{case}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{case} prints a secret: {error}");
        }
    }
}

#[test]
fn an_environment_is_chosen_from_those_of_the_file_and_never_by_default() {
    let deployment = Deployment::example();
    let none = deployment.run(&["run", "example.toml"]);
    assert_eq!(none.code, 3, "{none}");
    assert!(none.stderr.contains("no environment is chosen") && none.stderr.contains("hint: `--env demo`"), "{none}");
    let misspelt = deployment.run(&["run", "example.toml", "--env", "dmo"]);
    assert_eq!(misspelt.code, 3, "{misspelt}");
    assert!(misspelt.stderr.contains("hint: did you mean `demo`?"), "{misspelt}");
    assert!(!deployment.at("state").exists(), "a run that may not start left something behind");
}

#[test]
fn a_file_without_environments_is_checked_like_any() {
    let deployment = Deployment::new().file(
        "plain.toml",
        "name = \"plain\"\n\n[[step]]\nname = \"look\"\nstage = \"verify\"\nallow.read = [\"seen\"]\nwith.chec = []\n",
    );
    let wrong = deployment.run(&["check", "plain.toml"]);
    assert_eq!(wrong.code, 3, "{wrong}");
    assert!(wrong.stderr.contains("with.chec"), "{wrong}");
    let deployment =
        deployment.edit("plain.toml", "with.chec = []", "with.check = [{ kind = \"file\", path = \"seen\" }]");
    let right = deployment.run(&["check", "plain.toml"]);
    assert_eq!(right.code, 0, "{right}");
    assert_eq!(right.stdout, "plain is valid: 1 call, checked for no environment\n");
}
