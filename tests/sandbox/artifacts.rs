//! Artifacts, and the keys that encrypt them.

use crate::{Behaviour, Scene};

/// A key that encrypts.
const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

/// A step before the attempt, which stores `data`.
const BACKUP: &str = "[[step]]\nname = \"backup\"\nstage = \"backup\"\nallow.read = [\"data\"]\n\
                      allow.artifacts = [\"write\"]\nwith = { kind = \"archive\", directory = \"data\", encrypt = false }\n";

/// Something to store.
fn storing() -> Scene {
    Scene::new(Behaviour::StoreArtifact)
        .file("data/open.txt", "open")
        .with("path", "data")
        .allow(r#"allow.read = ["data"]"#)
}

#[test]
pub(crate) fn nothing_is_stored_without_a_grant() {
    let both = storing().refused_until(r#"allow.artifacts = ["write"]"#);
    assert_eq!(both.refused.of("artifact-stored").count(), 0);
    assert_eq!(both.granted.of("artifact-stored").count(), 1);
}

#[test]
pub(crate) fn nothing_is_stored_of_what_may_not_be_read() {
    let scene = storing().allow(r#"allow.artifacts = ["write"]"#).allow(r#"allow.read = ["other"]"#);
    scene.file("other/x", "").refused_until(r#"allow.read = ["other", "data"]"#);
}

#[test]
pub(crate) fn a_key_encrypts_where_a_slot_says_so() {
    let both = storing()
        .head("[secrets]\nbackup.env = \"BACKUP_KEY\"")
        .variable("BACKUP_KEY", KEY)
        .with("name", "backup")
        .allow(r#"allow.artifacts = ["write"]"#)
        .refused_until(r#"allow.secrets = [{ name = "backup", to = "artifacts" }]"#);
    assert_eq!(both.granted.observed(), "encrypted");
    let journal: String = both.granted.events.iter().map(ToString::to_string).collect();
    assert!(!journal.contains("AGE-SECRET-KEY"));
}

#[test]
pub(crate) fn an_artifact_of_another_step_is_not_read_without_a_grant() {
    let both = Scene::new(Behaviour::ReadArtifact)
        .file("data/open.txt", "open")
        .head(BACKUP)
        .with("name", r#"${steps."backup".outputs.digest}"#)
        .refused_until(r#"allow.artifacts = ["read backup"]"#);
    assert_eq!(both.granted.observed(), "1");
}

#[test]
pub(crate) fn the_artifacts_of_one_step_are_not_those_of_another() {
    // Of other content: artifacts are known by what is in them.
    let other = BACKUP.replacen("backup", "other", 1).replace("\"data\"", "\"else\"");
    let both = Scene::new(Behaviour::ReadArtifact)
        .file("data/open.txt", "open")
        .file("else/x", "x")
        .head(BACKUP)
        .head(&other)
        .with("name", r#"${steps."backup".outputs.digest}"#)
        .allow(r#"allow.artifacts = ["read other"]"#);
    let both = both.refused_until(r#"allow.artifacts = ["read other", "read backup"]"#);
    assert_eq!(both.granted.observed(), "1");
}

#[test]
pub(crate) fn who_may_read_artifacts_stores_none() {
    let scene = storing().head(BACKUP).allow(r#"allow.artifacts = ["read backup"]"#);
    let both = scene.refused_until(r#"allow.artifacts = ["read backup", "write"]"#);
    let stored =
        |seen: &crate::Seen| seen.of("artifact-stored").filter(|what| what["step"]["name"] == "attempt").count();
    assert_eq!((stored(&both.refused), stored(&both.granted)), (0, 1));
}

/// Storing with a key, where slots say something else.
fn encrypting(slots: &str) -> Scene {
    storing()
        .head("[secrets]\nbackup.env = \"BACKUP_KEY\"\nother.env = \"OTHER_KEY\"")
        .head("[peers]\nvault = { url = \"https://vault.example\" }")
        .variable("BACKUP_KEY", KEY)
        .variable("OTHER_KEY", KEY)
        .with("name", "backup")
        .allow(r#"allow.artifacts = ["write"]"#)
        .allow(slots)
}

#[test]
pub(crate) fn a_slot_for_a_peer_encrypts_nothing() {
    let slots = r#"allow.secrets = [{ name = "backup", to = "vault", header = "X-Key" }]"#;
    let seen = encrypting(slots).allow(r#"allow.http = ["GET vault:/"]"#).run();
    seen.fails("denied", "");
    assert_eq!(seen.refusals().next().unwrap()["reason"], "the secret may go elsewhere, not there");
    assert_eq!(seen.of("artifact-stored").count(), 0, "and nothing is stored in the clear instead");
}

#[test]
pub(crate) fn another_secret_than_that_of_the_slot_encrypts_nothing() {
    let both = encrypting(r#"allow.secrets = [{ name = "other", to = "artifacts" }]"#).refused_until(
        r#"allow.secrets = [{ name = "other", to = "artifacts" }, { name = "backup", to = "artifacts" }]"#,
    );
    assert_eq!(both.refused.of("artifact-stored").count(), 0);
    assert_eq!(both.granted.observed(), "encrypted");
}
