//! `pipe history`, `pipe show` and `pipe log`: what happened, and whether the record is still what was written.

use std::{fs, os::unix::fs::PermissionsExt as _};

use pipe_tests::{Deployment, Ended};

fn deployed(times: usize) -> Deployment {
    let deployment = Deployment::example();
    for _ in 0..times {
        let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
        assert_eq!(ended.code, 0, "{ended}");
    }
    deployment
}

fn runs(deployment: &Deployment) -> Vec<String> {
    let listed = deployment.run(&["history", "--output", "json"]).json();
    listed.iter().filter_map(|run| run["run"].as_str().map(str::to_owned)).collect()
}

fn succeeds(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
    ended
}

fn refused(deployment: &Deployment, arguments: &[&str], code: i32, says: &str) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, code, "{arguments:?}\n{ended}");
    assert!(ended.stderr.contains(says), "{arguments:?} does not say {says:?}\n{ended}");
    ended
}

#[test]
fn history_lists_the_newest_first() {
    let deployment = deployed(2);
    let runs = runs(&deployment);
    let lines = succeeds(&deployment, &["history"]).stdout;
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.lines().next().is_some_and(|line| line.starts_with(&runs[0])), "{lines}");
    assert!(lines.lines().all(|line| line.contains("  succeeded  example  demo  20")), "{lines}");
    assert!(lines.lines().all(|line| line.ends_with("  version=1.0.0") && line.contains('@')), "{lines}");
    let limited = succeeds(&deployment, &["history", "--limit", "1"]).stdout;
    assert!(limited.starts_with(&runs[0]) && limited.lines().count() == 1, "{limited}");
    assert_eq!(succeeds(&deployment, &["history", "--env", "other"]).stdout, "");
    assert_eq!(succeeds(&deployment, &["history", "example.toml"]).stdout, lines);
}

#[test]
fn show_tells_a_run_from_its_beginning_to_its_end() {
    let deployment = deployed(1);
    insta::assert_snapshot!(succeeds(&deployment, &["show", "--events"]));
    let verbose = succeeds(&deployment, &["show", "--events", "--verbose"]).stdout;
    assert!(verbose.contains("used sql write app: "), "{verbose}");
    assert!(verbose.contains("used read example/app/"), "{verbose}");
}

#[test]
fn a_run_is_known_by_its_name_or_the_beginning_of_it() {
    let deployment = deployed(2);
    let runs = runs(&deployment);
    let whole = succeeds(&deployment, &["show", &runs[1]]).stdout;
    assert!(whole.contains(&format!("  run           {}\n", runs[1])), "{whole}");
    assert_eq!(succeeds(&deployment, &["show", &runs[1][..20]]).stdout, whole);
    assert!(succeeds(&deployment, &["show", "last", "--events"]).stdout.starts_with(&runs[0]));
    let several = refused(&deployment, &["show", &runs[0][..2]], 2, "begins the names of 2 runs");
    assert!(several.stderr.contains("hint: name more of it"), "{several}");
    let none = refused(&deployment, &["show", "19990101"], 2, "no run `19990101`");
    assert!(none.stderr.contains("hint: `pipe history` lists the runs"), "{none}");
    refused(&deployment, &["log", "export", "--run", "19990101"], 2, "no run `19990101`");
}

#[test]
fn without_a_journal_there_is_nothing_to_show() {
    let deployment = Deployment::new();
    for arguments in [&["history"][..], &["show"], &["log", "export"], &["log", "verify"]] {
        let ended = refused(&deployment, arguments, 70, "there is no journal at");
        assert!(ended.stderr.contains("hint: "), "{ended}");
    }
    assert!(!deployment.at("state").exists(), "reading made a state directory");
}

/// The export of two runs, line by line, and the head that the last run printed.
fn export(deployment: &Deployment) -> (Vec<String>, String) {
    succeeds(deployment, &["log", "export", "--out", "audit.jsonl"]);
    let text = fs::read_to_string(deployment.at("audit.jsonl")).expect("the export");
    assert_eq!(text, succeeds(deployment, &["log", "export"]).stdout, "a file holds what stdout shows");
    let verified = succeeds(deployment, &["log", "verify", "--output", "json"]).json();
    (text.lines().map(str::to_owned).collect(), verified[0]["head"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_run_prints_the_head_that_verification_asks_for() {
    let deployment = Deployment::example();
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    let head = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("audit     head ")).expect("a head");
    let verified = succeeds(&deployment, &["log", "verify", "--head", head]);
    assert!(verified.stdout.contains("0 entries since the head that was given"), "{verified}");
    assert_eq!(verified.stderr, "", "{verified}");
    succeeds(&deployment, &["run", "example.toml", "--env", "demo"]);
    let later = succeeds(&deployment, &["log", "verify", "--head", head]);
    assert!(!later.stdout.contains("0 entries since"), "{later}");
}

#[test]
fn an_export_that_was_tampered_with_is_found_at_its_line() {
    let deployment = deployed(2);
    let (lines, head) = export(&deployment);
    succeeds(&deployment, &["log", "verify", "audit.jsonl", "--head", &head]);
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    let renamed = |lines: &mut Vec<String>| {
        let at = lines.iter().position(|line| line.contains("\"preflight\"")).expect("a step");
        lines[at] = lines[at].replacen("preflight", "preflighs", 1);
    };
    let cases: [(&str, String, &str); 6] = [
        ("changed", changed(&renamed), "the content does not match its hash"),
        ("removed", changed(&|lines| drop(lines.remove(6))), "line 7, entry 8: entry 7 is missing before it"),
        ("swapped", changed(&|lines| lines.swap(6, 7)), "line 7, entry 8: entry 7 is missing before it"),
        ("doubled", changed(&|lines| lines.insert(6, lines[6].clone())), "line 8, entry 7"),
        ("headless", changed(&|lines| drop(lines.remove(0))), "line 1, entry 2: entry 1 is missing before it"),
        ("added", changed(&|lines| lines.push(lines[0].clone())), &format!("line {}, entry 1", lines.len() + 1)),
    ];
    for (name, content, says) in cases {
        fs::write(deployment.at("tampered.jsonl"), content).expect("a file");
        let ended = refused(&deployment, &["log", "verify", "tampered.jsonl"], 3, says);
        assert!(ended.stderr.starts_with("error: tampered.jsonl: line "), "{name}\n{ended}");
        assert_eq!(ended.stdout, "", "{name}");
    }
}

#[test]
fn a_tail_that_was_cut_off_is_found_with_the_head() {
    let deployment = deployed(1);
    let (lines, head) = export(&deployment);
    fs::write(deployment.at("cut.jsonl"), lines[..lines.len() - 3].join("\n") + "\n").expect("a file");
    let unanchored = succeeds(&deployment, &["log", "verify", "cut.jsonl"]);
    assert!(unanchored.stderr.contains("without --head nobody can tell"), "{unanchored}");
    refused(&deployment, &["log", "verify", "cut.jsonl", "--head", &head], 3, "the end was cut off");
}

#[test]
fn the_export_of_one_run_says_that_it_is_one() {
    let deployment = deployed(2);
    let first = runs(&deployment).remove(1);
    succeeds(&deployment, &["log", "export", "--run", &first, "--out", "one.jsonl"]);
    let verified = succeeds(&deployment, &["log", "verify", "one.jsonl"]);
    assert!(verified.stdout.contains(&format!("an export of run {first} alone")), "{verified}");
}

#[test]
fn a_journal_that_was_changed_is_found() {
    let deployment = deployed(1);
    let database = rusqlite::Connection::open(deployment.at("state/journal.db")).expect("the journal");
    // Whoever can write the file can remove what guards it. The chain still tells.
    database.execute_batch("DROP TRIGGER events_never_change").expect("the guard");
    let changed = database.execute("UPDATE events SET body = replace(body, 'preflight', 'preflighs')", []);
    assert!(changed.is_ok_and(|rows| rows > 0), "nothing was changed");
    drop(database);
    let ended = refused(&deployment, &["log", "verify"], 3, "was changed: ");
    assert!(ended.stderr.contains("hint: entries before that place are as they were written"), "{ended}");
}

/// Of the first entry: where the run was, and where it was not.
pub(crate) const STARTED: &[u8] = b"\"pipeline\":\"example\",\"environment\":\"demo\"";
pub(crate) const RENAMED: &[u8] = b"\"pipeline\":\"example\",\"environment\":\"demp\"";

/// Changes one byte of one entry, where SQLite does not see it.
pub(crate) fn change_one_byte(deployment: &Deployment, from: &[u8], to: &[u8]) {
    assert_eq!(from.iter().zip(to).filter(|(from, to)| from != to).count(), 1, "one byte");
    let path = deployment.at("state/journal.db");
    let database = rusqlite::Connection::open(&path).expect("the journal");
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("all of it in one file");
    drop(database);
    let mut bytes = fs::read(&path).expect("the journal");
    // More than once where SQLite has moved a page and left the old one as it was.
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "it is there");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(&path, bytes).expect("the journal");
}

#[test]
fn an_export_of_a_record_that_was_changed_is_made_and_is_no_success() {
    let deployment = deployed(1);
    let (lines, _) = export(&deployment);
    change_one_byte(&deployment, STARTED, RENAMED);
    for out in [&["log", "export"][..], &["log", "export", "--out", "changed.jsonl"]] {
        let ended = refused(&deployment, out, 3, "what was exported is not to be trusted: the journal ");
        assert!(ended.stderr.contains("entry 1: the content does not match its hash"), "{ended}");
        let text =
            if out.len() == 2 { ended.stdout } else { fs::read_to_string(deployment.at("changed.jsonl")).expect("it") };
        let exported: Vec<&str> = text.lines().collect();
        assert_eq!(exported.len(), lines.len(), "an auditor gets all that is there");
        assert!(exported[0].contains("\"environment\":\"demp\"") && exported[1..] == lines[1..], "as it is");
    }
    let run = runs(&deployment).remove(0);
    refused(&deployment, &["log", "export", "--run", &run], 3, "what was exported is not to be trusted");
    refused(&deployment, &["log", "verify", "changed.jsonl"], 3, "line 1, entry 1");
}

#[test]
fn an_export_goes_as_far_as_the_record_can_be_read() {
    let deployment = deployed(1);
    let (lines, _) = export(&deployment);
    // The fifth entry is no JSON any more.
    let start: String = lines[4].split_once("\"body\":").expect("a body").1.chars().take(150).collect();
    change_one_byte(&deployment, start.as_bytes(), format!("[{}", &start[1..]).as_bytes());
    let ended =
        refused(&deployment, &["log", "export", "--out", "part.jsonl"], 3, "ends before an entry that cannot be read");
    assert!(ended.stderr.contains("damaged: ") && ended.stderr.contains("hint: "), "{ended}");
    let text = fs::read_to_string(deployment.at("part.jsonl")).expect("what could be read");
    assert_eq!(text.lines().collect::<Vec<_>>(), lines[..4]);
}

#[test]
fn a_receipt_that_was_changed_is_found() {
    let deployment = deployed(1);
    let database = rusqlite::Connection::open(deployment.at("state/journal.db")).expect("the journal");
    let changed =
        database.execute("UPDATE receipts SET data = x'00' WHERE rowid = (SELECT min(rowid) FROM receipts)", []);
    assert_eq!(changed, Ok(1));
    drop(database);
    refused(&deployment, &["log", "verify"], 3, "the receipt is not the one that was saved");
}

/// Whoever writes a whole new chain leaves nothing to be found in it, but a head that was noted elsewhere.
#[test]
fn a_record_that_was_written_anew_is_found_with_the_head() {
    let (deployment, other) = (deployed(1), deployed(1));
    let (_, head) = export(&deployment);
    let (lines, _) = export(&other);
    fs::write(deployment.at("anew.jsonl"), lines.join("\n") + "\n").expect("a file");
    succeeds(&deployment, &["log", "verify", "anew.jsonl"]);
    refused(&deployment, &["log", "verify", "anew.jsonl", "--head", &head], 3, "no entry has the hash");
}

#[test]
fn what_cannot_be_verified_is_no_success() {
    let deployment = deployed(1).file("empty.jsonl", "").file("text.jsonl", "Dear auditor,\n");
    refused(&deployment, &["log", "verify", "missing.jsonl"], 3, "there is no file `missing.jsonl`");
    refused(&deployment, &["log", "verify", "empty.jsonl"], 3, "holds no audit entry");
    refused(&deployment, &["log", "verify", "text.jsonl"], 3, "line 1: not an audit entry");
    refused(&deployment, &["log", "verify", "--head", "abc"], 2, "is not a sha256 digest");
}

/// Entries say who, with which plugins, on which start of which machine: the first of a run for all of them.
#[test]
fn a_run_begins_with_who_and_with_what() {
    let deployment = deployed(1);
    let (lines, _) = export(&deployment);
    let first: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    let body = &first["body"];
    assert!(first["at"].as_str().is_some_and(|at| at.ends_with('Z')) && first["boot_ms"].as_u64() > Some(0), "{first}");
    assert!(body["boot"].as_str().is_some_and(|boot| boot.len() == 36), "{body}");
    assert!(body["actor"].as_str().is_some_and(|actor| actor.contains('@')), "{body}");
    let steps = body["steps"].as_array().expect("steps");
    assert!(
        steps.iter().all(|step| step["plugin"]["digest"].as_str().is_some_and(|digest| digest.len() == 64)),
        "{body}"
    );
}

#[test]
fn two_thousand_steps_are_planned_and_run() {
    let keys: String = (0..2_000).map(|number| format!("ward-{number:04} = \"{number}\"\n")).collect();
    let names: Vec<String> = (0..30).map(|number| format!("\"WARD_VARIABLE_{number:02}\"")).collect();
    let pipeline = format!(
        "name = \"wards\"\nenvironments = [\"test\"]\n\n[sets.wards]\n{keys}\n[[step]]\nname = \"look\"\nstage = \"precheck\"\n\
         for_each = {{ in = \"wards\" }}\nallow.env = [{}]\nwith.check = [{{ kind = \"env-required\", names = [\"WARD_VARIABLE_00\"] }}]\n",
        names.join(", ")
    );
    let deployment = Deployment::new().file("wards.toml", pipeline).variable("WARD_VARIABLE_00", "here");
    let ended = succeeds(&deployment, &["run", "wards.toml", "--env", "test"]);
    assert!(ended.stderr.contains("2000 calls planned"), "{ended}");
    let events = deployment.run(&["show", "--output", "json"]).json();
    let of = |event: &str| events.iter().filter(|line| line["what"]["event"] == event).collect::<Vec<_>>();
    let planned = [of("run-started"), of("planned")].concat();
    assert!(planned.len() > 4, "more than one event can hold: {}", planned.len());
    let steps = planned.iter().flat_map(|line| line["what"]["steps"].as_array().expect("steps"));
    let instances: Vec<String> = steps.map(|step| step["step"]["instance"].to_string()).collect();
    assert_eq!(instances, (0..2_000).map(|number| format!("\"ward-{number:04}\"")).collect::<Vec<_>>());
    assert_eq!(of("step-finished").len(), 2_000);
    succeeds(&deployment, &["log", "verify"]);
}

#[test]
fn a_text_can_be_proven_by_whoever_knows_it_and_has_the_key() {
    let deployment = deployed(1);
    let mode = fs::metadata(deployment.at("state/audit.key")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let migration =
        fs::read_to_string(deployment.at("example/migrations/001_appointments.up.sql")).expect("a migration");
    let first = migration.split(';').next().expect("a statement");
    let found = deployment.run_with_input(&["log", "prove", "sql"], first);
    assert_eq!(found.code, 0, "{found}");
    assert!(found.stdout.contains("sql write app: CREATE TABLE"), "{found}");
    let other = deployment.run_with_input(&["log", "prove", "sql"], "DROP TABLE appointments");
    assert!(other.stdout.is_empty() && other.stderr.starts_with("no entry is about this text"), "{other}");
    fs::remove_file(deployment.at("state/audit.key")).expect("a key");
    let gone = deployment.run_with_input(&["log", "prove", "sql"], first);
    assert_eq!(gone.code, 70, "{gone}");
    assert!(gone.stderr.contains("there is no key at"), "{gone}");
}

#[test]
fn reading_needs_no_right_to_write() {
    let deployment = deployed(1);
    let mode = |mode| {
        for name in ["state", "state/journal.db"] {
            let set = fs::set_permissions(deployment.at(name), fs::Permissions::from_mode(mode));
            set.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    };
    let before = fs::read(deployment.at("state/journal.db")).expect("the journal");
    mode(0o500);
    for arguments in [&["history"][..], &["show"], &["log", "verify"]] {
        succeeds(&deployment, arguments);
    }
    mode(0o700);
    assert_eq!(fs::read(deployment.at("state/journal.db")).expect("the journal"), before, "reading wrote");
}

#[test]
fn an_export_never_replaces_the_journal() {
    let deployment = Deployment::example();
    assert_eq!(deployment.run(&["run", "example.toml", "--env", "demo"]).code, 0);
    let refused = deployment.run(&["log", "export", "--out", "state/journal.db"]);
    assert_eq!(refused.code, 2, "{refused}");
    let refused = deployment.run(&["plan", "example.toml", "--env", "demo", "--out", "example.toml"]);
    assert_eq!(refused.code, 2, "{refused}");
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
}
