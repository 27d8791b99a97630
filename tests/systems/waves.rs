//! Releases in waves: the traffic of a cluster (a stand-in, see there) moves step by step while a guard asks a real Prometheus.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

use crate::{
    kubernetes_stand_in::{KubernetesStandIn, TOKEN},
    prometheus::Prometheus,
};

struct Scene {
    cluster: KubernetesStandIn,
    prometheus: Prometheus,
    deployment: Deployment,
}

/// Three waves of two seconds each, and errors that are well up to 1%.
fn scene(guard: &str, more: &str) -> Scene {
    let (cluster, prometheus) = (KubernetesStandIn::start(), Prometheus::start(0.002));
    let toml = format!(
        r#"
name = "traffic"
environments = ["test"]
{more}

{cluster}
{prometheus}

[[step]]
name = "traffic"
stage = "release"
allow.http = ["GET|PATCH k8s:/apis/networking.istio.io/**"]
with = {{ kind = "traffic-shift", peer = "k8s", virtual_service = "hms/hms", to = "green" }}
waves = [{{ weight = "10%", hold = "2s" }}, {{ weight = "50%", hold = "2s" }}, {{ weight = "100%", hold = "2s" }}]
guard = {{ every = "400ms", {guard} }}

[[check]]
name = "errors"
allow.http = ["POST prom:/api/v1/query"]
allow.read = ["errors.promql"]
with = {{ kind = "prometheus-query", peer = "prom", expr_file = "errors.promql", max = "1%" }}

[[check]]
name = "many errors"
allow.http = ["POST prom:/api/v1/query"]
with = {{ kind = "prometheus-query", peer = "prom", expr = "error_ratio", max = "20%" }}
"#,
        cluster = cluster.peer(),
        prometheus = prometheus.peer(),
    );
    let deployment = Deployment::new()
        .file("pipeline.toml", toml)
        .file("errors.promql", "max by () (error_ratio)\n")
        .variable("K8S_TOKEN", TOKEN);
    Scene { cluster, prometheus, deployment }
}

const ROLLBACK: &str = "checks = [\"errors\"]";
const ASK: &str = "checks = [\"errors\"], breach = \"ask\"";

impl Scene {
    /// Begins the run, and returns once the traffic of the new version is this much.
    fn start(&self, share: u64) -> Child {
        let mut command = self.deployment.command(&["run", "pipeline.toml", "--env", "test"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.reaches(share);
        child
    }

    fn reaches(&self, share: u64) {
        let began = Instant::now();
        while self.cluster.shares().last() != Some(&share) {
            let shares = self.cluster.shares();
            assert!(began.elapsed() < Duration::from_secs(60), "{share} in vain: {shares:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn shares(&self) -> Vec<u64> {
        assert_eq!(self.cluster.refused(), Vec::<String>::new());
        self.cluster.shares()
    }

    /// The events of the only run, as they were exported.
    fn events(&self) -> Vec<Value> {
        self.deployment.run(&["log", "export"]).json()
    }

    fn resume(&self, more: &[&str]) -> Ended {
        self.deployment.run(&[&["resume", "last"], more].concat())
    }
}

/// Exit code and everything on stderr.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap().code(), stderr)
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn word(event: &Value) -> &str {
    event.pointer("/body/event").or_else(|| event.pointer("/what/event")).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_dip_within_its_band_moves_nothing_back() {
    let scene = scene(ROLLBACK, "");
    let run = scene.start(10);
    scene.prometheus.set(0.009);
    scene.reaches(50);
    scene.prometheus.set(0.001);
    let (code, stderr) = end(run);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(scene.shares(), [10, 50, 100]);
    assert!(stderr.contains("wave 1 of 3 (10%)") && stderr.contains("blue 90%, green 10%"), "{stderr}");
    let events = scene.events();
    let count = |of: &str| events.iter().filter(|event| word(event) == of).count();
    assert_eq!((count("wave-started"), count("wave-released"), count("wave-finished")), (3, 3, 3));
    assert!(count("guard-checked") >= 12, "{} checks in six seconds", count("guard-checked"));
    let shown = scene.deployment.run(&["show", "last"]);
    let told = shown.stdout.lines().filter(|line| line.trim_start().starts_with("wave ")).collect::<Vec<_>>();
    assert_eq!(told.len(), 3, "{shown}");
    assert!(told[0].contains("wave 1 of 3 (10%): released ") && told[0].contains("held for 2"), "{shown}");
}

#[test]
fn a_breach_rolls_back_at_once() {
    let scene = scene(ROLLBACK, "");
    let run = scene.start(10);
    scene.prometheus.set(0.05);
    let breached = Instant::now();
    let (code, stderr) = end(run);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(breached.elapsed() < Duration::from_secs(2), "{:?}", breached.elapsed());
    assert_eq!(scene.shares(), [10, 0]);
    assert!(stderr.contains("check \"errors\": 5% is above 1% in wave 1 of 3 (10%)"), "{stderr}");
    let shown = scene.deployment.run(&["show", "last", "--format", "json"]);
    let report: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(report.pointer("/steps/0/waves/0/breaches/0/breach"), Some(&Value::from("rollback")), "{shown}");
}

#[test]
fn no_data_is_a_breach() {
    let scene = scene(ROLLBACK, "");
    let run = scene.start(50);
    scene.prometheus.lose();
    let (code, stderr) = end(run);
    assert_eq!(code, Some(5), "{stderr}");
    assert_eq!(scene.shares(), [10, 50, 0]);
    assert!(stderr.contains("no data: the query finds no series in wave 2 of 3 (50%)"), "{stderr}");
}

#[test]
fn a_check_that_cannot_look_is_a_breach() {
    let mut scene = scene(ROLLBACK, "");
    let run = scene.start(10);
    scene.prometheus.stop();
    let (code, stderr) = end(run);
    assert_eq!(code, Some(5), "{stderr}");
    assert_eq!(scene.shares(), [10, 0]);
    assert!(stderr.contains("check \"errors\": ") && stderr.contains("POST prom:/api/v1/query"), "{stderr}");
}

#[test]
fn a_check_that_is_not_granted_is_a_breach() {
    let scene = scene(ROLLBACK, "");
    let deployment = scene.deployment.edit("pipeline.toml", "allow.read = [\"errors.promql\"]\n", "");
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "test"]);
    assert_eq!(ended.code, 5, "{ended}");
    assert_eq!(scene.cluster.shares(), [10, 0]);
    assert!(ended.stderr.contains("allow.read = [\"errors.promql\"]"), "{ended}");
}

#[test]
fn each_band_has_consequences_of_its_own() {
    let scene = scene("checks = [{ check = \"errors\", breach = \"warn\" }, \"many errors\"]", "");
    let run = scene.start(10);
    scene.prometheus.set(0.1);
    scene.reaches(50);
    scene.prometheus.set(0.3);
    let (code, stderr) = end(run);
    assert_eq!(code, Some(5), "{stderr}");
    assert_eq!(scene.shares(), [10, 50, 0]);
    assert!(stderr.contains("errors: 10% is above 1%"), "said, and gone past: {stderr}");
    assert!(stderr.contains("check \"many errors\": {__name__=\"error_ratio\""), "{stderr}");
}

#[test]
fn a_person_is_asked_and_the_guard_has_to_pass_all_the_same() {
    let scene = scene(ASK, "");
    let run = scene.start(50);
    scene.prometheus.set(0.05);
    let (code, stderr) = end(run);
    assert_eq!(code, Some(7), "{stderr}");
    assert_eq!(scene.shares(), [10, 50], "it stays as it is");
    let status = scene.deployment.run(&["status"]);
    assert!(status.stdout.contains("--retry 'traffic'") && status.stdout.contains("5% is above 1%"), "{status}");
    assert_eq!(scene.resume(&[]).code, 7, "nobody has said anything");
    let again = scene.resume(&["--retry", "traffic"]);
    assert_eq!(again.code, 7, "{again}");
    assert_eq!(scene.shares(), [10, 50]);
    scene.prometheus.set(0.001);
    let began = Instant::now();
    let last = scene.resume(&["--retry", "traffic"]);
    assert_eq!(last.code, 0, "{last}");
    assert_eq!(scene.shares(), [10, 50, 100], "nothing is released twice");
    assert!(began.elapsed() > Duration::from_secs(4), "two holds, in full: {:?}", began.elapsed());
}

#[test]
fn a_person_who_was_asked_can_undo() {
    let scene = scene(ASK, "");
    let run = scene.start(10);
    scene.prometheus.set(0.05);
    assert_eq!(end(run).0, Some(7));
    let undone = scene.resume(&["--undo", "traffic"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert_eq!(scene.shares(), [10, 0]);
}

#[test]
fn killed_during_a_hold_the_guard_passes_first_and_the_hold_starts_again() {
    let scene = scene(ROLLBACK, "");
    let run = scene.start(50);
    thread::sleep(Duration::from_millis(700));
    signal(&run, "-KILL");
    end(run);
    let began = Instant::now();
    let resumed = scene.resume(&[]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert!(began.elapsed() > Duration::from_secs(4), "two holds, in full: {:?}", began.elapsed());
    assert_eq!(scene.shares(), [10, 50, 100], "nothing is released twice");
    let events = scene.events();
    let after = events.iter().map(word).skip_while(|word| *word != "run-resumed");
    let after: Vec<&str> = after.filter(|word| word.starts_with("wave") || word.starts_with("guard")).collect();
    assert_eq!(after[..3], ["guard-checked", "wave-holding", "guard-checked"], "{after:?}");
    let verified = scene.deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
}

#[test]
fn killed_during_a_hold_and_a_guard_that_does_not_pass_rolls_back() {
    let scene = scene(ROLLBACK, "");
    let run = scene.start(50);
    signal(&run, "-KILL");
    end(run);
    scene.prometheus.set(0.05);
    let resumed = scene.resume(&[]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert_eq!(scene.shares(), [10, 50, 0]);
    let holds = scene
        .events()
        .iter()
        .map(word)
        .skip_while(|word| *word != "run-resumed")
        .filter(|word| *word == "wave-holding")
        .count();
    assert_eq!(holds, 0, "no hold began");
}

#[test]
fn an_interrupt_during_a_hold_undoes_or_stops_as_declared() {
    let undoing = scene(ROLLBACK, "");
    let run = undoing.start(10);
    signal(&run, "-INT");
    let (code, stderr) = end(run);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("interrupted by the operator while wave 1 of 3 (10%) was held"), "{stderr}");
    assert_eq!(undoing.shares(), [10, 0]);

    let stopping = scene(ROLLBACK, "on_interrupt = \"stop\"");
    let run = stopping.start(10);
    signal(&run, "-INT");
    assert_eq!(end(run).0, Some(130));
    assert_eq!(stopping.shares(), [10]);
    let resumed = stopping.resume(&[]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert_eq!(stopping.shares(), [10, 50, 100]);
}

#[test]
fn plan_and_audit_show_waves_and_the_checks_of_the_guard() {
    let scene = scene(ROLLBACK, "");
    let plan = scene.deployment.run(&["plan", "pipeline.toml", "--env", "test"]);
    for words in [
        "wave 10%, held for 2s",
        "every 400ms",
        "\"errors\" is met, or what was started is undone",
        "allow.http = [\"POST prom:/api/v1/query\"]",
    ] {
        assert!(plan.stdout.contains(words), "{words}: {plan}");
    }
    let audit = scene.deployment.run(&["audit", "pipeline.toml", "--env", "test"]);
    assert!(audit.stdout.contains("errors") && audit.stdout.contains("POST prom:/api/v1/query"), "{audit}");
}
