//! Pipelines against what their plugins say of themselves.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    stage::Stage,
};
use pipe_pipeline::{
    Pipeline, PluginFacts, RunFacts, Selection, check, check_against_plugins, compile_schema, parse, validate_resolved,
};
use serde_json::{Value, json};

fn pipeline(text: &str) -> Pipeline {
    let file = Arc::new(SourceFile { path: "/srv/x/pipeline.toml".into(), text: text.to_owned() });
    let run =
        RunFacts { id: "20261123021500-9f3c1a".parse().unwrap(), started: "2026-11-23T02:15:00Z".parse().unwrap() };
    let selection = Selection { environment: None, inputs: BTreeMap::new(), previous: BTreeMap::new(), run };
    let document = parse(&file).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
    check(&document, &selection).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}")).pipeline
}

/// A schema as the standard plugins have them: a list of checks of several kinds.
fn schema() -> Value {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "required": ["check"],
        "properties": {
            "check": { "type": "array", "minItems": 1, "items": { "oneOf": [
                { "$ref": "#/$defs/http" },
                { "$ref": "#/$defs/disk" },
            ] } },
            "mode": { "enum": ["strict", "lenient"] },
            "version": { "type": "string", "pattern": "^[0-9.]+$" },
            "count": { "type": "integer", "minimum": 1 },
        },
        "$defs": {
            "http": {
                "type": "object", "additionalProperties": false, "required": ["kind", "url"],
                "properties": {
                    "kind": { "const": "http" },
                    "url": { "type": "string", "description": "address to ask" },
                    "status": { "type": "integer" },
                },
            },
            "disk": {
                "type": "object", "additionalProperties": false, "required": ["kind", "path"],
                "properties": { "kind": { "const": "disk" }, "path": { "type": "string" } },
            },
        },
    });
    compile_schema(&schema.to_string()).unwrap()
}

fn facts(reversible: bool) -> BTreeMap<String, PluginFacts> {
    let any = || compile_schema("{}").unwrap();
    let of = |stage: Stage, schema, reversible| (format!("std:{stage}"), PluginFacts { stage, schema, reversible });
    BTreeMap::from([
        of(Stage::Verify, schema(), false),
        of(Stage::Precheck, any(), false),
        of(Stage::Backup, any(), false),
        of(Stage::Migrate, any(), reversible),
        of(Stage::Release, any(), reversible),
        ("acme".to_owned(), PluginFacts { stage: Stage::Backup, schema: any(), reversible: false }),
    ])
}

fn under(diagnostic: &Diagnostic) -> &str {
    diagnostic.labels.first().map_or("", |label| &label.file.text[label.span.clone()])
}

fn assert_refused(text: &str, reversible: bool, expected: &[(&str, &str, &str, &str)]) {
    let found = check_against_plugins(&pipeline(text), &facts(reversible));
    let shown: Vec<_> = found.iter().map(|d| (d.code, under(d), d.message.as_str(), d.hints.join(" | "))).collect();
    assert_eq!(found.len(), expected.len(), "{text}\n{shown:#?}");
    for ((code, place, message, hint), (found_code, found_place, found_message, found_hint)) in
        expected.iter().zip(&shown)
    {
        assert!(
            code == found_code && place == found_place && found_message.contains(message) && found_hint.contains(hint),
            "{text}\nexpected {code} at `{place}`: {message} | {hint}\n{shown:#?}"
        );
    }
}

const STEP: &str =
    "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"precheck\"\n[[step]]\nname = \"v\"\nstage = \"verify\"\n";

#[test]
fn settings_are_held_against_the_schema_at_their_line() {
    let sound = "with.check = [{ kind = \"http\", url = \"https://x.example\", status = 200 }]\n";
    assert_refused(&format!("{STEP}{sound}"), true, &[]);
    for (added, place, message, hint) in [
        ("with.chekc = []\n", "chekc", "unknown key `chekc`", "did you mean `check`?"),
        ("with.mode = \"strikt\"\n", "\"strikt\"", "`mode` cannot be `strikt`", "did you mean `strict`?"),
        ("with.count = 0\n", "0", "minimum", ""),
        ("with.count = \"3\"\n", "\"3\"", "expected an integer, found a string", ""),
        ("with.count = 1.5\n", "1.5", "expected an integer, found a float", ""),
        ("with.version = \"v1\"\n", "\"v1\"", "does not match", ""),
    ] {
        assert_refused(&format!("{STEP}{sound}{added}"), true, &[("settings", place, message, hint)]);
    }
    for (with, place, message, hint) in [
        ("check = []", "[]", "item", ""),
        (
            "check = [{ kind = \"htttp\", url = \"x\" }]",
            "\"htttp\"",
            "`kind` cannot be `htttp`",
            "did you mean `http`?",
        ),
        (
            "check = [{ kind = \"smtp\", url = \"x\" }]",
            "\"smtp\"",
            "`kind` cannot be `smtp`",
            "there are `http`, `disk`",
        ),
        ("check = [{ kind = \"http\" }]", "{ kind = \"http\" }", "`url` is missing", "`url`: address to ask"),
        (
            "check = [{ kind = \"disk\", paht = \"x\", path = \"y\" }]",
            "paht",
            "unknown key `paht`",
            "did you mean `path`?",
        ),
        ("check = [{ kind = \"http\", url = 3 }]", "3", "expected a string, found an integer", ""),
        ("check = [\"http\"]", "\"http\"", "expected a table, found a string", ""),
    ] {
        assert_refused(&format!("{STEP}with.{with}\n"), true, &[("settings", place, message, hint)]);
    }
    assert_refused(STEP, true, &[("settings", "[[step]]", "`check` is missing", "")]);
}

#[test]
fn what_is_not_known_yet_is_held_against_it_later() {
    let open = "with.check = [{ kind = '${steps.a.outputs.kind}', url = \"x\" }]\nwith.mode = '${steps.a.outputs.m}'\n\
                with.version = 'v${steps.a.outputs.v}'\n";
    let text = format!("{STEP}{open}");
    assert_refused(&text, true, &[]);
    let step = pipeline(&text).steps.remove(1);
    let schema = schema();
    let resolve = |kind: &str, mode: &str, version: &str| {
        let outputs = |_: &str, key: &str| {
            Some(match key {
                "kind" => kind.to_owned(),
                "m" => mode.to_owned(),
                _ => version.to_owned(),
            })
        };
        let mut settings = step.settings.resolve(&outputs, &BTreeMap::new()).unwrap();
        settings["version"] = json!(version);
        validate_resolved(&step, &schema, &settings)
    };
    assert_eq!(resolve("http", "strict", "1.2"), Ok(()));
    let refused = resolve("http", "loose", "1.2").unwrap_err();
    assert!(refused.contains("`v`") && refused.contains("with.mode: `mode` cannot be `loose`"), "{refused}");
    assert!(resolve("ftp", "strict", "1.2").unwrap_err().contains("with.check[0].kind"));
    assert!(resolve("http", "strict", "v1").is_err());

    // What is wrong whatever the value will be is said at once.
    let text =
        format!("{STEP}with.check = [{{ kind = \"http\", url = \"x\" }}]\nwith.count = '${{steps.a.outputs.n}}'\n");
    let place = "'${steps.a.outputs.n}'";
    assert_refused(&text, true, &[("settings", place, "found a reference, which is always a string", "")]);
    let text = format!("{STEP}with.check = [{{ kind = \"http\", url = '${{steps.a.outputs.u}}', ulr = 1 }}]\n");
    assert_refused(&text, true, &[("settings", "ulr", "unknown key `ulr`", "did you mean `url`?")]);
}

#[test]
fn plugins_are_for_one_stage() {
    let text = "name = \"x\"\n[plugins]\nacme.path = \"a.wasm\"\n[[step]]\nname = \"a\"\nstage = \"precheck\"\nplugin = \"acme\"\n";
    assert_refused(text, true, &[("wrong-stage", "\"acme\"", "for the stage backup", "")]);
    let text = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"notify\"\n";
    assert_refused(text, true, &[("unknown-plugin", "\"notify\"", "nothing is known", "")]);
}

#[test]
fn what_changes_things_can_be_undone_or_says_so() {
    let steps = "name = \"x\"\n[[step]]\nname = \"b\"\nstage = \"backup\"\n[[step]]\nname = \"m\"\nstage = \"migrate\"\n\
         [[step]]\nname = \"r\"\nstage = \"release\"\n";
    assert_refused(steps, true, &[]);
    assert_refused(
        steps,
        false,
        &[
            ("irreversible", "\"m\"", "cannot undo", "irreversible = true"),
            ("irreversible", "\"r\"", "cannot undo", "irreversible = true"),
        ],
    );
    let accepted = steps.replace("te\"\n", "te\"\nirreversible = true\n");
    assert_refused(&accepted.replace("se\"\n", "se\"\nirreversible = true\n"), false, &[]);

    let listed = format!("{steps}[[rollback]]\nundo = \"r\"\n");
    assert_refused(&listed, true, &[("rollback-incomplete", "\"m\"", "leaves out", "undo = \"m\"")]);
    assert_refused(&format!("{listed}[[rollback]]\nundo = \"m\"\n"), true, &[]);
    let accepted = listed.replace("migrate\"\n", "migrate\"\nirreversible = true\n");
    assert_refused(&accepted, true, &[]);

    let nothing = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"precheck\"\n[[rollback]]\nundo = \"a\"\n";
    assert_refused(nothing, true, &[("not-reversible", "\"a\"", "cannot undo", "")]);
}

#[test]
fn a_migration_has_a_backup_before_it_or_somebody_who_accepts_that_there_is_none() {
    let migrate = "[[step]]\nname = \"m\"\nstage = \"migrate\"\n";
    let backup = "[[step]]\nname = \"b\"\nstage = \"backup\"\n";
    let refused = ("order-rule", "\"m\"", "has no backup before it", "without_backup = { role");
    assert_refused(&format!("name = \"x\"\n{migrate}"), true, &[refused]);
    assert_refused(&format!("name = \"x\"\n{migrate}{backup}"), true, &[refused]);
    assert_refused(&format!("name = \"x\"\n{backup}{migrate}"), true, &[]);
    let accepted = "without_backup = { role = \"dba\", reason = \"the tables are new\" }\n";
    assert_refused(&format!("name = \"x\"\n{migrate}{accepted}"), true, &[]);
}

#[test]
fn a_schema_that_is_refused_is_the_plugins_fault() {
    let mut facts = facts(true);
    facts.insert(
        "std:verify".to_owned(),
        PluginFacts { stage: Stage::Verify, schema: json!({ "$ref": "https://x.example/s" }), reversible: false },
    );
    let found = check_against_plugins(&pipeline(STEP), &facts);
    assert_eq!((found[0].code, under(&found[0])), ("plugin-schema", "\"verify\""));
}
