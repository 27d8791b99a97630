//! Wrong files: each names its mistake, points at it, and says what would be right.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use pipe_core::diagnostic::{Diagnostic, Severity, SourceFile};
use pipe_pipeline::{Checked, RunFacts, Selection, check, parse};

/// A sound beginning; the case adds to it. Column by column: what is added, the code, the text that is pointed at, a part of
/// the hint.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn selection(environment: Option<&str>, inputs: &[(&str, &str)]) -> Selection {
    Selection {
        environment: environment.map(str::to_owned),
        inputs: inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        previous: BTreeMap::new(),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    }
}

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "/srv/hms/pipeline.toml".into(), text: text.to_owned() })
}

fn checked(text: &str, selection: &Selection) -> Result<Checked, Vec<Diagnostic>> {
    check(&parse(&file(text))?, selection)
}

/// What a diagnostic points at.
fn under(diagnostic: &Diagnostic) -> &str {
    diagnostic.labels.first().map_or("", |label| &label.file.text[label.span.clone()])
}

fn shown(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| format!("  {} at `{}`: {} | {}\n", d.code, under(d), d.message, d.hints.join(" | "));
    diagnostics.iter().map(line).collect()
}

fn assert_refused(text: &str, selection: &Selection, code: &str, place: &str, hint: &str) {
    let diagnostics = checked(text, selection).map(|_| ()).unwrap_err();
    let found = diagnostics.iter().any(|diagnostic| {
        diagnostic.severity == Severity::Error
            && diagnostic.code == code
            && under(diagnostic) == place
            && (hint.is_empty() || diagnostic.hints.iter().any(|line| line.contains(hint)))
    });
    assert!(found, "{text}\nexpected {code} at `{place}` with `{hint}`, found\n{}", shown(&diagnostics));
    // Nothing follows from a mistake but the mistake.
    assert_eq!(diagnostics.len(), 1, "{text}\n{}", shown(&diagnostics));
}

fn assert_all(start: &str, cases: &[Case]) {
    assert!(
        checked(start, &selection(None, &[])).is_ok(),
        "{}",
        shown(&checked(start, &selection(None, &[])).unwrap_err())
    );
    for (added, code, place, hint) in cases {
        assert_refused(&format!("{start}{added}"), &selection(None, &[]), code, place, hint);
    }
}

#[test]
fn shapes() {
    let start = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\n";
    assert_all(
        start,
        &[
            ("timout = \"3s\"", "unknown-key", "timout", "did you mean `timeout`?"),
            ("waves = [{ weight = \"100%\" }]", "conflict", "waves", ""),
            ("without_backup = { role = \"dba\", reason = \"x\" }", "misplaced-key", "without_backup", ""),
            ("[lock]", "missing-key", "[lock]", "lock = { peer"),
            ("[lock]\npeer = \"nobody\"", "unknown-peer", "\"nobody\"", ""),
            (
                "[lock]\npeer = \"app\"\n[peers]\napp = { url = \"sqlite:app.db\" }",
                "wrong-peer",
                "\"app\"",
                "postgres://user@host/database",
            ),
            ("[lock]\npear = \"x\"", "unknown-key", "pear", "did you mean `peer`?"),
            ("backup_max_age = \"1h\"", "misplaced-key", "backup_max_age", ""),
            ("in_flight = \"rtry\"", "bad-value", "\"rtry\"", "did you mean `retry`?"),
            ("allow.udp = []", "unknown-key", "udp", ""),
            ("[watch]\nevery = \"60s\"\nchecks = [\"c\"]", "missing-key", "[watch]", "for = \"24h\""),
            ("[watch]\nfor = 24\nevery = \"60s\"\nchecks = [\"c\"]", "bad-unit", "24", "for = \"24s\""),
            ("[retention]", "missing-key", "[retention]", "artifacts = \"90d\""),
            ("[retention]\nartifacts = 90", "bad-unit", "90", "artifacts = \"90s\""),
            ("[retention]\nartifacts = \"1h\"", "bad-value", "\"1h\"", "at least a day"),
            ("[retention]\nartifacts = \"90d\"\nkeep_min = 0", "bad-value", "0", "the last verified backup"),
            ("[retention]\nartifacts = \"90d\"\nkeep_min = -1", "bad-value", "-1", ""),
            ("[retention]\nartefacts = \"90d\"", "unknown-key", "artefacts", "did you mean `artifacts`?"),
            ("allow.htpp = []", "unknown-key", "htpp", "did you mean `http`?"),
            ("allow.http = \"GET a:/\"", "wrong-type", "\"GET a:/\"", "[\"GET a:/\"]"),
            ("allow = []", "wrong-type", "[]", ""),
            ("timeout = 300", "bad-unit", "300", "timeout = \"300s\""),
            ("timeout = \"300\"", "bad-unit", "\"300\"", "timeout = \"300s\""),
            ("timeout = \"3 parsecs\"", "bad-unit", "\"3 parsecs\"", "`ms`, `s`, `m`"),
            ("timeout = \"0s\"", "bad-value", "\"0s\"", ""),
            ("timeout = \"52w\"", "bad-value", "\"52w\"", ""),
            ("retry = { attempts = 0 }", "bad-value", "0", ""),
            ("retry = { backoff = \"1s\" }", "missing-key", "{ backoff = \"1s\" }", "attempts = 3"),
            ("irreversible = \"yes\"", "wrong-type", "\"yes\"", ""),
            ("with = 3", "wrong-type", "3", ""),
            ("with.at = 2026-11-23", "wrong-type", "2026-11-23", "\"2026-11-23\""),
            ("with.max = inf", "bad-value", "inf", ""),
            ("with.\"${inputs.x}\" = 1", "reference-not-here", "\"${inputs.x}\"", ""),
            ("[[step]]\nname = \"a\"\nstage = \"verify\"", "duplicate-name", "\"a\"", ""),
            ("[[step]]\nname = \"a[b]\"\nstage = \"verify\"", "bad-name", "\"a[b]\"", ""),
            ("[[step]]\nname = \"b\"", "missing-key", "[[step]]", "stage"),
            ("[[step]]\nname = \"b\"\nstage = \"verfiy\"", "unknown-stage", "\"verfiy\"", "did you mean `verify`?"),
            ("[[step]]\nstage = \"verify\"", "missing-key", "[[step]]", "name"),
            ("[[step]]\nname = \"b\"\ncheck = \"c\"\nwith = {}\n[[check]]\nname = \"c\"", "conflict", "with", ""),
            ("[[notify]]\non = [\"suceeded\"]", "unknown-event", "\"suceeded\"", "did you mean `succeeded`?"),
            ("[[notify]]\non = []", "bad-value", "[]", ""),
            ("[[notify]]", "missing-key", "[[notify]]", "on = "),
            ("[[rollback]]\nundo = \"a\"\nname = \"b\"", "conflict", "name", ""),
            ("[[rollback]]\ncontinue = true\nname = \"b\"\nstage = \"verify\"", "conflict", "continue", ""),
            ("[sets.s]\nAPI = \"x\"\n", "bad-name", "API", "lower-case"),
            ("[sets.s]", "bad-value", "s", ""),
            ("[inputs]\nv = { pattern = '(' }", "bad-value", "'('", ""),
            ("[inputs]\nv = { pattern = '(?=a)' }", "bad-value", "'(?=a)'", "look-around"),
            ("[inputs]\nv = { pattern = '[0-9]+', default = \"1a\" }", "input-pattern", "\"1a\"", ""),
            ("[inputs]\nv = \"1\"", "wrong-type", "\"1\"", ""),
            ("[plugins]\nv = { path = \"v.wasm\", sha256 = \"abc\" }", "bad-value", "\"abc\"", "64"),
            ("[plugins]\nv = {}", "missing-key", "{}", "path"),
            ("[secrets]\ns = {}", "missing-key", "s", "s.env"),
            ("[secrets]\ns = { env = \"A\", file = \"b\" }", "conflict", "file", ""),
            ("[secrets]\ns.evn = \"A\"", "unknown-key", "evn", "did you mean `env`?"),
            ("[env.production]", "unknown-environment", "production", ""),
            ("limits.memory = 256", "bad-unit", "256", "`memory = \"256MiB\"`"),
            ("limits.bytes_in = \"5TB\"", "bad-value", "\"5TB\"", ""),
            ("limits.bytes_out = \"0B\"", "bad-value", "\"0B\"", ""),
            ("limits.artifact = \"1\"", "bad-unit", "\"1\"", "GiB"),
            ("limits.handles = \"5\"", "wrong-type", "\"5\"", ""),
            ("limits.handles = 0", "bad-value", "0", ""),
            ("limits.log_lines = 10_001", "bad-value", "10_001", ""),
            ("limits.sockets = 5", "unknown-key", "sockets", ""),
            ("[limits]\ntables = -1", "bad-value", "-1", ""),
            ("name = \"a\"", "syntax", "name", "a key stands once"),
        ],
    );
}

#[test]
fn the_top_of_a_file() {
    let none = selection(None, &[]);
    assert_refused("[[step]]\nname = \"a\"\nstage = \"verify\"", &none, "missing-key", "", "name = ");
    assert_refused(
        "name = \"a/b\"\n[[step]]\nname = \"a\"\nstage = \"verify\"",
        &none,
        "bad-name",
        "\"a/b\"",
        "directories",
    );
    assert_refused("name = \"a\"", &none, "missing-key", "", "[[step]]");
    assert_refused("name = \n", &none, "syntax", "", "");
    assert_refused(
        "nmae = \"x\"\nname = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"",
        &none,
        "unknown-key",
        "nmae",
        "`name`",
    );
}

#[test]
fn waves_and_guards() {
    let start = "name = \"x\"\n[[check]]\nname = \"errors\"\n[[check]]\nname = \"slow\"\n\
                 [[step]]\nname = \"look\"\ncheck = \"slow\"\n[[step]]\nname = \"seen\"\ncheck = \"errors\"\n\
                 [[step]]\nname = \"a\"\nstage = \"release\"\n";
    assert_all(
        start,
        &[
            ("waves = []", "bad-value", "[]", "weight = \"10%\""),
            ("waves = [{ weight = 10 }]", "bad-unit", "10", "\"10%\""),
            ("waves = [{ weight = \"10\" }]", "bad-unit", "\"10\"", "`\"10%\"`"),
            ("waves = [{ weight = \"101%\" }]", "bad-value", "\"101%\"", ""),
            ("waves = [{ weight = \"0.001%\" }]", "bad-value", "\"0.001%\"", ""),
            ("waves = [{ hold = \"1s\" }]", "missing-key", "{ hold = \"1s\" }", "weight = \"10%\""),
            ("waves = [{ weight = \"100%\", hold = 300 }]", "bad-unit", "300", "hold = \"300s\""),
            ("waves = [{ weight = \"50%\" }]", "bad-value", "\"50%\"", "100%"),
            ("waves = [{ weight = \"50%\" }, { weight = \"50%\" }, { weight = \"100%\" }]", "bad-value", "\"50%\"", ""),
            ("guard = { checks = [\"errors\"], every = \"10s\" }", "conflict", "guard", ""),
        ],
    );
    let start = format!("{start}waves = [{{ weight = \"100%\", hold = \"300s\" }}]\n");
    assert_all(
        &start,
        &[
            ("guard = { checks = [\"errors\"] }", "missing-key", "{ checks = [\"errors\"] }", "every = \"10s\""),
            ("guard = { checks = [\"errors\"], every = 10 }", "bad-unit", "10", "every = \"10s\""),
            ("guard = { checks = [], every = \"10s\" }", "bad-value", "[]", ""),
            (
                "guard = { checks = [\"error\"], every = \"10s\" }",
                "unknown-check",
                "\"error\"",
                "did you mean `errors`?",
            ),
            ("guard = { checks = [\"errors\", \"errors\"], every = \"10s\" }", "duplicate-name", "\"errors\"", ""),
            (
                "guard = { checks = [\"errors\"], every = \"10s\", breach = \"rolback\" }",
                "bad-value",
                "\"rolback\"",
                "did you mean `rollback`?",
            ),
            (
                "guard = { checks = [{ breach = \"ask\" }], every = \"10s\" }",
                "missing-key",
                "{ breach = \"ask\" }",
                "check = ",
            ),
            (
                "guard = { checks = [\"look\"], every = \"10s\" }\n[[check]]\nname = \"look\"\n\
                 [[step]]\nname = \"z\"\ncheck = \"look\"",
                "duplicate-name",
                "\"look\"",
                "name",
            ),
        ],
    );
    let checked = checked(
        &format!(
            "{start}guard = {{ checks = [\"errors\", {{ check = \"slow\", breach = \"ask\" }}], every = \"10s\" }}\n\
             [watch]\nfor = \"24h\"\nevery = \"60s\"\nchecks = [\"errors\"]\nbreach = \"ask\"\n"
        ),
        &selection(None, &[]),
    );
    let pipeline = checked.unwrap_or_else(|errors| panic!("{}", shown(&errors))).pipeline;
    let names: Vec<String> = pipeline.checks.iter().map(|check| check.id.to_string()).collect();
    assert_eq!(names, ["errors", "slow"], "each once, however many guards make it");
    assert_eq!(pipeline.calls().count(), 5);
    assert_eq!(pipeline.checks[0].timeout.as_secs(), 30, "nobody waits ten minutes for it");
}

#[test]
fn many_mistakes_are_reported_at_once_and_in_order() {
    let text = "nmae = 1\nname = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verfy\"\ntimeout = 3\nretry = { attempts = 0 }\n\
                allow.http = [3]\n[[step]]\nname = \"b\"\nstage = \"verify\"\n\
                allow.exec = [{ program = \"x\", argv = [], user = \"y\" }]\n[peers]\np = { ulr = \"x\" }\n";
    let diagnostics = parse(&file(text)).unwrap_err();
    let codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(
        codes,
        ["unknown-key", "unknown-stage", "bad-unit", "bad-value", "wrong-type", "not-yet", "unknown-key"],
        "{}",
        shown(&diagnostics)
    );
    let text = "a = 1.2.3\nb = \nc = 'x\nd = 1\n";
    assert!(parse(&file(text)).unwrap_err().len() >= 3);
}

#[test]
fn references() {
    let start = "name = \"x\"\n[inputs]\nversion = { default = \"1.2\" }\nslash = { default = \"a/b\" }\n\
                 dash = { default = \"-rf\" }\nnone = { default = \"\" }\n\
                 [sets]\ns.one = \"1\"\nt.one = \"1\"\n[peers]\nk8s = { url = \"https://kube.example\" }\n\
                 [[step]]\nname = \"a\"\nstage = \"release\"\nfor_each = { in = \"s\" }\n\
                 [[step]]\nname = \"b\"\nstage = \"verify\"\n";
    assert_all(
        start,
        &[
            ("with.x = \"v${inputs.verison}\"", "unknown-reference", "${inputs.verison}", "did you mean `version`?"),
            ("with.x = \"${input.version}\"", "unknown-reference", "${input.version}", "did you mean `inputs`?"),
            ("with.x = \"${run.idd}\"", "unknown-reference", "${run.idd}", "did you mean `id`?"),
            ("with.x = \"${steps.b}\"", "unknown-reference", "${steps.b}", "outputs"),
            ("with.x = \"${each.key}\"", "unknown-reference", "${each.key}", "for_each"),
            ("with.x = \"${run.outcome}\"", "unknown-reference", "${run.outcome}", ""),
            ("with.x = \"${inputs.version\"", "reference-syntax", "\"${inputs.version\"", "$${"),
            ("with.x = \"${}\"", "reference-syntax", "${}", ""),
            ("with.x = \"${inputs. version}\"", "reference-syntax", "${inputs. version}", ""),
            ("with.x = '${steps.\"c\".outputs.x}'", "unknown-reference", "${steps.\"c\".outputs.x}", ""),
            ("with.x = '${steps.\"b\".outputs.x}'", "later-step", "${steps.\"b\".outputs.x}", "above"),
            ("with.x = '${steps.\"a\".outputs.x}'", "repeated-step", "${steps.\"a\".outputs.x}", "in = \"s\""),
            (
                "for_each = { in = \"t\" }\nwith.x = '${steps.a.outputs.x}'",
                "repeated-step",
                "${steps.a.outputs.x}",
                "in = \"s\"",
            ),
            ("for_each = { in = \"u\" }", "unknown-set", "\"u\"", "`s`, `t`"),
            ("for_each = { in = \"s\", at_once = 0 }", "bad-value", "0", ""),
            (
                "with.x = \"${previous.inputs.version}\"",
                "missing-previous",
                "${previous.inputs.version}",
                "--previous version=",
            ),
            ("with.x = \"${previous.inputs.nope}\"", "unknown-reference", "${previous.inputs.nope}", ""),
            ("allow.read = [\"a/${steps.a.outputs.x}\"]", "grant-reference", "${steps.a.outputs.x}", ""),
            ("allow.read = [\"a/${previous.inputs.version}\"]", "grant-reference", "${previous.inputs.version}", ""),
            ("allow.read = [\"a/${inputs.slash}\"]", "reference-value", "${inputs.slash}", ""),
            ("allow.read = [\"a/${inputs.none}\"]", "reference-value", "${inputs.none}", ""),
            ("allow.http = [\"GET k8s:/${inputs.slash}\"]", "reference-value", "${inputs.slash}", ""),
            ("allow.http = [\"${inputs.version} k8s:/\"]", "reference-not-here", "${inputs.version}", ""),
            (
                "allow.exec = [{ program = \"x\", argv = [\"${inputs.dash}\"] }]",
                "reference-value",
                "${inputs.dash}",
                "",
            ),
            ("timeout = \"${inputs.version}\"", "bad-unit", "\"${inputs.version}\"", ""),
            ("[secrets]\nx.file = \"/run/${steps.a.outputs.x}\"", "grant-reference", "${steps.a.outputs.x}", ""),
        ],
    );
}

#[test]
fn grants() {
    let start = "name = \"x\"\n[secrets]\ndb.env = \"DB_PASSWORD\"\nk8s.file = \"/run/secrets/k8s\"\n[peers]\n\
                 main = { url = \"postgres://u@db.example/d\", password = \"db\" }\nk8s = { url = \"https://kube.example\" }\n\
                 smtp = { url = \"smtp://u@mail.example\", password = \"db\" }\n[inputs]\nwho = { default = \"*\" }\n\
                 [[step]]\nname = \"a\"\nstage = \"backup\"\n[[step]]\nname = \"b\"\nstage = \"verify\"\n";
    assert_all(
        start,
        &[
            ("allow.http = [\"GET k9s:/x\"]", "unknown-peer", "\"GET k9s:/x\"", "did you mean `k8s`?"),
            ("allow.http = [\"GTE k8s:/x\"]", "bad-rule", "GTE", ""),
            ("allow.http = [\"GET main:/x\"]", "peer-kind", "\"GET main:/x\"", "allow.sql"),
            (
                "allow.http = [{ rule = \"GET https://x.example/\", addresses = [\"10.0.0.1\"] }]",
                "bad-value",
                "\"10.0.0.1\"",
                "10.0.0.1/32",
            ),
            ("allow.http = [{ rule = \"GET k8s:/\", adresses = [] }]", "unknown-key", "adresses", "`addresses`"),
            (
                "allow.http = [\"GET https://10.0.0.1/\"]",
                "private-address",
                "\"GET https://10.0.0.1/\"",
                "addresses = [\"10.0.0.1/32\"]",
            ),
            ("allow.tcp = [\"db.example\"]", "bad-rule", "db.example", "as in `db.example:5432`"),
            ("allow.tcp = [\"tcp://db.example:1\"]", "bad-rule", "tcp://", "`db.example:1`"),
            ("allow.tcp = [\"*.example:1\"]", "bad-rule", "*.example:1", "a rule for each host"),
            ("allow.tcp = [\"2130706433:1\"]", "bad-rule", "2130706433", "`127.0.0.1`"),
            ("allow.tcp = [\"db.example:1\", 5]", "wrong-type", "5", "\"5\""),
            (
                "allow.tcp = [\"10.0.0.1:5432\"]",
                "private-address",
                "\"10.0.0.1:5432\"",
                "{ rule = \"10.0.0.1:5432\", addresses = [\"10.0.0.1/32\"] }",
            ),
            ("allow.tcp = [\"LOCALHOST.:1\"]", "private-address", "\"LOCALHOST.:1\"", "127.0.0.1/32"),
            (
                "allow.tcp = [{ rule = \"10.0.0.1:1\", addresses = [\"192.168.0.0/16\"] }]",
                "private-address",
                "\"10.0.0.1:1\"",
                "",
            ),
            ("allow.tls = [\"k9s\"]", "unknown-peer", "\"k9s\"", "did you mean `k8s`?"),
            ("allow.tls = [\"main\"]", "peer-kind", "\"main\"", "an `https` peer"),
            ("allow.tls = [\"api.example\"]", "bad-rule", "api.example", "`api.example:443`"),
            ("allow.tls = [\"127.0.0.1:443\"]", "private-address", "\"127.0.0.1:443\"", "127.0.0.1/32"),
            (
                "allow.tls = [{ rule = \"k8s\", addresses = [\"10.0.0.0/8\"] }]",
                "bad-rule",
                "\"k8s\"",
                "`addresses` of `k8s`",
            ),
            ("allow.sql = [\"read k8s\"]", "peer-kind", "\"read k8s\"", "allow.http"),
            ("allow.sql = [\"raed main\"]", "bad-rule", "raed", ""),
            ("allow.sql = [\"write mian\"]", "unknown-peer", "\"write mian\"", "did you mean `main`?"),
            ("allow.http = [\"GET smtp:/x\"]", "peer-kind", "\"GET smtp:/x\"", "allow.mail"),
            ("allow.sql = [\"read smtp\"]", "peer-kind", "\"read smtp\"", "allow.mail"),
            ("allow.exec = [{ program = \"x\", argv = [], peer = \"smtp\" }]", "peer-kind", "\"smtp\"", "allow.mail"),
            ("allow.mail = [\"ops@x\"]", "wrong-type", "\"ops@x\"", ""),
            (
                "allow.mail = [{ peer = \"smtp\", from = \"a@x\" }]",
                "missing-key",
                "{ peer = \"smtp\", from = \"a@x\" }",
                "to = [",
            ),
            (
                "allow.mail = [{ peer = \"main\", from = \"a@x\", to = [\"b@x\"] }]",
                "peer-kind",
                "\"main\"",
                "allow.sql",
            ),
            (
                "allow.mail = [{ peer = \"smpt\", from = \"a@x\", to = [\"b@x\"] }]",
                "unknown-peer",
                "\"smpt\"",
                "did you mean `smtp`?",
            ),
            ("allow.mail = [{ peer = \"SMTP\", from = \"a@x\", to = [\"b@x\"] }]", "bad-rule", "\"SMTP\"", "`smtp`"),
            ("allow.mail = [{ peer = \"smtp\", from = \"*@x\", to = [\"b@x\"] }]", "bad-rule", "*", "without quotes"),
            (
                "allow.mail = [{ peer = \"smtp\", from = \"a@x\", to = [\"ops-*@x\"] }]",
                "bad-rule",
                "*",
                "*@hospital.example",
            ),
            (
                "allow.mail = [{ peer = \"smtp\", from = \"a@x\", to = [] }]",
                "bad-rule",
                "{ peer = \"smtp\", from = \"a@x\", to = [] }",
                "to = [",
            ),
            (
                "allow.mail = [{ peer = \"smtp\", from = \"a@x\", to = [\"b@x\"], subject = \"x\" }]",
                "unknown-key",
                "subject",
                "",
            ),
            (
                "allow.mail = [{ peer = \"smtp\", from = \"a@x\", to = [\"${inputs.who}@x\"] }]",
                "reference-value",
                "${inputs.who}",
                "",
            ),
            ("allow.reveal = [\"nope\"]", "unknown-secret", "\"nope\"", "`db`, `k8s`"),
            ("allow.reveal = [\"*\"]", "bad-rule", "*", "one by one"),
            ("allow.env = [\"DB_PASSWORD\"]", "reveals-secret", "\"DB_PASSWORD\"", "allow.secrets"),
            ("allow.env = [\"DB_*\"]", "bad-rule", "*", ""),
            ("allow.read = [\"/run/secrets\"]", "reveals-secret", "\"/run/secrets\"", "allow.secrets"),
            ("allow.read = [\"/run/../run/secrets/k8s\"]", "reveals-secret", "\"/run/../run/secrets/k8s\"", ""),
            ("allow.write = [\"/\"]", "reveals-secret", "\"/\"", ""),
            ("allow.read = [\"\"]", "bad-rule", "\"\"", ""),
            (
                "allow.secrets = [{ name = \"dbb\", to = \"k8s\", header = \"X\" }]",
                "unknown-secret",
                "\"dbb\"",
                "did you mean `db`?",
            ),
            ("allow.secrets = [{ name = \"db\", to = \"k8\", header = \"X\" }]", "unknown-peer", "\"k8\"", "`k8s`"),
            ("allow.secrets = [{ name = \"db\", to = \"k8s\", header = \"Host\" }]", "bad-rule", "\"Host\"", ""),
            ("allow.secrets = [{ name = \"db\" }]", "missing-key", "{ name = \"db\" }", "to = "),
            ("allow.exec = [\"pg_dump -F c\"]", "wrong-type", "\"pg_dump -F c\"", "argv = [\"-F\", \"c\"]"),
            ("allow.exec = [{ program = \"x\" }]", "missing-key", "{ program = \"x\" }", "argv = []"),
            ("allow.exec = [{ program = \"a/b\", argv = [] }]", "bad-rule", "\"a/b\"", ""),
            ("allow.exec = [{ program = \"x\", argv = [], user = \"root\" }]", "not-yet", "user", ""),
            ("allow.exec = [{ program = \"x\", argv = [], ports = [70000] }]", "bad-value", "70000", "65535"),
            ("allow.exec = [{ program = \"x\", argv = [], ports = [\"443\"] }]", "wrong-type", "\"443\"", ""),
            (
                "allow.exec = [{ program = \"x\", argv = [], ports = [0] }]",
                "bad-rule",
                "{ program = \"x\", argv = [], ports = [0] }",
                "",
            ),
            ("allow.exec = [{ program = \"x\", argv = [], memory = 512 }]", "bad-unit", "512", "512MiB"),
            (
                "allow.exec = [{ program = \"x\", argv = [], memory = \"1MiB\" }]",
                "bad-rule",
                "{ program = \"x\", argv = [], memory = \"1MiB\" }",
                "",
            ),
            ("allow.exec = [{ program = \"x\", argv = [], cpu = 10 }]", "bad-unit", "10", "10s"),
            ("allow.exec = [{ program = \"x\", argv = [], open_files = -1 }]", "bad-value", "-1", ""),
            ("allow.exec = [{ program = \"x\", argv = [], read = [\"\"] }]", "bad-rule", "\"\"", ""),
            (
                "allow.exec = [{ program = \"x\", argv = [], read = [\"/run/secrets\"] }]",
                "reveals-secret",
                "\"/run/secrets\"",
                "",
            ),
            (
                "allow.exec = [{ program = \"x\", argv = [], cwd = \"/run/secrets\" }]",
                "reveals-secret",
                "\"/run/secrets\"",
                "",
            ),
            (
                "allow.exec = [{ program = \"x\", argv = [], secret_file = { A = \"nope\" } }]",
                "unknown-secret",
                "\"nope\"",
                "",
            ),
            (
                "allow.exec = [{ program = \"x\", argv = [], secret_env = { A = \"nope\" } }]",
                "unknown-secret",
                "\"nope\"",
                "",
            ),
            (
                "allow.exec = [{ program = \"x\", argv = [\"--password=hunter2\"] }]",
                "secret-in-file",
                "\"--password=hunter2\"",
                "[secrets]",
            ),
            ("allow.artifacts = [\"read c\"]", "unknown-step", "\"read c\"", "`a`"),
            ("allow.artifacts = [\"read b\"]", "later-step", "\"read b\"", ""),
            ("with.key = \"AGE-SECRET-KEY-1QQQ\"", "secret-in-file", "\"AGE-SECRET-KEY-1QQQ\"", "[secrets]"),
            ("with.url = \"https://u:hunter2@x.example/\"", "secret-in-file", "\"https://u:hunter2@x.example/\"", ""),
            ("plugin = \"std:verfy\"", "unknown-plugin", "\"std:verfy\"", "did you mean `std:verify`?"),
            ("plugin = \"std:backup\"", "wrong-stage", "\"std:backup\"", "std:verify"),
            ("plugin = \"acme\"", "unknown-plugin", "\"acme\"", ""),
            ("[[step]]\nname = \"c\"\ncheck = \"nope\"", "unknown-check", "\"nope\"", ""),
            ("[[rollback]]\nundo = \"c\"", "unknown-step", "\"c\"", "`a`"),
        ],
    );
}

#[test]
fn the_source_of_a_secret_is_granted_with_the_secret_alone() {
    let start = "name = \"x\"\n[secrets]\ndb.env = \"DB_PASSWORD\"\nk8s.file = \"/run/secrets/k8s\"\n\
                 [[step]]\nname = \"a\"\nstage = \"verify\"\n";
    let found = |allow: &str| match checked(&format!("{start}{allow}"), &selection(None, &[])) {
        Ok(checked) => (true, checked.warnings),
        Err(diagnostics) => (false, diagnostics),
    };
    for (allow, revealed) in [
        ("allow.reveal = [\"db\"]\nallow.env = [\"DB_PASSWORD\"]", &["\"db\""][..]),
        ("allow.read = [\"/run/secrets/\"]\nallow.reveal = [\"k8s\"]", &["\"k8s\""]),
        (
            "allow.reveal = [\"k8s\", \"db\"]\nallow.write = [\"/\"]\nallow.env = [\"DB_PASSWORD\"]",
            &["\"k8s\"", "\"db\""],
        ),
    ] {
        let (sound, warnings) = found(allow);
        assert!(sound, "{}", shown(&warnings));
        assert!(warnings.iter().all(|warning| warning.code == "plaintext-secret"), "{}", shown(&warnings));
        assert_eq!(warnings.iter().map(under).collect::<Vec<_>>(), revealed);
    }
    for (allow, place, line) in [
        ("allow.reveal = [\"k8s\"]\nallow.env = [\"DB_PASSWORD\"]", "\"DB_PASSWORD\"", "allow.reveal = [\"db\"]"),
        ("allow.reveal = [\"db\"]\nallow.write = [\"/run\"]", "\"/run\"", "allow.reveal = [\"k8s\"]"),
    ] {
        let (sound, diagnostics) = found(allow);
        let refused = diagnostics.iter().find(|diagnostic| diagnostic.code == "reveals-secret").unwrap();
        assert!(!sound && under(refused) == place, "{}", shown(&diagnostics));
        assert!(refused.hints.iter().any(|hint| hint.contains(line)), "{}", shown(&diagnostics));
    }
}

#[test]
fn peers() {
    let start = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\n[secrets]\ntoken.env = \"TOKEN\"\n[peers]\n";
    assert_all(
        start,
        &[
            (
                "p = { url = \"postgres://u:hunter2@db.example/d\" }",
                "password-in-url",
                "\"postgres://u:hunter2@db.example/d\"",
                "[secrets]",
            ),
            (
                "p = { url = \"postgresql://u@db.example/d\" }",
                "bad-peer",
                "\"postgresql://u@db.example/d\"",
                "`postgres`",
            ),
            ("p = { url = \"redis://x.example\" }", "bad-peer", "\"redis://x.example\"", ""),
            ("p = { url = \"kube.example\" }", "bad-peer", "\"kube.example\"", "https://"),
            ("p = { url = \"https://x.example/api\" }", "bad-peer", "\"https://x.example/api\"", "GET peer:/path"),
            ("p = { url = \"https://x.example/?a=b\" }", "bad-peer", "\"https://x.example/?a=b\"", ""),
            (
                "p = { url = \"postgres://db.example\" }",
                "bad-peer",
                "\"postgres://db.example\"",
                "postgres://user@host",
            ),
            ("p = { url = \"sqlite:\" }", "bad-peer", "\"sqlite:\"", "sqlite:data"),
            ("p = { url = \"sqlite::memory:\" }", "bad-peer", "\"sqlite::memory:\"", ""),
            ("p = { bearer = \"token\" }", "missing-key", "{ bearer = \"token\" }", "url"),
            (
                "p = { url = \"https://x.example\", bearer = \"tokne\" }",
                "unknown-secret",
                "\"tokne\"",
                "did you mean `token`?",
            ),
            ("p = { url = \"https://x.example\", password = \"token\" }", "conflict", "\"token\"", ""),
            ("p = { url = \"https://x.example\", tls = \"disable\" }", "conflict", "\"disable\"", ""),
            ("p = { url = \"https://x.example\", tls = \"verify\" }", "bad-value", "\"verify\"", ""),
            (
                "p = { url = \"postgres://u@db.example/d\", tls = \"disable\" }",
                "plaintext",
                "\"disable\"",
                "this machine",
            ),
            ("p = { url = \"http://x.example\" }", "plaintext", "\"http://x.example\"", "addresses"),
            (
                "p = { url = \"http://x.example\", addresses = [\"10.0.0.0/8\"], bearer = \"token\" }",
                "plaintext",
                "\"http://x.example\"",
                "",
            ),
            (
                "p = { url = \"http://127.0.0.1:9090\" }",
                "private-address",
                "\"http://127.0.0.1:9090\"",
                "addresses = [\"127.0.0.1/32\"]",
            ),
            ("p = { url = \"https://localhost\" }", "private-address", "\"https://localhost\"", "127.0.0.1/32"),
            ("p = { url = \"https://169.254.169.254\" }", "private-address", "\"https://169.254.169.254\"", ""),
            (
                "p = { url = \"https://x.example\", addresses = [\"10.0.0.0\"] }",
                "bad-value",
                "\"10.0.0.0\"",
                "10.0.0.0/32",
            ),
            ("p = { url = \"https://x.example\", client_cert = \"a.pem\" }", "missing-key", "\"a.pem\"", "client_key"),
            ("p = { url = \"https://x.example\", client_key = \"token\" }", "missing-key", "\"token\"", "client_cert"),
            (
                "p = { url = \"https://x.example\", client_cert = \"a.pem\", client_key = \"tokne\" }",
                "unknown-secret",
                "\"tokne\"",
                "did you mean `token`?",
            ),
            (
                "p = { url = \"http://127.0.0.1\", addresses = [\"127.0.0.1/32\"], client_cert = \"a.pem\", client_key = \"token\" }",
                "conflict",
                "\"a.pem\"",
                "",
            ),
            (
                "p = { url = \"sqlite:a.db\", client_cert = \"a.pem\", client_key = \"token\" }",
                "conflict",
                "\"a.pem\"",
                "",
            ),
            (
                "p = { url = \"smtp://u:hunter2@x.example\" }",
                "password-in-url",
                "\"smtp://u:hunter2@x.example\"",
                "[secrets]",
            ),
            ("p = { url = \"smtp://u@x.example\" }", "missing-key", "\"smtp://u@x.example\"", "password = "),
            ("p = { url = \"smtp://x.example\", password = \"token\" }", "conflict", "\"token\"", ""),
            ("p = { url = \"smtp://x.example\", bearer = \"token\" }", "conflict", "\"token\"", ""),
            ("p = { url = \"smtps://x.example\", tls = \"disable\" }", "conflict", "\"disable\"", ""),
            ("p = { url = \"smtp://x.example\", tls = \"disable\" }", "plaintext", "\"disable\"", "this machine"),
            (
                "p = { url = \"smtp://x.example\", tls = \"disable\", addresses = [\"10.0.0.0/8\"] }",
                "plaintext",
                "\"disable\"",
                "",
            ),
            (
                "p = { url = \"smtp://x.example/inbox\" }",
                "bad-peer",
                "\"smtp://x.example/inbox\"",
                "smtp://user@host:587",
            ),
            ("p = { url = \"smtp:x.example\" }", "bad-peer", "\"smtp:x.example\"", ""),
            ("p = { url = \"smtps://127.0.0.1\" }", "private-address", "\"smtps://127.0.0.1\"", "127.0.0.1/32"),
            ("p = { url = \"mailto:a@x.example\" }", "bad-peer", "\"mailto:a@x.example\"", ""),
            ("P = { url = \"https://x.example\" }", "bad-name", "P", "`p`"),
            ("artifacts = { url = \"https://x.example\" }", "bad-name", "artifacts", ""),
            ("p = { url = \"https://x.example\", ul = 1 }", "unknown-key", "ul", "`url`"),
        ],
    );
}

#[test]
fn environments_and_inputs() {
    let text = "name = \"x\"\nenvironments = [\"staging\", \"production\"]\n[inputs]\n\
                version = { pattern = '\\d+\\.\\d+' }\n[[step]]\nname = \"a\"\nstage = \"verify\"\n";
    let given = [("version", "1.2")];
    assert!(checked(text, &selection(Some("staging"), &given)).is_ok());
    let cases = [
        (selection(None, &given), "missing-environment", "", "--env staging"),
        (selection(Some("prodution"), &given), "unknown-environment", "", "did you mean `production`?"),
        (selection(Some("staging"), &[]), "missing-input", "version", "--set version="),
        (selection(Some("staging"), &[("version", "1.2; rm")]), "input-pattern", "'\\d+\\.\\d+'", ""),
        (
            selection(Some("staging"), &[("version", "1.2"), ("verison", "1")]),
            "unknown-input",
            "",
            "did you mean `version`?",
        ),
    ];
    for (selection, code, place, hint) in cases {
        assert_refused(text, &selection, code, place, hint);
    }
    let wrong = format!("{text}[env.staging]\nstep = []\n");
    assert_refused(&wrong, &selection(Some("staging"), &given), "conflict", "step", "the same in every environment");
    let wrong = format!("{text}[env.staging.roles]\nlead.signer = \"x\"\n");
    assert_refused(&wrong, &selection(Some("staging"), &given), "unknown-key", "signer", "`signers`");
    let wrong = format!("{text}[env.staging]\npears = {{}}\n");
    assert_refused(&wrong, &selection(Some("staging"), &given), "unknown-key", "pears", "`peers`");
}

#[test]
fn what_is_too_large_is_refused_and_not_built() {
    let start = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\n";
    let none = selection(None, &[]);
    let deep = format!("{start}with.x = {}1{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(parse(&file(&deep)).unwrap_err()[0].code, "too-large");
    let many = format!("{start}with.x = [{}]", "1,".repeat(20_000));
    assert_eq!(parse(&file(&many)).unwrap_err()[0].code, "too-large");
    let long = format!("{start}with.x = \"{}\"", "y".repeat(70_000));
    assert_eq!(parse(&file(&long)).unwrap_err()[0].code, "too-large");

    // Ten thousand entries times a step of half a mebibyte.
    let set: String = (0..10_000).map(|index| format!("k{index} = \"v\"\n")).collect();
    let value = format!("\"{}\",", "z".repeat(50_000)).repeat(10);
    let bomb = format!("{start}for_each = {{ in = \"s\" }}\nwith.x = [{value}]\n[sets.s]\n{set}");
    assert!(bomb.len() < 1 << 20);
    assert_eq!(checked(&bomb, &none).map(|_| ()).unwrap_err()[0].code, "too-large");

    let names: String = (0..40).map(|index| format!("\"e{index}\",")).collect();
    assert_eq!(parse(&file(&format!("environments = [{names}]\n{start}"))).unwrap_err()[0].code, "too-large");

    let set: String = (0..10_001).map(|index| format!("k{index} = \"v\"\n")).collect();
    assert_eq!(parse(&file(&format!("{start}[sets.s]\n{set}"))).unwrap_err()[0].code, "too-large");
}

#[test]
fn gates() {
    let start = "name = \"x\"\n[roles]\nlead.signers = \"lead\"\n[[step]]\nname = \"a\"\nstage = \"release\"\n\
                 [[step]]\nname = \"go\"\ngate = { role = \"lead\" }\n";
    assert_all(
        start,
        &[
            ("stage = \"verify\"", "conflict", "stage", ""),
            ("irreversible = true", "conflict", "irreversible", ""),
            ("timeout = \"3s\"", "conflict", "timeout", ""),
            ("checklist = [\"a\", \"a\"]", "duplicate-name", "\"a\"", ""),
            ("checklist = [\" a\"]", "bad-value", "\" a\"", "one line"),
            ("checklist = [\"a\\nb\"]", "bad-value", "\"a\\nb\"", "one line"),
            ("checklist = \"a\"", "wrong-type", "\"a\"", "[\"a\"]"),
            ("checklist = [{ item = \"x\" }]", "missing-key", "{ item = \"x\" }", "as a text"),
            ("checklist = [{ item = \"x\", step = \"b\" }]", "unknown-step", "\"b\"", "`a`"),
            (
                "checklist = [{ item = \"x\", step = \"late\" }]\n[[step]]\nname = \"late\"\nstage = \"verify\"",
                "conflict",
                "\"late\"",
                "",
            ),
            ("[[step]]\nname = \"go\"\nstage = \"verify\"", "duplicate-name", "\"go\"", ""),
            ("[[step]]\nname = \"b\"\nstage = \"verify\"\nchecklist = [\"x\"]", "conflict", "checklist", ""),
            ("[[step]]\nname = \"b\"\ngate = { role = \"led\" }", "unknown-role", "\"led\"", "did you mean `lead`?"),
            ("[[step]]\nname = \"b\"\ngate = { roel = \"lead\" }", "unknown-key", "roel", "did you mean `role`?"),
            ("[[step]]\nname = \"b\"\ngate = {}", "missing-key", "{}", "role = "),
            ("[[step]]\nname = \"b\"\ngate = { role = \"lead\", quorum = 0 }", "bad-value", "0", "different people"),
            ("[[step]]\nname = \"b\"\ngate = { role = \"lead\", expires = 4 }", "bad-unit", "4", "expires = \"4s\""),
            (
                "[[step]]\nname = \"b\"\ngate = { role = \"lead\", on_expiry = \"fail\" }",
                "bad-value",
                "\"fail\"",
                "`stop`",
            ),
            (
                "[[step]]\nname = \"b\"\ngate = { role = \"lead\", if_started = \"a\" }",
                "conflict",
                "if_started",
                "always reached",
            ),
            (
                "[[rollback]]\nundo = \"a\"\ngate = { role = \"lead\", on_expiry = \"rollback\" }",
                "bad-value",
                "\"rollback\"",
                "`fail`",
            ),
            (
                "[[rollback]]\nundo = \"a\"\ngate = { role = \"lead\", if_started = \"b\" }",
                "unknown-step",
                "\"b\"",
                "`a`",
            ),
            ("[[rollback]]\nundo = \"a\"\nchecklist = [\"x\"]", "conflict", "checklist", ""),
            (
                "[[rollback]]\nundo = \"a\"\n[[rollback]]\nname = \"go\"\ngate = { role = \"lead\" }",
                "duplicate-name",
                "\"go\"",
                "",
            ),
            ("[roles.ops]\nsigners = 3", "wrong-type", "3", "\"3\""),
            ("[roles.ops]", "missing-key", "[roles.ops]", "signers/ops"),
        ],
    );
}
