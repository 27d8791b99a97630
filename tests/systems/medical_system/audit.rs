//! `pipe audit` of the medical system, before its first deployment and after two.

use std::{collections::BTreeMap, fs};

use pipe_tests::{Ended, browser};
use serde_json::Value;

use super::Hospital;

/// An audit in the environment `staging`, with the inputs of a deployment.
fn audit(hospital: &Hospital, more: &[&str]) -> Ended {
    let mut arguments = hospital.arguments("1.0.1");
    "audit".clone_into(&mut arguments[0]);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let ended = hospital.deployment.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    hospital.needles().refuse("the report", ended.stdout.as_bytes());
    ended
}

fn json(hospital: &Hospital) -> Value {
    let ended = audit(hospital, &["--format", "json"]);
    assert_eq!(ended.code, 0, "{ended}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// How often each question was answered.
fn found(audit: &Value) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for finding in audit["findings"].as_array().unwrap() {
        *found.entry(finding["check"].as_str().unwrap()).or_default() += 1;
    }
    found
}

#[test]
fn what_the_deployment_may_touch_is_what_the_guide_needs() {
    let hospital = Hospital::new();
    let audit = json(&hospital);
    assert_eq!(audit["record"], Value::Null);
    assert_eq!(audit["counts"]["errors"], 0);
    let things = |area: &str| -> Vec<&str> {
        let reach = audit["reach"].as_array().unwrap().iter().find(|reach| reach["area"] == area).unwrap();
        reach["things"].as_array().unwrap().iter().map(|thing| thing["what"].as_str().unwrap()).collect()
    };
    // What it may change stands first.
    assert_eq!(things("network"), ["slack", "api"]);
    assert_eq!(things("databases"), ["database"]);
    assert_eq!(things("programs"), ["pg_dump", "pg_restore"]);
    assert_eq!(things("secrets"), ["db", "backup", "slack"]);
    assert!(things("files").contains(&"medical-system/live/www"));
    // Two programs are native code; and the plugins of several kinds may ask for more than this file gives them.
    let found = found(&audit);
    assert_eq!(found["native-code"], 2, "{found:?}");
    assert!(!found.contains_key("never-used"), "nothing has run yet: {found:?}");
}

#[test]
fn every_rule_is_used_by_a_deployment_and_the_page_shows_it() {
    let hospital = Hospital::new();
    for version in ["1.0.0", "1.0.1"] {
        let ended = hospital.deploy(version);
        assert_eq!(ended.code, 0, "{ended}");
    }
    let data = json(&hospital);
    assert_eq!(data["record"]["runs"], 2);
    for call in data["calls"].as_array().unwrap() {
        for rule in call["rules"].as_array().unwrap() {
            assert_eq!(rule["last_use"]["run"], data["record"]["last"], "{}: {rule}", call["step"]);
        }
    }
    let found = found(&data);
    for fault in ["never-used", "not-requested", "cannot-be-used", "hidden-import", "was-refused", "plugin-changed"] {
        assert!(!found.contains_key(fault), "{found:?}");
    }

    let ended = audit(&hospital, &["--format", "html", "--out", "audit.html"]);
    assert_eq!(ended.code, 0, "{ended}");
    let page = fs::read_to_string(hospital.deployment.at("audit.html")).unwrap();
    hospital.needles().refuse("the page", page.as_bytes());
    let loaded = browser::load(&hospital.deployment.at("audit.html"));
    assert_eq!(loaded.console, "", "the browser has nothing to complain of");
    let calls = data["calls"].as_array().unwrap();
    let rules: usize = calls.iter().map(|call| call["rules"].as_array().unwrap().len()).sum();
    let seen = browser::ask(
        &page,
        "const n=s=>document.querySelectorAll(s).length;document.title=[n('.call'),n('tr.rule'),n('.finding'),n('.never')].join()",
    );
    assert_eq!(seen, format!("{},{rules},{},0", calls.len(), data["findings"].as_array().unwrap().len()));
}
