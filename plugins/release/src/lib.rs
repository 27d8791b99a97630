//! The release stage: puts a new version in front of its users, and takes it back.

mod disk;
mod files;
mod files_preview;
mod files_undo;
mod layout;
mod lines;
mod manifest;
mod program;
mod prune;
mod settings;
mod traffic;
mod tree;

use pipe_sdk::{
    Context, Description, Failure, Plugin, Receipt, Word,
    preview::Preview,
    release::{Release as ReleaseStage, Report, Wave},
    undo::{self, Undo},
};
use serde::de::DeserializeOwned;

use settings::Settings;

struct Release;

impl Plugin for Release {
    type Settings = Settings;

    fn describe() -> Description {
        let version = env!("CARGO_PKG_VERSION");
        Description::new("release", version, "Puts a new version in front of its users, and takes it back.")
            .asks(Word::Read, "<source>", "`files`: the directory that is released, and its permission bits")
            .asks(Word::Write, "<destination>", "`files`: the releases, and the link to the current one")
            .asks(Word::Http, "GET|PATCH <peer>:/apis/networking.istio.io/**", "`traffic-shift`: the VirtualService")
            .asks(Word::Exec, "<publish>, <undo>, <current>", "`program`: the programs, with exactly these arguments")
    }
}

impl ReleaseStage for Release {
    fn publish(context: &Context, settings: Settings, wave: Option<Wave>) -> Result<Report, Failure> {
        let in_parts = wave.as_ref().is_some_and(|wave| wave.count > 1);
        if in_parts && !matches!(settings, Settings::TrafficShift(_)) {
            return Err(Failure::settings("this kind releases all at once: it cannot release in waves"));
        }
        match settings {
            Settings::TrafficShift(settings) => traffic::publish(&settings, wave.as_ref()),
            Settings::Files(settings) => files::publish(context, &settings, &files::Pipe),
            Settings::Program(settings) => program::publish(context, &settings, &program::Pipe),
        }
    }
}

impl Undo for Release {
    fn undo(context: &Context, settings: Settings, receipts: Vec<Receipt>) -> Result<undo::Report, Failure> {
        match settings {
            Settings::TrafficShift(settings) => traffic::undo(&settings, &read(&receipts)?),
            Settings::Files(settings) => files_undo::undo(context, &settings, read(&receipts)?),
            Settings::Program(settings) => program::undo(&settings, &read(&receipts)?, &program::Pipe),
        }
    }
}

impl Preview for Release {
    fn preview(context: &Context, settings: Settings) -> Result<Vec<String>, Failure> {
        match settings {
            Settings::TrafficShift(settings) => traffic::preview(&settings),
            Settings::Files(settings) => files_preview::preview(context, &settings, &files::Pipe),
            Settings::Program(settings) => Ok(program::preview(&settings)),
        }
    }
}

fn read<T: DeserializeOwned>(receipts: &[Receipt]) -> Result<Vec<T>, Failure> {
    receipts.iter().map(Receipt::json).collect()
}

pipe_sdk::export_release!(Release, undo, preview);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Whether settings are accepted: by the host, which knows the schema, and by the plugin, which knows its types.
    fn both(settings: Value) -> bool {
        let schema: Value = serde_json::from_str(&pipe_sdk::schema::of::<<Release as Plugin>::Settings>()).unwrap();
        let by_host = jsonschema::validator_for(&schema).unwrap().is_valid(&settings);
        let by_plugin = serde_json::from_value::<<Release as Plugin>::Settings>(settings.clone()).is_ok();
        assert_eq!(by_host, by_plugin, "schema and type disagree on {settings}");
        by_host
    }

    #[test]
    fn schema_and_types_agree() {
        for settings in [
            json!({ "kind": "files", "source": "s", "destination": "d", "version": "1.0" }),
            json!({ "kind": "files", "source": "s", "destination": "d", "version": "1.0", "keep": 0, "permissions": "lose" }),
            json!({ "kind": "program", "version": "1.0", "publish": { "program": "p", "arguments": ["a"] } }),
            json!({ "kind": "program", "version": "1.0", "publish": { "program": "p" }, "expect": "any",
                    "undo": { "program": "p", "arguments": ["{previous}"] }, "current": { "program": "p" } }),
            json!({ "kind": "traffic-shift", "peer": "k8s", "virtual_service": "hms/hms", "to": "green" }),
        ] {
            assert!(both(settings.clone()), "{settings}");
        }
        for settings in [
            json!({}),
            json!({ "kind": "files", "source": "s", "destination": "d" }),
            json!({ "kind": "files", "source": "s", "destination": "d", "version": "1.0", "keep": -1 }),
            json!({ "kind": "files", "source": "s", "destination": "d", "version": "1.0", "publish": {} }),
            json!({ "kind": "program", "version": "1.0", "publish": "p a" }),
            json!({ "kind": "traffic-shift", "peer": "k8s", "virtual_service": "hms/hms" }),
            json!({ "kind": "traffic-shift", "peer": "k8s", "virtual_service": "hms", "to": "green" }),
            json!({ "kind": "traffic-shift", "peer": "k8s", "virtual_service": "hms/../x", "to": "green" }),
            json!({ "kind": "program", "version": "1.0", "publish": { "program": "p", "argv": [] } }),
        ] {
            assert!(!both(settings.clone()), "{settings}");
        }
    }
}
