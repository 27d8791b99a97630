//! A deployment that has succeeded is watched: `pipe watch` asks a real Prometheus, and what it sees has consequences.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

use crate::prometheus::Prometheus;

struct Scene {
    prometheus: Prometheus,
    deployment: Deployment,
}

/// A release of files that is watched, and errors that are well up to 1%. Its run has succeeded.
fn watched(watch: &str) -> Scene {
    let prometheus = Prometheus::start(0.002);
    let toml = format!(
        r#"
name = "app"
environments = ["test"]

[inputs]
version = {{ default = "1" }}

{prometheus}

[[step]]
name = "app"
stage = "release"
allow.read = ["app"]
allow.write = ["www"]
with = {{ kind = "files", source = "app", destination = "www", version = "${{inputs.version}}" }}

[[check]]
name = "errors"
allow.http = ["POST prom:/api/v1/query"]
with = {{ kind = "prometheus-query", peer = "prom", expr = "max by () (error_ratio)", max = "1%" }}

[watch]
every = "200ms"
checks = ["errors"]
{watch}
"#,
        prometheus = prometheus.peer(),
    );
    let deployment = Deployment::new().file("pipeline.toml", toml).file("app/index.html", "hello").folder("www");
    let scene = Scene { prometheus, deployment };
    let ended = scene.release("1");
    assert_eq!(ended.code, 0, "{ended}");
    scene
}

impl Scene {
    fn release(&self, version: &str) -> Ended {
        self.deployment.run(&["run", "pipeline.toml", "--env", "test", "--set", &format!("version={version}")])
    }

    fn watch(&self, more: &[&str]) -> Ended {
        self.deployment.run(&[&["watch", "last"], more].concat())
    }

    /// Watches beside the test, and returns once it has looked.
    fn begin(&self) -> Child {
        let mut command = self.deployment.command(&["watch", "last"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (before, began) = (self.count("watch-checked"), Instant::now());
        while self.count("watch-checked") == before {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody looked");
            thread::sleep(Duration::from_millis(20));
        }
        child
    }

    fn count(&self, event: &str) -> usize {
        let events = self.deployment.run(&["show", "last", "--events", "--output", "json"]);
        events.stdout.matches(&format!("\"event\":\"{event}\"")).count()
    }

    /// Where the link shows what is live.
    fn live(&self) -> Option<PathBuf> {
        std::fs::read_link(self.deployment.at("www/current")).ok()
    }

    fn report(&self, run: &str) -> Value {
        let shown = self.deployment.run(&["show", run, "--format", "json"]);
        assert_eq!(shown.code, 0, "{shown}");
        serde_json::from_str(&shown.stdout).unwrap()
    }

    /// The record is whole.
    fn verified(&self) {
        let verified = self.deployment.run(&["log", "verify"]);
        assert_eq!(verified.code, 0, "{verified}");
    }
}

#[test]
fn it_is_watched_to_the_end() {
    let scene = watched("for = \"2s\"");
    let status = scene.deployment.run(&["status"]);
    assert!(status.stdout.contains("pipe watch ") && status.stdout.contains("until "), "{status}");
    let ended = scene.watch(&[]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stderr.contains("every check was met to the end"), "{ended}");
    let report = scene.report("last");
    assert_eq!(report.pointer("/watch/end/how"), Some(&Value::from("passed")), "{report}");
    assert_eq!(report.pointer("/watch/checks/0/not_met"), Some(&Value::from(0)), "{report}");
    assert_eq!(report["conclusion"], "succeeded");
    let shown = scene.deployment.run(&["show", "last"]);
    assert!(shown.stdout.contains("\nWatch\n") && shown.stdout.contains("its time is over"), "{shown}");
    let again = scene.watch(&[]);
    assert_eq!(again.code, 2, "{again}");
    assert!(again.stderr.contains("has ended"), "{again}");
    scene.verified();
}

#[test]
fn a_breach_undoes_what_was_deployed() {
    let scene = watched("for = \"60s\"");
    let mut watch = scene.begin();
    scene.prometheus.set(0.05);
    assert_eq!(watch.wait().unwrap().code(), Some(5));
    assert_eq!(scene.live(), None, "nothing was live before");
    let report = scene.report("last");
    assert_eq!(report["conclusion"], "rolled-back", "{report}");
    let breach = report.pointer("/watch/breaches/0/message").and_then(Value::as_str).unwrap_or_default();
    assert!(breach.contains("5% is above 1%"), "{report}");
    scene.verified();
}

#[test]
fn no_data_is_a_breach() {
    let scene = watched("for = \"60s\"");
    scene.prometheus.lose();
    let ended = scene.watch(&[]);
    assert_eq!(ended.code, 5, "{ended}");
    assert!(ended.stderr.contains("no data"), "{ended}");
    assert_eq!(scene.live(), None);
}

#[test]
fn a_breach_that_asks_waits_for_somebody_who_goes_on_or_goes_back() {
    let scene = watched("for = \"4s\"\nbreach = \"ask\"");
    scene.prometheus.set(0.05);
    let asked = scene.watch(&[]);
    assert_eq!(asked.code, 7, "{asked}");
    assert!(asked.stderr.contains("--go-on") && asked.stderr.contains("pipe rollback"), "{asked}");
    assert!(scene.live().is_some(), "it stays as it is");
    let reason = scene.report("last")["reason"].to_string();
    assert!(reason.contains("nobody has seen to it") && reason.contains("5% is above 1%"), "{reason}");
    assert_eq!(scene.watch(&[]).code, 7, "nobody has said anything");
    assert_eq!(scene.watch(&["--go-on"]).code, 7, "the checks have to be met all the same");
    scene.prometheus.set(0.001);
    let on = scene.watch(&["--go-on"]);
    assert_eq!(on.code, 0, "{on}");
    let people = scene.report("last")["people"].to_string();
    assert_eq!(people.matches("watch-continued").count(), 2, "{people}");
    scene.verified();
}

#[test]
fn somebody_who_was_asked_can_go_back() {
    let scene = watched("for = \"60s\"\nbreach = \"ask\"");
    scene.prometheus.set(0.05);
    assert_eq!(scene.watch(&[]).code, 7);
    let back = scene.deployment.run(&["rollback", "last", "--reason", "too many errors"]);
    assert_eq!(back.code, 5, "{back}");
    assert_eq!(scene.live(), None);
    let over = scene.watch(&[]);
    assert_eq!(over.code, 2, "{over}");
}

#[test]
fn a_later_run_takes_its_place() {
    let scene = watched("for = \"60s\"");
    let first = scene.report("last")["run"].as_str().unwrap().to_owned();
    let mut watch = scene.begin();
    let later = scene.release("2");
    assert_eq!(later.code, 0, "a watch stands in the way of no run: {later}");
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    let report = scene.report(&first);
    let by = scene.report("last")["run"].clone();
    assert_eq!(report.pointer("/watch/end/by"), Some(&by), "{report}");
    assert_eq!(scene.live(), Some(PathBuf::from("releases/2")));
    scene.verified();
}

#[test]
fn it_can_be_stopped_or_killed_and_begun_again() {
    let scene = watched("for = \"60s\"");
    let mut stopped = scene.begin();
    let id = stopped.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(stopped.wait().unwrap().code(), Some(130));
    let mut killed = scene.begin();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(scene.live().is_some(), "neither undoes anything");
    let mut again = scene.begin();
    scene.prometheus.set(0.05);
    assert_eq!(again.wait().unwrap().code(), Some(5));
    assert_eq!(scene.live(), None);
    scene.verified();
}

#[test]
fn a_watch_that_begins_late_looks_once_more() {
    let scene = watched("for = \"1s\"");
    thread::sleep(Duration::from_millis(1_500));
    let looks = scene.count("watch-checked");
    let ended = scene.watch(&[]);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(scene.count("watch-checked"), looks + 1);
}
