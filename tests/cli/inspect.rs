//! `pipe inspect`: what a plugin is, before anybody trusts it.

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

const STAGES: [&str; 6] = ["precheck", "backup", "migrate", "release", "verify", "notify"];

fn inspect(arguments: &[&str]) -> Ended {
    let ended = Deployment::new().run(&[&["inspect"], arguments].concat());
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stderr, "", "a result is no talk");
    ended
}

fn words<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_standard_plugin_says_what_it_is() {
    for stage in STAGES {
        let lines = inspect(&[&format!("std:{stage}"), "--output", "json"]).json();
        let [plugin] = lines.as_slice() else { panic!("{stage}: one line, not {}", lines.len()) };
        assert_eq!(plugin["schema"], "pipe.plugin/v1");
        assert_eq!(plugin["name"], stage);
        assert_eq!(plugin["stage"], stage);
        assert_eq!(plugin["contract"], "0.1.0");
        assert_eq!(plugin["sha256"].as_str().map(str::len), Some(64), "{stage}");
        assert_eq!(plugin["undo"], matches!(stage, "migrate" | "release"), "{stage}");
        assert!(plugin["summary"].as_str().is_some_and(|text| text.len() > 20), "{stage}");
        assert!(plugin["settings"].is_object(), "{stage}");
        let imports = words(plugin, "/imports");
        assert!(imports.iter().any(|import| import.starts_with("pipe:host/")), "{stage}: {imports:?}");
        let connects = imports.iter().any(|import| import.starts_with("wasi:sockets"));
        assert_eq!(connects, matches!(stage, "precheck" | "verify"), "{stage}: only the checks open connections");
        for request in plugin["requests"].as_array().into_iter().flatten() {
            for field in ["word", "subject", "reason"] {
                assert!(request[field].as_str().is_some_and(|text| !text.is_empty()), "{stage}: {request}");
            }
        }
    }
}

#[test]
fn no_plugin_imports_what_it_never_asks_for() {
    for stage in STAGES {
        let plugin = inspect(&[&format!("std:{stage}"), "--output", "json"]).json().remove(0);
        let imports = words(&plugin, "/imports");
        let requests = plugin["requests"].as_array().cloned().unwrap_or_default();
        for (import, word) in
            [("pipe:host/sql", "sql"), ("pipe:host/process", "exec"), ("pipe:host/artifact", "artifacts")]
        {
            let imported = imports.iter().any(|name| name.starts_with(import));
            let requested = requests.iter().any(|request| request["word"] == word);
            assert_eq!(imported, requested, "{stage}: imports {import}: {imported}, asks for {word}: {requested}");
        }
    }
}

#[test]
fn the_text_is_for_reading() {
    let ended = inspect(&["std:backup"]);
    let beginning = ended.stdout.split("\nSettings (JSON Schema)").next().unwrap_or_default();
    insta::assert_snapshot!(pipe_tests::normalise::normalise(beginning, Deployment::new().path()));
}

#[test]
fn the_schema_alone_is_json() {
    for stage in STAGES {
        let schema = inspect(&[&format!("std:{stage}"), "--schema"]).stdout;
        let schema: Value = serde_json::from_str(&schema).expect("JSON");
        assert!(schema["$schema"].is_string(), "{stage}");
    }
}

#[test]
fn a_stage_that_does_not_exist_is_refused_with_those_that_do() {
    let ended = Deployment::new().run(&["inspect", "std:deploy"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.stderr.contains("hint: standard plugins are std:precheck, std:backup"), "{ended}");
}
