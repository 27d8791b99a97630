//! Artifacts, and the keys that encrypt them.

use crate::{Behaviour, Scene};

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
    let key = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    let both = storing()
        .head("[secrets]\nbackup.env = \"BACKUP_KEY\"")
        .variable("BACKUP_KEY", key)
        .with("name", "backup")
        .allow(r#"allow.artifacts = ["write"]"#)
        .refused_until(r#"allow.secrets = [{ name = "backup", to = "artifacts" }]"#);
    assert_eq!(both.granted.observed(), "encrypted");
    let journal: String = both.granted.events.iter().map(ToString::to_string).collect();
    assert!(!journal.contains("AGE-SECRET-KEY"));
}

#[test]
pub(crate) fn an_artifact_of_another_step_is_not_read_without_a_grant() {
    let backup = "[[step]]\nname = \"backup\"\nstage = \"backup\"\nallow.read = [\"data\"]\n\
                  allow.artifacts = [\"write\"]\nwith = { kind = \"archive\", directory = \"data\", encrypt = false }\n";
    let both = Scene::new(Behaviour::ReadArtifact)
        .file("data/open.txt", "open")
        .head(backup)
        .with("name", r#"${steps."backup".outputs.digest}"#)
        .refused_until(r#"allow.artifacts = ["read backup"]"#);
    assert_eq!(both.granted.observed(), "1");
}
