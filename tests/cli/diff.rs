//! `pipe diff`: what a new version may do that the old one may not.

use std::fs;

use pipe_tests::{Deployment, Ended, guest, repository};

/// The example, and a copy of it in which parts are replaced.
fn changed(edits: &[(&str, &str)]) -> Deployment {
    let deployment = Deployment::example();
    let old = fs::read_to_string(deployment.at("example.toml")).expect("the pipeline file");
    let new = edits.iter().fold(old, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    deployment.file("new.toml", new)
}

fn diff(edits: &[(&str, &str)]) -> Ended {
    changed(edits).run(&["diff", "example.toml", "new.toml"])
}

#[test]
fn a_gain_has_its_own_exit_code() {
    let ended = diff(&[
        (r#"allow.sql = ["read app"]"#, r#"allow.sql = ["write app"]"#),
        (r#"allow.disk = ["example/live"]"#, r#"allow.env = ["HOME"]"#),
        (r#"stage = "release""#, "stage = \"release\"\ntimeout = \"9m\"\nirreversible = true"),
        ("sqlite:example/live/app.db", "sqlite:example/live/other.db"),
        (r#"name = "history""#, r#"name = "chronicle""#),
    ]);
    assert_eq!(ended.code, 10, "{ended}");
    insta::assert_snapshot!(ended);
}

#[test]
fn less_is_no_gain() {
    for (from, to, says) in [
        (r#"allow.sql = ["write app"]"#, r#"allow.sql = ["read app"]"#, "- allow.sql = [\"write app\"]"),
        (
            r#"allow.read = ["example/data"]"#,
            r#"allow.read = ["example/data/in"]"#,
            "- allow.read = [\"example/data\"]",
        ),
        (r#"allow.disk = ["example/live"]"#, "", "- allow.disk = [\"example/live\"]"),
    ] {
        let ended = diff(&[(from, to)]);
        assert_eq!(ended.code, 0, "{ended}");
        assert!(ended.stdout.contains(says), "{ended}");
        assert!(!ended.stdout.contains("  + "), "{ended}");
        assert!(ended.stderr.contains("0 gained, 1 lost, 0 changed otherwise"), "{ended}");
    }
}

#[test]
fn what_only_looks_different_is_no_difference() {
    for edits in [
        &[(
            r#"allow.read = ["example/app/index.html", "example/migrations/001_appointments.up.sql"]"#,
            r#"allow.read = ["example/migrations/001_appointments.up.sql", "./example/app/index.html"]"#,
        )][..],
        &[("min = 2", "min = 3")],
        // What may be written may be read.
        &[(r#"allow.write = ["example/live/www"]"#, "allow.write = [\"example/live/www\"] # w")],
    ] {
        let ended = diff(edits);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended}");
        assert!(ended.stderr.contains("no difference in what they may do"), "{ended}");
    }
}

#[test]
fn another_directory_is_no_difference() {
    let deployment = Deployment::example();
    let text = fs::read(deployment.at("example.toml")).expect("the pipeline file");
    let deployment = deployment.file("elsewhere/example.toml", text);
    let ended = deployment.run(&["diff", "example.toml", "elsewhere/example.toml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended}");
}

#[test]
fn a_peer_that_leads_elsewhere_is_a_gain() {
    let file = |peer: &str| {
        format!(
            "name = \"x\"\n[secrets]\nt.env = \"T\"\nu.env = \"U\"\n[peers]\napi = {{ {peer} }}\n[[step]]\nname = \"look\"\n\
             stage = \"verify\"\nallow.http = [\"GET api:/\"]\nwith.check = [{{ kind = \"http\", peer = \"api\", path = \"/\" }}]\n"
        )
    };
    for (old, new, says) in [
        ("url = \"https://a.example\"", "url = \"https://b.example\"", "+ leads to https://b.example/"),
        (
            "url = \"https://a.example\", addresses = [\"10.0.0.0/16\"]",
            "url = \"https://a.example\", addresses = [\"10.0.0.0/8\"]",
            "+ may have addresses of 10.0.0.0/8",
        ),
        (
            "url = \"https://a.example\", bearer = \"t\"",
            "url = \"https://a.example\", bearer = \"u\"",
            "+ its bearer is the secret `u`",
        ),
        ("url = \"https://a.example\"", "url = \"https://a.example\", ca = \"ca.pem\"", "+ trusts "),
    ] {
        let deployment = Deployment::new().file("old.toml", file(old)).file("new.toml", file(new));
        let ended = deployment.run(&["diff", "old.toml", "new.toml"]);
        assert_eq!(ended.code, 10, "{ended}");
        assert!(ended.stdout.contains(says), "{says}\n{ended}");
        let back = deployment.run(&["diff", "new.toml", "old.toml"]);
        assert!(back.stdout.contains(&says.replacen('+', "-", 1)), "{says}\n{back}");
    }
}

#[test]
fn a_step_that_is_new_gains_all_that_it_has() {
    let ended = diff(&[(
        "[[step]]\nname = \"history\"",
        "[[step]]\nname = \"again\"\nstage = \"verify\"\nallow.sql = [\"read app\"]\n\
         with.check = [{ kind = \"sql\", peer = \"app\", query = \"SELECT 1\", expect = 1 }]\n\n[[step]]\nname = \"history\"",
    )]);
    assert_eq!(ended.code, 10, "{ended}");
    assert!(
        ended
            .stdout
            .contains("step \"again\" in demo\n  ~ a new step: verify, std:verify\n  + allow.sql = [\"read app\"]"),
        "{ended}"
    );
}

#[test]
fn environments_are_compared_one_by_one() {
    let deployment = changed(&[("environments = [\"demo\"]", "environments = [\"demo\", \"production\"]")]);
    let ended = deployment.run(&["diff", "example.toml", "new.toml"]);
    assert_eq!(ended.code, 10, "{ended}");
    assert!(ended.stdout.contains("step \"migrate\" in production\n"), "{ended}");
    assert!(!ended.stdout.contains(" in demo"), "{ended}");
    let ended = deployment.run(&["diff", "example.toml", "new.toml", "--env", "demo"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended}");
    let ended = deployment.run(&["diff", "example.toml", "new.toml", "--env", "nowhere"]);
    assert_eq!(ended.code, 3, "{ended}");
}

#[test]
fn inputs_go_to_whichever_has_them() {
    let deployment = changed(&[("[inputs]\n", "[inputs]\nmore = { pattern = 'a+' }\n")]);
    let missing = deployment.run(&["diff", "example.toml", "new.toml"]);
    assert_eq!(missing.code, 3, "{missing}");
    let set = deployment.run(&["diff", "example.toml", "new.toml", "--set", "more=aa", "--set", "version=2.0.0"]);
    assert_eq!(set.code, 0, "{set}");
    let wrong = deployment.run(&["diff", "example.toml", "new.toml", "--set", "more=aa", "--set", "nothing=1"]);
    assert_eq!(wrong.code, 3, "{wrong}");
}

#[test]
fn plugins_are_compared_by_what_they_could_use() {
    let deployment = Deployment::new();
    let same = deployment.run(&["diff", "std:verify", "std:verify"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""), "{same}");
    let other = deployment.run(&["diff", "std:notify", "std:backup"]);
    assert_eq!(other.code, 10, "{other}");
    for says in ["~ stage notify → backup", "+ imports pipe:host/artifact", "+ asks for exec: ", "~ `item", "~ sha256 "]
    {
        assert!(other.stdout.contains(says), "{says}\n{other}");
    }
    let file = guest::component("hostile");
    let guest = deployment.run(&["diff", "std:precheck", &file.display().to_string(), "--output", "json"]);
    let [value] = guest.json().try_into().expect("one value");
    assert_eq!((&value["schema"], &value["kind"]), (&"pipe.diff/v1".into(), &"plugins".into()), "{guest}");
    assert_eq!(guest.code == 10, value["gained"] == true, "{guest}");
}

#[test]
fn nothing_is_compared_with_something_else() {
    let deployment = Deployment::example();
    let ended = deployment.run(&["diff", "example.toml", "std:verify"]);
    assert_eq!(ended.code, 2, "{ended}");
    let ended = deployment.run(&["diff", "std:verify", "std:nothing"]);
    assert_eq!(ended.code, 2, "{ended}");
    let ended = deployment.run(&["diff", "example.toml", "absent.toml"]);
    assert_eq!(ended.code, 3, "{ended}");
    let file = repository().join("README.md").display().to_string();
    let ended = deployment.run(&["diff", "std:verify", &file]);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(!deployment.at("state").exists(), "comparing made a state directory");
}
