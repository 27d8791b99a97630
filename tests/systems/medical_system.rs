//! `pipelines/medical-system.toml` against a hospital in one folder: its database, its web service, its Slack.

mod audit;
mod backup;
mod grants;
mod leaks;
mod preview;
mod restored;
mod rollback;
mod success;
mod suggested;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use pipe_tests::{Deployment, Ended, repository};
use serde_json::{Value, json};

use crate::{
    certificates::Authority,
    https::{Https, Request},
    postgres::{Database, Postgres},
    programs,
    secrets::Needles,
    slack::SlackStandIn,
};

/// The file that is run.
const FILE: &str = "medical-system.toml";

/// The tables that the guide asks for.
const TABLES: [&str; 5] = ["appointments", "audit_logs", "medical_professionals", "medical_records", "patients"];

/// A hospital, and everything that a deployment needs in the environment `staging`.
pub(crate) struct Hospital {
    deployment: Deployment,
    database: Arc<Database>,
    service: Https,
    slack: SlackStandIn,
    secrets: BTreeMap<&'static str, String>,
}

impl Hospital {
    /// With an empty database and nothing live.
    pub(crate) fn new() -> Self {
        let server = Postgres::shared();
        let database = Arc::new(server.database());
        let folder = Deployment::new();
        let identity = programs::text(&mut Command::new("age-keygen"));
        let secrets = BTreeMap::from([
            ("database password", server.password.clone()),
            ("backup key", identity.lines().find(|line| line.starts_with("AGE-")).unwrap().to_owned()),
            (
                "Slack path",
                format!("services/T{}/B{}/{}", programs::random(8), programs::random(8), programs::random(24)),
            ),
            ("JWT key", programs::random(48)),
            ("encryption key", format!("{}+/{}=", programs::random(20), programs::random(21))),
        ]);
        let deployment = folder
            .copy_of("pipelines/medical-system", "medical-system")
            .file(FILE, fs::read(repository().join("pipelines").join(FILE)).unwrap())
            .file("medical-system/certs/ca.pem", &Authority::shared().pem)
            .file("medical-system/certs/medical-api.crt", Authority::shared().localhost().certificate)
            .file("medical-system/files/consent/form 1.pdf", vec![b'%'; 200_000])
            .file("medical-system/files/scans/thorax.dcm", programs::random(300_000))
            .secret_file("medical-system/secrets/database-password", format!("{}\n", server.password))
            .secret_file("medical-system/secrets/backup.age", &identity)
            .secret_file("medical-system/secrets/slack-path", format!("{}\n", secrets["Slack path"]))
            .folder("temporary")
            .variable("DATABASE_SSL_MODE", "require")
            .variable("HIPAA_AUDIT_ENABLED", "true")
            .variable("PHI_ENCRYPTION_ENABLED", "true")
            .variable("AUDIT_LOG_RETENTION_DAYS", "2555")
            .variable("JWT_ALGORITHM", "RS256")
            .variable("JWT_PRIVATE_KEY_PATH", "/etc/ssl/private/jwt_private.pem")
            .variable("JWT_PUBLIC_KEY_PATH", "/etc/ssl/certs/jwt_public.pem")
            .variable("SMTP_HOST", "smtp.hospital.com")
            .variable("JWT_SECRET_KEY", &secrets["JWT key"])
            .variable("ENCRYPTION_KEY", &secrets["encryption key"]);
        let temporary = deployment.at("temporary").display().to_string();
        let deployment = deployment.variable("TMPDIR", temporary);
        let service = service(deployment.at("medical-system/live/www/current"), Arc::clone(&database));
        let slack = SlackStandIn::start(&secrets["Slack path"]);
        Self { deployment, database, service, slack, secrets }
    }

    /// The same with version 1.0.0 live, and patients in the database.
    pub(crate) fn with_patients() -> Self {
        let hospital = Self::new();
        let ended = hospital.deploy("1.0.0");
        assert_eq!(ended.code, 0, "{ended}");
        hospital.slack.said();
        hospital.database.sql(
            "INSERT INTO patients (medical_record_number, family_name, given_name, date_of_birth, sex, national_identifier)
                 SELECT 'MRN-' || lpad(n::text, 8, '0'), 'Family ' || n, 'Given ' || n, date '1950-01-01' + n,
                        'unknown', sha256(n::text::bytea) FROM generate_series(1, 2000) AS n;
             INSERT INTO medical_professionals (license_number, family_name, given_name, role, department)
                 SELECT 'L' || n, 'Family ' || n, 'Given ' || n, 'nurse', 'ward' FROM generate_series(1, 20) AS n;
             INSERT INTO appointments (patient_id, professional_id, starts_at, ends_at)
                 SELECT p.id, m.id, timestamptz '2026-12-01', timestamptz '2026-12-02'
                 FROM patients AS p JOIN medical_professionals AS m ON m.license_number = 'L7';
             INSERT INTO audit_logs (actor, action, resource, patient_id, outcome)
                 SELECT 'nurse', 'read', 'record', id, 'success' FROM patients",
        );
        hospital
    }

    /// Prepares the next version: a table more, which the application needs.
    pub(crate) fn next_version(&self) {
        let up = "CREATE TABLE allergies (patient_id uuid NOT NULL REFERENCES patients, substance text NOT NULL);
                  INSERT INTO allergies SELECT id, 'penicillin' FROM patients LIMIT 10;";
        self.migration("006_allergies", up, "DROP TABLE allergies;\n");
        self.needs_tables(&["patients", "allergies"]);
        self.write("medical-system/app/index.html", "<h1>Medical System</h1><p>Now with allergies.</p>\n");
    }

    /// Adds a migration.
    pub(crate) fn migration(&self, name: &str, up: &str, down: &str) {
        self.write(&format!("medical-system/migrations/{name}.up.sql"), up);
        self.write(&format!("medical-system/migrations/{name}.down.sql"), down);
    }

    /// Says which tables the application needs.
    pub(crate) fn needs_tables(&self, tables: &[&str]) {
        let description = json!({ "name": "medical-system", "tables": tables });
        self.write("medical-system/app/app.json", &description.to_string());
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::write(self.deployment.at(path), content).unwrap();
    }

    /// `pipe run` in the environment `staging`.
    #[must_use = "assert something of it"]
    pub(crate) fn deploy(&self, version: &str) -> Ended {
        let arguments = self.arguments(version);
        self.deployment.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The arguments of that.
    pub(crate) fn arguments(&self, version: &str) -> Vec<String> {
        let mut arguments: Vec<String> = ["run", FILE, "--env", "staging"].map(str::to_owned).into();
        for (name, value) in [
            ("version", version.to_owned()),
            ("database_port", self.database.server().port.to_string()),
            ("database", self.database.name.clone()),
            ("api_port", self.service.port.to_string()),
            ("slack_port", self.slack.port().to_string()),
            ("health_interval", "20ms".to_owned()),
        ] {
            arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        arguments
    }

    /// The history for people.
    pub(crate) fn history(&self) -> String {
        fs::read_to_string(self.deployment.at("medical-system/live/history/deployments.md")).unwrap_or_default()
    }

    /// The history for programs.
    pub(crate) fn history_for_programs(&self) -> Vec<Value> {
        let text =
            fs::read_to_string(self.deployment.at("medical-system/live/history/deployments.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every file and link that is served, without the record of the last switch, which is no business of users.
    pub(crate) fn served(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.deployment.at("medical-system/live/www");
        let mut served = BTreeMap::new();
        collect(&root, &root, &mut served);
        served.remove(".pipe-switch.json");
        served
    }

    /// Where the artifacts of all runs are.
    pub(crate) fn artifacts(&self) -> Vec<PathBuf> {
        let mut files = BTreeMap::new();
        let root = self.deployment.at("state/artifacts");
        collect(&root, &root, &mut files);
        files.into_keys().map(|file| root.join(file)).collect()
    }

    pub(crate) fn needles(&self) -> Needles {
        Needles::new(self.secrets.iter().map(|(name, value)| (*name, value.as_str())))
    }
}

/// Files with their content, links with where they point.
fn collect(root: &Path, folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(root).unwrap().display().to_string();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(root, &entry.path(), into);
        } else if kind.is_symlink() {
            into.insert(name, fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes());
        } else {
            into.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

/// The name of the run, out of the last line of its summary.
pub(crate) fn run_of(ended: &Ended) -> String {
    let line =
        ended.stderr.lines().find_map(|line| line.trim().strip_prefix("more")).unwrap_or_else(|| panic!("{ended}"));
    line.split_whitespace().nth(2).unwrap().to_owned()
}

/// The medical system itself: serves what is released, and is healthy where the database has what that needs.
fn service(current: PathBuf, database: Arc<Database>) -> Https {
    Https::start(move |request| {
        let (status, kind, body) = answer(&current, &database, request);
        hyper::Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("x-frame-options", "DENY")
            .header("x-content-type-options", "nosniff")
            .header("x-xss-protection", "1; mode=block")
            .header("strict-transport-security", "max-age=31536000; includeSubDomains")
            .body(body.into())
            .unwrap()
    })
}

fn answer(current: &Path, database: &Database, request: &Request) -> (u16, &'static str, Vec<u8>) {
    let path = request.path.trim_start_matches('/');
    if path == "health" {
        let (status, body) = health(current, database);
        return (status, "application/json", body.to_string().into_bytes());
    }
    match fs::read(current.join(if path.is_empty() { "index.html" } else { path })) {
        Ok(content) if request.method == "GET" => (200, "text/html", content),
        _ => (404, "text/plain", b"not found".to_vec()),
    }
}

fn health(current: &Path, database: &Database) -> (u16, Value) {
    let description =
        fs::read(current.join("app.json")).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let Some(description) = description else {
        return (503, json!({ "status": "unhealthy", "why": "nothing is released" }));
    };
    let version = fs::read_link(current).unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let there = database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    let needed = description["tables"].as_array().unwrap().iter().map(|table| table.as_str().unwrap());
    let missing: Vec<&str> = needed.filter(|table| !there.lines().any(|known| known == *table)).collect();
    match missing.as_slice() {
        [] => (200, json!({ "status": "healthy", "version": version })),
        _ => (503, json!({ "status": "unhealthy", "version": version, "missing": missing })),
    }
}

/// Mode of a file, as people write it.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_file_is_valid_in_every_environment() {
    let file = repository().join("pipelines").join(FILE);
    let ended = Deployment::new().run(&["check", file.to_str().unwrap(), "--set", "version=1.4.0"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stderr, "", "{ended}");
    assert!(ended.stdout.ends_with("checked for staging, production\n"), "{ended}");
}
