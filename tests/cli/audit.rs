//! `pipe audit`: what every plugin may do, can do and did do, in every format.

use pipe_tests::{Deployment, Ended, guest, normalise};
use serde_json::Value;

/// The arguments of an audit of the example.
const EXAMPLE: [&str; 4] = ["audit", "example.toml", "--env", "demo"];

fn audit(deployment: &Deployment, more: &[&str]) -> Ended {
    deployment.run(&[&EXAMPLE, more].concat())
}

fn succeeds(deployment: &Deployment, more: &[&str]) -> Ended {
    let ended = audit(deployment, more);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stderr, "", "a report is no talk");
    ended
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}\n{ended}"))
}

/// Names of what was found, as `severity name`.
fn found(audit: &Value) -> Vec<String> {
    let findings = audit["findings"].as_array().unwrap_or_else(|| panic!("{audit}"));
    findings.iter().map(|one| format!("{} {}", one["severity"], one["check"]).replace('"', "")).collect()
}

fn deployed(times: usize) -> Deployment {
    let deployment = Deployment::example();
    for _ in 0..times {
        let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
        assert_eq!(ended.code, 0, "{ended}");
    }
    deployment
}

/// A pipeline with one step of a vendor's plugin, which says of itself what `mode` tells it to.
pub(crate) fn vendor(mode: char, plugin: &str, step: &str) -> Deployment {
    let mut bytes = std::fs::read(guest::component("bad-schema")).expect("the guest");
    let at = bytes.windows(16).position(|window| window == b"describe-mode: 0").expect("its mode");
    bytes[at + 15] = mode as u8;
    let file = format!(
        "name = \"clinic\"\nenvironments = [\"test\"]\n\n[plugins]\nvendor = {{ path = \"plugin.wasm\"{plugin} }}\n\n\
         [[step]]\nname = \"look\"\nstage = \"verify\"\nplugin = \"vendor\"\n{step}\n"
    );
    Deployment::new().file("plugin.wasm", bytes).file("clinic.toml", file)
}

const CLINIC: [&str; 4] = ["audit", "clinic.toml", "--env", "test"];

#[test]
fn the_text_before_the_first_run() {
    let deployment = Deployment::example();
    insta::assert_snapshot!(succeeds(&deployment, &[]));
    assert!(!deployment.at("state").exists(), "an audit made a state directory");
    assert!(!deployment.at("example/live/app.db").exists(), "an audit made a database");
}

#[test]
fn the_text_after_two_runs() {
    insta::assert_snapshot!(succeeds(&deployed(2), &[]));
}

#[test]
fn text_fits_a_terminal_of_a_hundred_columns() {
    // Where nothing has spaces, nothing can be broken: this folder has a short name.
    for line in succeeds(&Deployment::example(), &[]).stdout.lines().filter(|line| !line.contains("/tmp/")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_markdown_for_a_comment() {
    insta::assert_snapshot!(succeeds(&deployed(1), &["--format", "markdown"]));
}

#[test]
fn the_json_for_programs() {
    let deployment = deployed(1);
    let pretty = succeeds(&deployment, &["--format", "json"]);
    insta::assert_snapshot!(pretty);
    let line = succeeds(&deployment, &["--output", "json"]);
    assert_eq!(line.stdout.lines().count(), 1, "one JSON value a line");
    let (mut pretty, mut line) = (json(&pretty), json(&line));
    pretty["made"].take();
    line["made"].take();
    assert_eq!(pretty, line);
    assert_eq!(line["schema"], "pipe.audit-report/v1");
}

#[test]
fn there_is_a_row_for_everything_that_calls_a_plugin() {
    let rollback = "\n[[rollback]]\nundo = \"release\"\n[[rollback]]\nundo = \"migrate\"\n\
                    [[rollback]]\nname = \"smoke\"\nstage = \"verify\"\nallow.read = [\"example/data\"]\n\
                    with.check = [{ kind = \"file\", path = \"example/data/appointments.csv\" }]\n";
    let deployment = Deployment::example();
    let file = std::fs::read_to_string(deployment.at("example.toml")).unwrap() + rollback;
    let deployment = deployment.file("example.toml", &file);
    let audit = json(&succeeds(&deployment, &["--format", "json"]));
    let calls = audit["calls"].as_array().unwrap();
    let rows: Vec<String> =
        calls.iter().map(|call| format!("{} {}", call["role"], call["step"]).replace('"', "")).collect();
    let steps = ["preflight", "backup", "migrate", "release", "verify", "history"].map(|step| format!("step {step}"));
    assert_eq!(rows, [&steps[..], &["rollback smoke".to_owned(), "notification notify 1".to_owned()]].concat());
    let lines: Vec<&str> = file.lines().collect();
    for call in calls {
        assert_eq!(call["plugin"]["sha256"].as_str().map(str::len), Some(64));
        assert!(call["plugin"]["imports"].as_array().is_some_and(|imports| imports.len() > 5));
        for rule in call["rules"].as_array().unwrap() {
            // The place that is told is where the rule stands.
            let place = &rule["place"];
            let number = |key: &str| usize::try_from(place[key].as_u64().unwrap()).unwrap();
            let there = &lines[number("line") - 1][number("column") - 1..number("end_column") - 1];
            assert_eq!(there, rule["rule"].as_str().unwrap());
        }
    }
}

#[test]
fn every_rule_of_a_run_was_used_and_one_too_many_is_told() {
    let deployment = deployed(2);
    let audit = json(&succeeds(&deployment, &["--format", "json"]));
    assert!(!found(&audit).iter().any(|finding| finding.contains("never-used")), "{:?}", found(&audit));
    for call in audit["calls"].as_array().unwrap().iter().filter(|call| call["role"] == "step") {
        for rule in call["rules"].as_array().unwrap() {
            assert_eq!(rule["last_use"]["run"], audit["record"]["last"], "{rule}");
            assert_eq!(rule["last_use"]["runs"], 2, "{rule}");
        }
    }
    let wider = deployment.edit(
        "example.toml",
        r#"allow.sql = ["read app"]"#,
        r#"allow.sql = ["read app"]
allow.env = ["LANG"]"#,
    );
    let fresh = json(&succeeds(&wider, &["--format", "json"]));
    assert!(!found(&fresh).iter().any(|finding| finding.contains("never-used")), "it is new since the last run");
    assert_eq!(wider.run(&["run", "example.toml", "--env", "demo"]).code, 0);
    let audit = json(&succeeds(&wider, &["--format", "json"]));
    // `std:verify` never asks for variables.
    let about: Vec<&Value> =
        audit["findings"].as_array().unwrap().iter().filter(|finding| finding["word"] == "env").collect();
    let checks: Vec<&str> = about.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["not-requested", "never-used"]);
    assert_eq!(about[0]["steps"], serde_json::json!(["verify"]));
}

#[test]
fn a_rule_that_is_wider_than_its_use_is_told_with_one_that_is_not() {
    let deployment = Deployment::example()
        .edit("example.toml", r#"allow.sql = ["read app"]"#, r#"allow.sql = ["write app"]"#)
        .edit("example.toml", r#"allow.read = ["example/live/www"]"#, r#"allow.write = ["example/live/www"]"#);
    assert_eq!(deployment.run(&["run", "example.toml", "--env", "demo"]).code, 0);
    let audit = json(&succeeds(&deployment, &["--format", "json"]));
    let broader: Vec<&str> = audit["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "broader-than-needed")
        .map(|finding| finding["hint"].as_str().unwrap())
        .collect();
    let enough = "this would have been enough: ";
    assert_eq!(
        broader,
        [format!(r#"{enough}allow.sql = ["read app"]"#), format!(r#"{enough}allow.read = ["example/live/www"]"#)]
    );
    // What is told would have been enough: with it, the same deployment succeeds and nothing is told.
    let narrowed = deployment.edit(
        "example.toml",
        r#"allow.sql = ["write app"]
allow.write"#,
        r#"allow.sql = ["read app"]
allow.read"#,
    );
    assert_eq!(narrowed.run(&["run", "example.toml", "--env", "demo"]).code, 0);
    let audit = json(&succeeds(&narrowed, &["--format", "json"]));
    assert!(!found(&audit).iter().any(|finding| finding.contains("broader")), "{:?}", found(&audit));
}

#[test]
fn what_was_refused_stays_in_sight() {
    let deployment = Deployment::example().edit("example.toml", r#"allow.disk = ["example/live"]"#, "");
    assert_eq!(deployment.run(&["run", "example.toml", "--env", "demo"]).code, 4);
    let ended = succeeds(&deployment, &[]);
    assert!(ended.stdout.contains("asked for disk example/live, and was refused once"), "{ended}");
    assert!(ended.stdout.contains("was-refused: step preflight, example.toml:"), "{ended}");
}

#[test]
fn the_exit_code_is_for_who_asks_for_it() {
    let deployment = Deployment::example();
    for (more, code) in [
        (&[][..], 0),
        (&["--fail-on", "error"], 0),
        (&["--fail-on", "warning"], 9),
        (&["--fail-on", "note"], 9),
        (&["--fail-on", "never"], 0),
        (&["--fail-on", "warning", "--format", "sarif"], 9),
        (&["--fail-on", "everything"], 2),
        (&["--format", "pdf"], 2),
        (&["--set", "version=one"], 3),
    ] {
        let ended = audit(&deployment, more);
        assert_eq!(ended.code, code, "{more:?}\n{ended}");
    }
    let vendor = vendor('0', "", "");
    assert_eq!(vendor.run(&CLINIC).code, 9, "a vendor's plugin that is not pinned is an error");
    assert_eq!(vendor.run(&[&CLINIC[..], &["--fail-on", "never"]].concat()).code, 0);
    let missing = Deployment::new().run(&EXAMPLE);
    assert_eq!(missing.code, 3, "{missing}");
}

#[test]
fn a_vendors_plugin_is_held_to_its_word() {
    let deployment = vendor('0', "", "allow.read = [\".\"]\nallow.sql = [\"read db\"]").edit(
        "clinic.toml",
        "[plugins]",
        "[peers]\ndb = { url = \"sqlite:clinic.db\" }\n\n[plugins]",
    );
    let audit = json(&deployment.run(&[&CLINIC[..], &["--format", "json"]].concat()));
    assert_eq!(found(&audit), ["error unpinned-plugin", "warning not-requested", "warning cannot-be-used"]);
    let sha256 = audit["calls"][0]["plugin"]["sha256"].as_str().unwrap();
    let pinned = deployment.edit("clinic.toml", "plugin.wasm\" }", &format!("plugin.wasm\", sha256 = \"{sha256}\" }}"));
    let audit = json(&pinned.run(&[&CLINIC[..], &["--format", "json"]].concat()));
    assert_eq!(found(&audit), ["warning not-requested", "warning cannot-be-used"]);
    // Another file under the same name is not even described.
    let replaced = pinned.file("plugin.wasm", std::fs::read(guest::component("hostile")).unwrap());
    assert_eq!(replaced.run(&CLINIC).code, 3);
}

#[test]
fn a_policy_refuses_what_it_does_not_cover_and_decides_what_it_does() {
    let policy = |programs: &str| {
        format!("[[allow]]\nany = [\"read\", \"artifacts\", \"secrets\", \"env\"]\nexec = [{programs}]\n")
    };
    let pipeline = "name = \"clinic\"\nenvironments = [\"test\"]\n\n[[step]]\nname = \"data\"\nstage = \"backup\"\n\
                    allow.exec = [{ program = \"pg_dump\", argv = [] }]\nallow.artifacts = [\"write\"]\n\
                    with = { kind = \"archive\", directory = \"data\", encrypt = false }\n";
    let deployment = Deployment::new().file("clinic.toml", pipeline);
    let with = |deployment: &Deployment| {
        let ended = deployment.run(&[&CLINIC[..], &["--policy", "policy.toml", "--format", "json"]].concat());
        (ended.code, json(&ended))
    };
    let deployment = deployment.file("policy.toml", policy("{ program = \"pg_dump\", argv = [\"**\"] }"));
    let (code, audit) = with(&deployment);
    assert_eq!(
        (code, found(&audit)),
        (0, vec!["warning backup-in-the-clear".to_owned(), "note native-code".to_owned()])
    );
    assert!(audit["calls"][0]["rules"].as_array().unwrap().iter().all(|rule| rule["within_policy"] == true));
    assert_eq!(audit["policies"][0]["file"], "policy.toml");

    let deployment = deployment.file("policy.toml", policy("{ program = \"npm\", argv = [] }"));
    let (code, audit) = with(&deployment);
    assert_eq!(code, 9, "an audit shows what does not start");
    let expected = ["error above-policy", "warning backup-in-the-clear", "warning native-code"];
    assert_eq!(found(&audit), expected);
    let message = audit["findings"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("the policy policy.toml:3 does not allow this: "), "both lines are named: {message}");
    assert_eq!(audit["findings"][0]["place"]["line"], 7);
    let page = deployment.run(&[&CLINIC[..], &["--policy", "policy.toml", "--format", "html"]].concat()).stdout;
    assert!(page.contains("<td class=\"above\">above</td>") && page.contains("<td class=\"within\">within</td>"));
}

#[test]
fn a_repeated_step_is_told_once_for_each_line() {
    let deployment = Deployment::new().file(
        "many.toml",
        "name = \"many\"\n\n[sets.services]\na = \"a\"\nb = \"b\"\nc = \"c\"\nd = \"d\"\ne = \"e\"\n\n\
         [[step]]\nname = \"deploy\"\nstage = \"release\"\nfor_each = { in = \"services\" }\n\
         allow.read = [\"app\"]\nallow.write = [\"live/${each.key}\"]\n\
         with = { kind = \"files\", source = \"app\", destination = \"live/${each.key}\", version = \"1\" }\n",
    );
    let ended = deployment.run(&["audit", "many.toml", "--format", "json"]);
    let audit = json(&ended);
    assert_eq!(audit["calls"].as_array().map(Vec::len), Some(5), "a row for each instance");
    let writes: Vec<&Value> =
        audit["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "write").collect();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0]["steps"].as_array().map(Vec::len), Some(5));
    let text = deployment.run(&["audit", "many.toml"]).stdout;
    assert!(text.contains("deploy[a], deploy[b], deploy[c], deploy[d] and 1 more"), "{text}");
}

#[test]
fn a_report_in_a_file_is_whole_and_plain_and_never_one_of_pipes_own() {
    let deployment = deployed(1);
    let ended = succeeds(&deployment, &["--out", "audit.txt", "--color", "always"]);
    assert_eq!(ended.stdout, "");
    let written = std::fs::read_to_string(deployment.at("audit.txt")).unwrap();
    assert_eq!(written, succeeds(&deployment, &["--color", "never"]).stdout);
    for own in ["example.toml", "state/journal.db"] {
        let refused = audit(&deployment, &["--out", own]);
        assert_eq!(refused.code, 2, "{refused}");
    }
    assert_eq!(deployment.run(&["log", "verify"]).code, 0);
}

/// What Markdown would act upon: everything but what stands between two runs of as many backquotes.
fn without_code(markdown: &str) -> String {
    let mut prose = String::new();
    let mut rest = markdown;
    while let Some(at) = rest.find('`') {
        prose.push_str(&rest[..at]);
        let fence = &rest[at..][..rest[at..].len() - rest[at..].trim_start_matches('`').len()];
        rest = &rest[at + fence.len()..];
        let ends = |(at, _): &(usize, &str)| !rest[..*at].ends_with('`') && !rest[at + fence.len()..].starts_with('`');
        let (end, _) = rest.match_indices(fence).find(ends).unwrap_or_else(|| panic!("open code: {rest}"));
        rest = &rest[end + fence.len()..];
    }
    prose + rest
}

#[test]
fn hostile_text_is_inert_in_every_format() {
    let hostile = vendor('w', "", "");
    for format in ["text", "markdown", "json", "sarif"] {
        let ended = hostile.run(&[&CLINIC[..], &["--format", format]].concat());
        assert_eq!(ended.code, 9, "{ended}");
        match format {
            "markdown" => {
                let prose = without_code(&ended.stdout);
                let ours = prose.replace("<details>", "").replace("</details>", "").replace("<br>", "");
                let ours = ours.replace("<summary>", "").replace("</summary>", "").replace("<!-- -->", "");
                assert!(
                    !ours.contains(['<', '>']) && !prose.contains("@everyone") && !prose.contains("](http"),
                    "{ended}"
                );
            }
            "sarif" => assert!(!ended.stdout.contains("[x](https"), "{ended}"),
            _ => {}
        }
    }
    let reordered = vendor('t', "", "");
    for format in ["text", "markdown", "json", "sarif", "html"] {
        let stdout = reordered.run(&[&CLINIC[..], &["--format", format]].concat()).stdout;
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!stdout.contains(acts), "{format}: {stdout:?}");
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_not_taken_for_none() {
    let unreadable = Deployment::example().file("state/journal.db", "this is no database");
    is_not_trusted(&unreadable, "is not a database");
}

#[test]
fn a_journal_with_a_changed_byte_is_told_in_every_format_and_nothing_is_told_from_it() {
    let deployment = deployed(1);
    assert!(succeeds(&deployment, &[]).stdout.contains("1 finished run looked at"));
    crate::record::change_one_byte(&deployment, crate::record::STARTED, crate::record::RENAMED);
    is_not_trusted(&deployment, "entry 1: the content does not match its hash");
    assert_eq!(audit(&deployment, &["--fail-on", "never"]).code, 0);
}

/// The audit of a deployment whose record is not to be trusted, for the reason that is given.
fn is_not_trusted(deployment: &Deployment, why: &str) {
    for format in ["text", "markdown", "html"] {
        let ended = audit(deployment, &["--format", format]);
        assert_eq!(ended.code, 9, "{ended}");
        for says in ["the record of earlier runs is not to be trusted", "untrusted-record"] {
            assert!(ended.stdout.contains(says), "{format} does not say {says:?}\n{ended}");
        }
        // Long lines are folded.
        let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("what earlier runs used is not known") && flat.contains(why), "{format}: {why}\n{ended}");
        assert!(!ended.stdout.contains("no finished run"), "{ended}");
    }
    let sarif = json(&audit(deployment, &["--format", "sarif"]));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"untrusted-record".into(), &"error".into()), "{result}");
    assert!(result["message"]["text"].as_str().expect("a text").contains(why), "{result}");
    assert!(sarif_validator().is_valid(&sarif), "{sarif}");
    let report = json(&audit(deployment, &["--format", "json"]));
    assert!(report["record"].is_null() && report["record_problem"].as_str().expect("why").contains(why), "{report}");
    assert_eq!(report["counts"]["errors"], 1, "{report}");
}

fn sarif_validator() -> jsonschema::Validator {
    // The schema as published has a stray bracket in the pattern of `language`, which only lenient readers take.
    let published = include_str!("sarif/sarif-schema-2.1.0.json");
    let schema = published.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$");
    assert_ne!(schema, published);
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    jsonschema::draft7::new(&schema).expect("a schema")
}

#[test]
fn sarif_is_what_its_schema_says() {
    let validator = sarif_validator();
    let valid = |ended: &Ended| {
        let report = json(ended);
        let problems: Vec<String> =
            validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(problems, [""; 0], "{ended}");
        report
    };
    let deployment = deployed(1);
    let ended = succeeds(&deployment, &["--format", "sarif"]);
    let report = valid(&ended);
    let results = report.pointer("/runs/0/results").and_then(Value::as_array).unwrap();
    assert_eq!(results.len(), found(&json(&succeeds(&deployment, &["--format", "json"]))).len());
    assert!(!results.is_empty());
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(report["runs"][0]["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "example.toml");
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 1), "{result}");
        assert_eq!(result["partialFingerprints"]["pipeAudit/v1"].as_str().map(str::len), Some(32));
    }
    valid(&vendor('w', "", "").run(&[&CLINIC[..], &["--format", "sarif"]].concat()));
    // The schema is no formality: it refuses a report without its version.
    let mut broken = report.clone();
    broken["version"].take();
    assert!(!validator.is_valid(&broken));
    insta::assert_snapshot!(ended);
}

#[test]
fn every_finding_has_a_fingerprint_of_its_own() {
    let deployment = Deployment::new().file(
        "wide.toml",
        "name = \"wide\"\n\n[[step]]\nname = \"one\"\nstage = \"release\"\nallow.exec = [\n    \
         { program = \"npm\", argv = [\"**\"], read = [\"/\"], ports = [1], sockets = [\"/run/a\", \"/run/b\"] },\n]\n\
         with = { kind = \"files\", source = \"a\", destination = \"b\", version = \"1\" }\n",
    );
    let audit = json(&deployment.run(&["audit", "wide.toml", "--format", "json"]));
    let prints: Vec<&str> =
        audit["findings"].as_array().unwrap().iter().map(|one| one["fingerprint"].as_str().unwrap()).collect();
    let different: std::collections::BTreeSet<&&str> = prints.iter().collect();
    assert!(prints.len() >= 6, "{audit}");
    assert_eq!(different.len(), prints.len(), "{audit}");
}

#[test]
fn fingerprints_stay_when_lines_move() {
    let deployment = Deployment::example();
    let fingerprints = |deployment: &Deployment| -> Vec<(String, u64)> {
        let audit = json(&succeeds(deployment, &["--format", "json"]));
        let findings = audit["findings"].as_array().unwrap().iter();
        findings
            .map(|one| (one["fingerprint"].as_str().unwrap().to_owned(), one["place"]["line"].as_u64().unwrap()))
            .collect()
    };
    let before = fingerprints(&deployment);
    let moved = deployment.edit("example.toml", "name = \"example\"", "# A line\n# and another.\nname = \"example\"");
    let expected: Vec<(String, u64)> = before.into_iter().map(|(print, line)| (print, line + 2)).collect();
    assert_eq!(fingerprints(&moved), expected);
}

/// The body of a page, a tag a line: the style sheet is nothing to look at in a diff.
fn body(page: &str) -> String {
    page.split("<body>").nth(1).unwrap_or_default().replace("><", ">\n<")
}

#[test]
fn the_page_for_people_who_decide() {
    let deployment = deployed(1);
    let ended = succeeds(&deployment, &["--format", "html"]);
    insta::assert_snapshot!(normalise::normalise(&body(&ended.stdout), deployment.path()));
}
