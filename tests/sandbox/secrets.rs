//! Secrets in plaintext: told where the grant names them, and masked wherever they are said.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{Behaviour, Scene, Seen};

const TOKEN: &str = "correct-horse-battery";
const OTHER: &str = "another-secret-value";

fn scene(behaviour: Behaviour, name: &str) -> Scene {
    Scene::new(behaviour)
        .head("[secrets]\ntoken.env = \"TOKEN\"\nother.env = \"OTHER\"")
        .variable("TOKEN", TOKEN)
        .variable("OTHER", OTHER)
        .with("name", name)
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

#[test]
pub(crate) fn a_secret_is_told_where_the_grant_names_it() {
    let both = scene(Behaviour::RevealSecret, "token").refused_until(r#"allow.reveal = ["token"]"#);
    assert_eq!(both.granted.observed(), backwards(TOKEN));
    let used: Vec<_> = both.granted.of("used").map(|what| &what["use"]).collect();
    assert_eq!((&used[0]["word"], &used[0]["subject"]), (&"reveal".into(), &"token".into()));
    let warning = "the plugin gets the plaintext of the secret `token`";
    assert!(both.granted.ended.stderr.contains(warning), "{}", both.granted.ended);
    assert_eq!(both.granted.of("run-started").next().unwrap()["steps"][0]["reveals"][0], "token");
}

#[test]
pub(crate) fn another_secret_than_the_granted_one_is_not_told() {
    let scene = scene(Behaviour::RevealSecret, "other").allow(r#"allow.reveal = ["token"]"#);
    let both = scene.refused_until(r#"allow.reveal = ["token", "other"]"#);
    assert_eq!(both.granted.observed(), backwards(OTHER));
}

#[test]
pub(crate) fn a_secret_that_is_not_declared_is_not_told() {
    for name in ["nope", "", "*", "TOKEN", "token\n", "../token", "to"] {
        scene(Behaviour::RevealSecret, name).allow(r#"allow.reveal = ["token"]"#).run().refused_for_ever();
    }
}

#[test]
pub(crate) fn a_slot_reveals_nothing() {
    let slot = r#"allow.secrets = [{ name = "token", to = "artifacts" }]"#;
    let scene = scene(Behaviour::RevealSecret, "token").allow(slot);
    scene.refused_until(r#"allow.reveal = ["token"]"#);
}

#[test]
pub(crate) fn a_secret_that_was_told_is_masked_in_everything_that_is_said() {
    let scene = scene(Behaviour::EchoSecret, "token").allow(r#"allow.reveal = ["token"]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let masked = "it is [secret], which is [secret]";
    let finished = seen.finished();
    let finding = &finished["report"]["findings"][0];
    for said in ["name", "message", "observed", "expected"] {
        assert_eq!(finding[said], masked, "{said}");
    }
    // Values of outputs lie sealed beside the record: it holds their names, and what is sealed is masked as well.
    assert!(finished["report"]["sealed"]["echo"].is_string(), "{finished}");
    assert_eq!(finished["report"]["outputs"]["echo"], serde_json::Value::Null);
    assert_eq!(seen.of("checkpoint-saved").next().unwrap()["summary"], masked);
    assert_eq!(seen.logged(), [masked; 3]);
    nowhere(&scene, &seen);
}

#[test]
pub(crate) fn a_secret_that_was_told_is_masked_in_a_failure() {
    let scene = scene(Behaviour::EchoSecretAndFail, "token").allow(r#"allow.reveal = ["token"]"#);
    let seen = scene.run();
    seen.fails("other", "it is [secret], which is [secret]");
    nowhere(&scene, &seen);
}

#[test]
fn a_plan_and_a_check_say_that_a_secret_is_told() {
    let scene = scene(Behaviour::RevealSecret, "token").allow(r#"allow.reveal = ["token"]"#);
    scene.run();
    let plan = scene.deployment.run(&["plan", "pipeline.toml", "--env", "test"]);
    assert!(plan.stdout.contains("    gets the plaintext of secret `token`\n"), "{plan}");
    let check = scene.deployment.run(&["check", "pipeline.toml"]);
    assert_eq!(check.code, 0, "{check}");
    assert!(check.stderr.contains("warning[plaintext-secret]"), "{check}");
}

/// A variable and a file that hold a secret are granted with the secret alone.
#[test]
fn the_source_of_a_secret_is_read_where_the_secret_may_be_told() {
    let variable = |behaviour: Behaviour| scene(behaviour, "TOKEN").allow(r#"allow.env = ["TOKEN"]"#);
    let refused = variable(Behaviour::ReadVariable).refused_at_start();
    assert!(refused.stderr.contains(r#"allow.reveal = ["token"]"#), "{refused}");
    let seen = variable(Behaviour::ReadVariable).allow(r#"allow.reveal = ["token"]"#).run();
    // The guest knows it, and what it says of it is masked.
    assert_eq!((seen.ended.code, seen.observed()), (0, "[secret]"), "{}", seen.ended);
}

/// The file of a secret under another name, which no path tells.
#[test]
fn another_name_of_the_file_of_a_secret_is_read_where_the_secret_may_be_told() {
    let linked = |granted: &str| {
        let scene = Scene::new(Behaviour::ReadFile)
            .file("secrets/token", TOKEN)
            .file("data/open.txt", "open")
            .head("[secrets]\ntoken.file = \"secrets/token\"")
            .with("path", "data/inner/harmless")
            .allow(granted);
        fs::set_permissions(scene.deployment.at("secrets/token"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(scene.deployment.at("data/inner")).unwrap();
        fs::hard_link(scene.deployment.at("secrets/token"), scene.deployment.at("data/inner/harmless")).unwrap();
        scene
    };
    for granted in
        [r#"allow.read = ["data"]"#, r#"allow.read = ["data/inner/harmless"]"#, r#"allow.write = ["data/inner"]"#]
    {
        let refused = linked(granted).refused_at_start();
        assert!(refused.stderr.contains("reveals-secret"), "{granted}: {refused}");
        assert!(refused.stderr.contains(r#"allow.reveal = ["token"]"#), "{granted}: {refused}");
    }
    let seen = linked(r#"allow.read = ["data"]"#).allow(r#"allow.reveal = ["token"]"#).run();
    assert_eq!((seen.ended.code, seen.observed()), (0, "[secret]"), "{}", seen.ended);
}

/// The secret stands in nothing that was printed or kept, neither plain nor in hexadecimal.
#[track_caller]
fn nowhere(scene: &Scene, seen: &Seen) {
    let digits: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut places = vec![("stdout".to_owned(), seen.ended.stdout.clone().into_bytes())];
    places.push(("stderr".to_owned(), seen.ended.stderr.clone().into_bytes()));
    collect(&scene.deployment.at("state"), &mut places);
    assert!(places.len() > 2, "no state");
    for (place, content) in places {
        for needle in [TOKEN, digits.as_str()] {
            let found = content.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{place} holds the secret");
        }
    }
}

fn collect(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}
