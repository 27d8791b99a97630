//! The Hospital Management System of the design, as far as this version goes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    stage::Stage,
};
use pipe_pipeline::{
    Checked, NotifyEvent, PeerKind, PluginSource, RollbackEntry, RunFacts, SecretSource, Selection, Tls, check,
    json_schema, parse,
};
use serde_json::{Value, json};

const HMS: &str = include_str!("hms.toml");

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "/srv/hms/pipeline.toml".into(), text: text.to_owned() })
}

fn selection(environment: &str) -> Selection {
    Selection {
        environment: Some(environment.to_owned()),
        inputs: BTreeMap::from([("version".to_owned(), "2.5.0".to_owned())]),
        previous: BTreeMap::from([("version".to_owned(), "2.4.9".to_owned())]),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    }
}

fn checked(environment: &str) -> Checked {
    let document = parse(&file(HMS)).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
    check(&document, &selection(environment)).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// Outputs as the runner would know them.
fn outputs(step: &str, key: &str) -> Option<String> {
    (key == "id").then(|| format!("{step}-output"))
}

#[test]
fn the_sample_becomes_a_pipeline() {
    let Checked { pipeline, warnings } = checked("production");
    assert_eq!(warnings, Vec::<Diagnostic>::new());
    assert_eq!((pipeline.name.as_str(), pipeline.environment.as_str()), ("hms", "production"));
    assert_eq!(pipeline.base, Path::new("/srv/hms"));
    assert_eq!(pipeline.state, Some(PathBuf::from("/var/lib/pipe")));
    assert_eq!(pipeline.inputs, BTreeMap::from([("version".to_owned(), "2.5.0".to_owned())]));
    assert_eq!(pipeline.secrets["db"], SecretSource::Env("HMS_DB_PASSWORD".to_owned()));
    assert_eq!(pipeline.secrets["backup"], SecretSource::File("/srv/hms/secrets/production.age".into()));

    let ids: Vec<String> = pipeline.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(
        ids,
        [
            "preflight",
            "backup",
            "migrate",
            "deploy[frontend-service]",
            "deploy[api-gateway]",
            "announce[frontend-service]",
            "announce[api-gateway]",
            "error rate",
        ]
    );
    let preflight = &pipeline.steps[0];
    assert_eq!(preflight.timeout, Duration::from_secs(60));
    assert_eq!((preflight.retry.attempts, preflight.retry.backoff), (3, Duration::from_secs(2)));
    assert_eq!(
        preflight.grant.lines(),
        [
            r#"allow.http = ["GET k8s:/version"]"#,
            r#"allow.http = ["GET k8s:/api/v1/nodes"]"#,
            r#"allow.sql = ["read main"]"#,
            r#"allow.read = ["database/rollback"]"#,
        ]
    );
    assert_eq!(preflight.grant.read[0].resolved, Path::new("/srv/hms/database/rollback"));
    assert_eq!(&HMS[preflight.span.clone()], "\"preflight\"");
    assert_eq!(&HMS[preflight.plugin_span.clone()], "\"precheck\"");

    let backup = &pipeline.steps[1];
    assert_eq!(backup.timeout, Duration::from_secs(7200));
    assert_eq!(backup.grant.exec[0].peer.as_deref(), Some("main"));
    let check = &pipeline.steps[7];
    assert_eq!((check.stage, check.plugin.as_str()), (Stage::Verify, "std:verify"));
    assert_eq!(check.timeout, Duration::from_secs(30), "the check's own");

    assert_eq!(pipeline.plugins["std:verify"], PluginSource::Standard(Stage::Verify));
    assert!(matches!(&pipeline.plugins["argocd"], PluginSource::File { path, sha256: Some(_) }
        if path == Path::new("/srv/hms/plugins/argocd.wasm")));
    assert_eq!(pipeline.plugins.len(), 6);

    let rollback: Vec<String> = pipeline
        .rollback
        .iter()
        .flatten()
        .map(|entry| match entry {
            RollbackEntry::Undo { step, continue_on_failure, .. } => format!("undo {step} {continue_on_failure}"),
            RollbackEntry::Run(step) => format!("run {} {}", step.id, step.stage),
            RollbackEntry::Gate(gate) => format!("gate {}", gate.id),
        })
        .collect();
    assert_eq!(rollback, ["undo deploy true", "undo migrate false", "run smoke verify", "run errors after verify"]);
    assert_eq!(pipeline.notifications[0].on[1], NotifyEvent::RollbackStarted);
    assert_eq!(pipeline.notifications[0].step.id.to_string(), "notify 1");
    assert_eq!(
        pipeline.notifications[0].step.grant.lines()[1],
        r#"allow.mail = [{ peer = "smtp", from = "deploy@hms.example", to = ["*@production.hms.example"] }]"#
    );
    assert_eq!((pipeline.peers["smtp"].kind(), pipeline.peers["smtp"].tls), (PeerKind::Mail, Tls::VerifyFull));
    assert_eq!(pipeline.calls().count(), 8 + 2 + 1);
}

#[test]
fn environments_change_entries_key_by_key() {
    let production = checked("production").pipeline;
    assert_eq!(production.peers["main"].url.as_str(), "postgres://hms_admin@hms-db.production.svc/hms");
    assert_eq!(production.peers["main"].password.as_deref(), Some("db"));
    let Checked { pipeline: staging, warnings } = checked("staging");
    assert_eq!(staging.peers["main"].url.as_str(), "postgres://hms_admin@hms-db.staging.svc/hms");
    assert_eq!(staging.peers["main"].password.as_deref(), Some("db"), "the rest of the peer is as it was");
    assert_eq!(staging.secrets["db"], SecretSource::File("/srv/hms/secrets/db".into()), "one source replaces another");
    assert_eq!(
        staging.steps.len(),
        production.steps.len() + 2,
        "one more entry in a set that two steps are repeated over"
    );
    assert_eq!(staging.peers["prom"].tls, Tls::Disable);
    assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["plaintext"]);
}

#[test]
fn settings_are_json_with_references_resolved() {
    let pipeline = checked("production").pipeline;
    let none = BTreeMap::new();
    let settings = |index: usize| pipeline.steps[index].settings.resolve(&outputs, &none).unwrap();
    assert_eq!(
        settings(0),
        json!({ "check": [
            { "kind": "kubernetes", "peer": "k8s", "min_version": "1.25" },
            { "kind": "postgres", "peer": "main", "min_version": "14.0", "min_replicas": 3, "lag": 0.5, "strict": true },
        ] })
    );
    assert_eq!(settings(2)["from"], "2.4.9");
    assert_eq!(settings(2)["literal"], "${not.a.reference} $5 $");
    assert_eq!(settings(3)["image"], "registry.example/frontend:2.5.0");
    assert_eq!(settings(4)["app"], "hms-api-gateway");
    assert_eq!(settings(4)["backup"], "backup-output");
    assert!(pipeline.steps[4].settings.has_open_references());
    assert!(!pipeline.steps[0].settings.has_open_references());

    // An instance sees the output of the instance for its own key.
    assert_eq!(settings(6)["text"], "deploy[api-gateway]-output is out");
    assert_eq!(pipeline.steps[6].settings.needs_outputs_of(), ["deploy[api-gateway]"]);
    let missing = pipeline.steps[6].settings.resolve(&|_, _| None, &none).unwrap_err();
    assert_eq!(missing.reference, "${steps.deploy.outputs.id}");
    assert_eq!(&HMS[missing.span.clone()], "\"${steps.deploy.outputs.id} is out\"");

    let notification = &pipeline.notifications[0].step.settings;
    assert!(notification.resolve(&outputs, &none).is_err());
    let late = BTreeMap::from([("run.outcome".to_owned(), "rolled-back".to_owned())]);
    let text = "HMS rolled-back 2.5.0 20261123021500-9f3c1a 2026-11-23T02:15:00Z production";
    assert_eq!(notification.resolve(&outputs, &late).unwrap()["text"], text);
}

#[test]
fn substituted_values_are_literal() {
    let text = "name = \"x\"\n[inputs]\nv = { default = \"*\" }\n[peers]\nk = { url = \"https://k.example\" }\n\
                [[step]]\nname = \"a\"\nstage = \"verify\"\nallow.http = [\"GET k:/a/${inputs.v}\"]\n\
                allow.exec = [{ program = \"x\", argv = [\"--at=${inputs.v}\"] }]\n";
    let document = parse(&file(text)).unwrap();
    let chosen = Selection { environment: None, inputs: BTreeMap::new(), ..selection("x") };
    let pipeline = check(&document, &chosen).unwrap().pipeline;
    let grant = &pipeline.steps[0].grant;
    let request = |url| pipe_capability::http::HttpRequest::parse("GET", url).unwrap();
    assert!(grant.http(&request("https://k.peer/a/*")).is_ok());
    assert!(grant.http(&request("https://k.peer/a/b")).is_err());
    assert!(grant.exec("x", &["--at=*".to_owned()]).is_ok());
    assert!(grant.exec("x", &["--at=b".to_owned()]).is_err());
}

#[test]
fn connections_handshakes_and_client_certificates() {
    let text = "name = \"x\"\n[inputs]\nv = { default = \"db\" }\n[secrets]\nkey.file = \"/run/secrets/key\"\n\
                [peers]\napi = { url = \"https://api.example\", client_cert = \"certs/us.pem\", client_key = \"key\" }\n\
                [[step]]\nname = \"a\"\nstage = \"verify\"\nallow.tls = [\"api\", \"lb.example:443\"]\n\
                allow.tcp = [\"${inputs.v}.example:5432\", { rule = \"localhost:1\", addresses = [\"127.0.0.1/32\"] }]\n";
    let document = parse(&file(text)).unwrap();
    let chosen = Selection { environment: None, inputs: BTreeMap::new(), ..selection("x") };
    let pipeline = check(&document, &chosen).unwrap().pipeline;
    assert_eq!(
        pipeline.steps[0].grant.lines(),
        [
            r#"allow.tcp = ["db.example:5432"]"#,
            r#"allow.tcp = [{ rule = "localhost:1", addresses = ["127.0.0.1/32"] }]"#,
            r#"allow.tls = ["api"]"#,
            r#"allow.tls = ["lb.example:443"]"#,
        ]
    );
    let client = pipeline.peers["api"].client.as_ref().unwrap();
    assert_eq!((client.certificate.as_path(), client.key.as_str()), (Path::new("/srv/hms/certs/us.pem"), "key"));
    let errors = jsonschema::validator_for(&json_schema()).unwrap();
    let value: Value = toml::from_str(text).unwrap();
    assert_eq!(errors.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_schema_for_editors_takes_the_sample_and_no_slip() {
    let schema = json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = |text: &str| -> Value { toml::from_str(text).unwrap() };
    let errors: Vec<String> = validator.iter_errors(&json(HMS)).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    for slip in [
        "name =|nmae =",
        "timeout = \"60s\"|timout = \"60s\"",
        "allow.sql|allow.sqll",
        "bearer =|baerer =",
        "timeout = \"2h\"|timeout = 7200",
        "undo =|unod =",
        "on = [\"succeeded\"|on = [\"success\"",
        "backup.file|backup.fil",
        "from = \"deploy@|form = \"deploy@",
    ] {
        let (right, wrong) = slip.split_once('|').unwrap();
        assert!(HMS.contains(right), "{right}");
        assert!(!validator.is_valid(&json(&HMS.replacen(right, wrong, 1))), "{wrong}");
    }
}

#[test]
fn the_pipelines_of_the_repository_are_sound() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let source = pipe_pipeline::read(&path).unwrap();
        let document = parse(&source).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
        let value: Value = toml::from_str(&source.text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
        for environment in document.environments() {
            let selection = selection(environment);
            check(&document, &selection).unwrap_or_else(|diagnostics| panic!("{environment}: {diagnostics:#?}"));
        }
        seen += 1;
    }
    assert!(seen > 0);
}
