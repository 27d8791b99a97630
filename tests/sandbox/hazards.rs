//! Where other systems of this kind have failed, each as a test named after it. The numbers are those of the list of hazards
//! that the design keeps.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::{Behaviour, Scene, endless, servers::Server};

/// The guest asks for much of what there is; a grant is what the pipeline file says, and nothing is added to it.
#[test]
fn hazard_1_what_a_vendor_asks_for_does_not_become_the_grant() {
    let scene = Scene::new(Behaviour::ReadVariable).with("name", "HOME");
    let shown = scene.pipe(&["plan", "pipeline.toml", "--env", "test", "--output", "json"]);
    assert_eq!(shown.json()[0]["entries"][0]["grant"], serde_json::json!([]), "{shown}");
    scene.refused_until(r#"allow.env = ["HOME"]"#);
}

/// What looks at a pipeline decides as the run does: it has no defaults of its own that would let a step pass.
#[test]
fn hazard_2_no_tool_grants_more_than_the_run_does() {
    let scene = Scene::new(Behaviour::ReadFile).with("path", "data/x.txt").file("data/x.txt", "x");
    let checked = scene.pipe(&["check", "pipeline.toml", "--env", "test"]);
    assert_eq!(checked.code, 0, "{checked}");
    assert!(!format!("{checked}").contains("allow.read"), "{checked}");
    scene.run().fails("denied", "");
}

/// Scheme and port are part of a rule on every path that leads out.
#[test]
fn hazard_3_every_part_of_a_rule_is_enforced() {
    let (server, other) = (Server::start(), Server::start());
    let granted = format!(
        "allow.http = [{{ rule = \"GET http://localhost:{}/\", addresses = [\"127.0.0.0/8\", \"::1/128\"] }}]",
        server.port
    );
    let ask =
        |url: String| Scene::new(Behaviour::Request).with("method", "GET").with("path", &url).allow(&granted).run();
    ask(format!("http://localhost:{}/", other.port)).fails("denied", "");
    ask(format!("https://localhost:{}/", server.port)).fails("denied", "");
    ask(format!("http://localhost:{}/other", server.port)).fails("denied", "");
    assert!(server.heads().is_empty() && other.heads().is_empty());
    let seen = ask(format!("http://LOCALHOST.:{}/", server.port));
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    assert_eq!(server.heads().len(), 1, "the same host in another spelling");
}

/// Without any flag, a refusal is on the screen with the line that would allow it.
#[test]
fn hazard_4_a_refusal_is_shown_with_its_line() {
    let seen = Scene::new(Behaviour::ReadVariable).with("name", "HOME").run();
    assert_eq!(seen.ended.code, 4, "{}", seen.ended);
    assert!(seen.ended.stderr.contains(r#"would allow it: allow.env = ["HOME"]"#), "{}", seen.ended);
}

/// A call that waits in the host ends as one that loops in the guest does.
#[test]
fn hazard_5_the_deadline_covers_what_the_host_waits_for() {
    endless::a_sleep_ends();
    endless::a_wait_for_a_server_that_never_answers_ends();
}

/// With a pattern for hosts, every name that a guest makes up would tell a name server something.
#[test]
fn hazard_6_no_pattern_stands_for_a_host() {
    for rule in ["GET https://*.example.com/", "GET https://*/", "GET https://**/", "GET https://{a,b}.example.com/"] {
        let ended = Scene::new(Behaviour::Request).allow(&format!("allow.http = [\"{rule}\"]")).refused_at_start();
        assert!(ended.stderr.contains("error["), "{rule}: {ended}");
    }
    for line in ["allow.tcp = [\"*.example.com:443\"]", "allow.tcp = [\"*:53\"]", "allow.tls = [\"*:443\"]"] {
        let ended = Scene::new(Behaviour::Connect).with("name", "localhost:53").allow(line).refused_at_start();
        assert!(ended.stderr.contains("error[bad-rule]"), "{line}: {ended}");
    }
}

/// No word grants what a plugin's next version might want.
#[test]
fn hazard_7_nothing_is_inherited() {
    for line in ["allow.inherit = true", "allow.http = true", "allow.all = true", "allow.env = [\"*\"]"] {
        let ended = Scene::new(Behaviour::ReadVariable).with("name", "HOME").allow(line).refused_at_start();
        assert!(ended.stderr.contains("error["), "{line}: {ended}");
    }
}

/// Another content of a pinned plugin is refused, and the refusal holds what to write once somebody has looked at it.
#[test]
fn hazard_8_an_upgrade_can_be_approved() {
    let pinned = |sha256: &str| {
        let scene = Scene::new(Behaviour::ReadVariable).with("name", "HOME").allow("allow.env = [\"HOME\"]");
        scene.pinned(sha256).pipe(&["run", "pipeline.toml", "--env", "test"])
    };
    let refused = pinned(&"0".repeat(64));
    assert_eq!(refused.code, 3, "{refused}");
    let found = refused.stderr.split("its sha256 is ").nth(1).and_then(|rest| rest.get(..64)).unwrap_or_default();
    assert_eq!(found.len(), 64, "{refused}");
    let approved = pinned(found);
    assert_eq!(approved.code, 0, "{approved}");
}

/// The chain alone cannot tell that its newest entries are gone. The head that the run printed can.
#[test]
fn hazard_9_a_cut_off_tail_is_found_by_the_head() {
    let scene = Scene::new(Behaviour::ReadVariable).with("name", "HOME").allow("allow.env = [\"HOME\"]");
    let ended = scene.run().ended;
    let head = ended.stderr.split("head ").nth(1).and_then(|rest| rest.get(..64)).unwrap_or_default().to_owned();
    let export = scene.deployment.run(&["log", "export"]);
    let lines: Vec<&str> = export.stdout.lines().collect();
    let (last, shorter) = lines.split_last().unwrap();
    assert!(last.contains(&head), "{last}");
    fs::write(scene.deployment.at("cut.jsonl"), format!("{}\n", shorter.join("\n"))).unwrap();
    let without = scene.deployment.run(&["log", "verify", "cut.jsonl"]);
    assert_eq!(without.code, 0, "whole in itself: {without}");
    let with = scene.deployment.run(&["log", "verify", "cut.jsonl", "--head", &head]);
    assert_eq!(with.code, 3, "{with}");
}

/// A process that was killed holds nothing: the kernel lets go of its lock, and its run can be given up or gone on with.
#[test]
fn hazard_10_a_dead_run_locks_nobody_out() {
    let scene = Scene::new(Behaviour::Sleep).timeout("600s");
    let deployment = scene.write();
    let arguments = ["run", "pipeline.toml", "--env", "test"];
    let mut first = deployment.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !deployment.run(&["history"]).stdout.contains("running") {
        assert!(began.elapsed() < Duration::from_secs(60), "the run did not begin");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(deployment.run(&arguments).code, 8, "the first one lives");
    first.kill().unwrap();
    first.wait().unwrap();
    let abandoned = deployment.run(&["abandon", "last", "--reason", "a test"]);
    assert_eq!(abandoned.code, 0, "{abandoned}");
    let after =
        Scene::new(Behaviour::ReadVariable).with("name", "HOME").allow("allow.env = [\"HOME\"]").after(scene).run();
    assert_eq!(after.ended.code, 0, "{}", after.ended);
}

/// An answer that sends the guest elsewhere is an answer. Going there is another request, and needs its own grant.
#[test]
fn hazard_11_a_redirect_leads_nowhere_by_itself() {
    let elsewhere = Server::start();
    let server = Server::redirecting(&format!("http://127.0.0.1:{}/loot", elsewhere.port));
    let seen = Scene::new(Behaviour::Request)
        .head(&server.peer("records"))
        .with("peer", "records")
        .with("method", "GET")
        .with("path", "/")
        .allow(r#"allow.http = ["GET records:/**"]"#)
        .run();
    assert!(seen.observed().starts_with("302 "), "{}", seen.ended);
    assert!(elsewhere.heads().is_empty(), "the redirect was followed");
}
