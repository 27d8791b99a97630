use std::path::Path;

use super::*;
use crate::{
    artifact::ArtifactRule, env::EnvRule, exec::ArgumentPattern, exec::ExecRule, http::HttpRule, path::PathRule,
    reveal::RevealRule, secret::SecretSlot, sql::SqlRule, tcp::TcpRule,
};

/// Imports of a plugin that can use everything, as the Rust toolchain writes them.
const EVERYTHING: [&str; 10] = [
    "pipe:host/artifact@0.1.0",
    "pipe:host/disk@0.1.0",
    "pipe:host/environment@0.1.0",
    "pipe:host/process@0.1.0",
    "pipe:host/sql@0.1.0",
    "wasi:cli/environment@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:sockets/tcp@0.2.12",
];

/// A case: a call about which there is nothing to say, but for what the test changes.
struct Case {
    stage: Stage,
    grant: Grant,
    standard: bool,
    pinned: bool,
    imports: Vec<String>,
    requests: Vec<&'static str>,
    irreversible: bool,
    undo: bool,
    plain_backups: Vec<String>,
    after_backup: bool,
    above: Option<Vec<Above>>,
    narrower: BTreeMap<RuleKey, Vec<String>>,
    record: Option<CallRecord>,
}

impl Case {
    fn new(grant: Grant) -> Self {
        let requests = Word::ALL.into_iter().filter(|word| !grant.rules(*word).is_empty()).map(Word::as_str).collect();
        let needed = |import: &&str| {
            let word = word_of_import(import);
            word.is_none_or(|word| word.parse().is_ok_and(|word| !grant.rules(word).is_empty()))
        };
        Self {
            stage: Stage::Verify,
            imports: EVERYTHING.into_iter().filter(needed).map(str::to_owned).collect(),
            grant,
            standard: false,
            pinned: true,
            requests,
            irreversible: false,
            undo: false,
            plain_backups: Vec::new(),
            after_backup: true,
            above: None,
            narrower: BTreeMap::new(),
            record: None,
        }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        judge(&CallFacts {
            stage: self.stage,
            grant: &self.grant,
            plugin: "vendor",
            sha256: Digest::of(b"vendor"),
            standard: self.standard,
            pinned: self.pinned,
            imports: &self.imports,
            requests: self.requests.iter().copied().collect(),
            irreversible: self.irreversible,
            undo: self.undo,
            base: Path::new("/work/hms"),
            plain_backups: &self.plain_backups,
            after_backup: self.after_backup,
            above: self.above.as_deref(),
            narrower: &self.narrower,
            record: self.record.as_ref(),
        })
    }

    /// What is found, as `severity name`.
    fn found(&self) -> Vec<String> {
        let verdicts = self.verdicts();
        verdicts.iter().map(|verdict| format!("{} {}", verdict.severity.word(), verdict.check.id())).collect()
    }
}

fn http(text: &str) -> Grant {
    Grant { http: vec![HttpRule::parse(text).unwrap()], ..Grant::default() }
}

fn tcp(text: &str) -> Grant {
    Grant { tcp: vec![TcpRule::parse(text).unwrap()], ..Grant::default() }
}

fn sql(text: &str) -> Grant {
    Grant { sql: vec![SqlRule::parse(text).unwrap()], ..Grant::default() }
}

fn path(path: &str) -> PathRule {
    PathRule::new(path, Path::new("/work/hms").join(path))
}

fn read(text: &str) -> Grant {
    Grant { read: vec![path(text)], ..Grant::default() }
}

fn write(text: &str) -> Grant {
    Grant { write: vec![path(text)], ..Grant::default() }
}

fn env(name: &str) -> Grant {
    Grant { env: vec![EnvRule::parse(name).unwrap()], ..Grant::default() }
}

fn exec(program: &str, argv: &[&str]) -> Grant {
    let argv = argv.iter().map(|argument| ArgumentPattern::parse(argument).unwrap()).collect();
    Grant { exec: vec![ExecRule { program: program.to_owned(), argv, ..ExecRule::default() }], ..Grant::default() }
}

fn key(word: Word) -> RuleKey {
    RuleKey { word, index: 0 }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_narrow_grant_that_is_asked_for_is_nothing_to_talk_about() {
    for grant in [
        Grant::default(),
        http("GET k8s:/version"),
        http("PATCH k8s:/apis/networking.istio.io/*"),
        http("GET https://example.com/status"),
        sql("read main"),
        sql("write main"),
        read("database/rollback"),
        env("SMTP_HOST"),
        env("JWT_PRIVATE_KEY_PATH"),
        env("AUDIT_LOG_RETENTION_DAYS"),
        Grant { artifacts: vec![ArtifactRule::Write], ..Grant::default() },
    ] {
        assert_eq!(Case::new(grant.clone()).found(), NOTHING, "{grant:?}");
    }
}

#[test]
fn what_a_rule_covers() {
    for (grant, found) in [
        (http("GET k8s:/api/**"), "note wide-pattern"),
        (http("GET|HEAD k8s:/**"), "note wide-pattern"),
        (http("POST k8s:/api/**"), "warning wide-pattern"),
        (http("* k8s:/version"), "warning wide-pattern"),
        (http("GET http://example.com/"), "warning in-the-clear"),
        (tcp("db.example:5432"), "warning in-the-clear"),
        (env("DB_PASSWORD"), "warning secret-in-reach"),
        (env("JWT_SECRET_KEY"), "warning secret-in-reach"),
        (env("Github_Token"), "warning secret-in-reach"),
        (env("AWS_SECRET_ACCESS_KEY"), "warning secret-in-reach"),
        (read("../../home/me/.ssh"), "warning secret-in-reach"),
        (read("/run/secrets/db"), "warning secret-in-reach"),
        (read(".env.production"), "warning secret-in-reach"),
        (read("/"), "warning wide-pattern"),
        (read("/etc/"), "warning wide-pattern"),
        (write("live/www"), "note write"),
        (write("."), "warning write"),
        (write("/work"), "warning write"),
        (write("/var"), "warning write"),
        (exec("pg_dump", &["-F", "c"]), "warning native-code"),
    ] {
        assert_eq!(Case::new(grant.clone()).found(), [found], "{grant:?}");
    }
    let any = Case::new(exec("npm", &["run", "**"])).found();
    assert_eq!(any, ["warning native-code", "warning wide-pattern"]);
}

#[test]
fn native_code_is_named_with_all_that_it_is_given() {
    let mut grant = exec("pg_dump", &[]);
    grant.exec[0].peer = Some("main".to_owned());
    grant.exec[0].secret_env = [("KEY".to_owned(), "backup".to_owned())].into();
    let verdicts = Case::new(grant).verdicts();
    assert_eq!(
        verdicts[0].message,
        "`pg_dump` is native code, and is given the login of the peer `main` and the secret `backup`"
    );
    assert!(verdicts[0].hint.as_ref().is_some_and(|hint| hint.contains("sha256")));
    let mut pinned = exec("pg_dump", &[]);
    pinned.exec[0].sha256 = Some(pipe_core::digest::Digest::of(b"pg_dump"));
    assert_eq!(Case::new(pinned).verdicts()[0].hint, None);
}

#[test]
fn what_a_program_may_touch_besides_is_told() {
    let with = |change: fn(&mut ExecRule)| {
        let mut grant = exec("npm", &[]);
        change(&mut grant.exec[0]);
        Case::new(grant).found().split_off(1)
    };
    assert_eq!(with(|_| {}), NOTHING);
    assert_eq!(with(|rule| rule.read = vec![path("app")]), NOTHING);
    assert_eq!(with(|rule| rule.read = vec![path("/")]), ["warning wide-pattern"]);
    assert_eq!(with(|rule| rule.write = vec![path("live")]), ["note write"]);
    assert_eq!(with(|rule| rule.write = vec![path("/var")]), ["warning wide-pattern"]);
    assert_eq!(with(|rule| rule.ports = vec![443, 5432]), ["warning wide-pattern"]);
    assert_eq!(with(|rule| rule.sockets = vec![path("/run/docker.sock")]), ["warning wide-pattern"]);
}

#[test]
fn a_secret_that_is_shown_is_an_error_until_a_policy_covers_it() {
    let grant = Grant { reveal: vec![RevealRule::parse("token").unwrap()], ..Grant::default() };
    let mut case = Case::new(grant);
    case.imports.push("pipe:host/secret@0.1.0".to_owned());
    assert_eq!(case.found(), ["error reveals-secret"]);
    case.above = Some(Vec::new());
    assert_eq!(case.found(), ["warning reveals-secret"], "decided, and still to be seen");
}

#[test]
fn private_addresses_are_told_and_metadata_is_worse() {
    let with = |networks: &[&str]| {
        let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        let rule = HttpRule::parse("GET https://hms.internal/x").unwrap().with_addresses(networks).unwrap();
        Case::new(Grant { http: vec![rule], ..Grant::default() }).found()
    };
    assert_eq!(with(&["10.0.0.0/8", "fc00::/8"]), ["note private-address"]);
    for wide in ["169.254.0.0/16", "0.0.0.0/0", "fd00::/8", "100.64.0.0/10"] {
        assert_eq!(with(&["10.1.0.0/16", wide]), ["warning private-address"], "{wide}");
    }
    let peer = |in_the_clear, networks: &[&str]| {
        let addresses = networks.iter().map(|net| net.parse().unwrap()).collect();
        let facts = PeerFacts { url: "http://k8s/".to_owned(), in_the_clear, addresses };
        judge_peer("k8s", &facts).iter().map(|verdict| verdict.check.id()).collect::<Vec<_>>()
    };
    assert_eq!(peer(false, &[]), NOTHING);
    assert_eq!(peer(true, &["10.0.0.0/8"]), ["in-the-clear", "private-address"]);
}

#[test]
fn what_the_file_says_of_a_call() {
    for (standard, pinned, found) in
        [(false, false, Some("error unpinned-plugin")), (false, true, None), (true, false, None)]
    {
        let case = Case { standard, pinned, ..Case::new(Grant::default()) };
        assert_eq!(case.found(), found.as_slice(), "{standard} {pinned}");
    }

    for (stage, undo, irreversible, found) in [
        (Stage::Release, true, false, None),
        (Stage::Release, true, true, Some("warning irreversible")),
        (Stage::Release, false, true, Some("warning irreversible")),
        (Stage::Migrate, false, false, Some("warning irreversible")),
        (Stage::Verify, false, false, None),
        (Stage::Notify, false, false, None),
    ] {
        let case = Case { stage, undo, irreversible, ..Case::new(sql("read main")) };
        assert_eq!(case.found(), found.as_slice(), "{stage} {undo} {irreversible}");
    }

    let backup = Case { plain_backups: vec!["data".to_owned()], ..Case::new(Grant::default()) };
    assert_eq!(backup.found(), ["warning backup-in-the-clear"]);

    for (grant, after_backup, found) in [
        (sql("write main"), false, Some("warning migrates-without-backup")),
        (sql("write main"), true, None),
        (sql("read main"), false, None),
    ] {
        let case = Case { stage: Stage::Migrate, undo: true, after_backup, ..Case::new(grant) };
        assert_eq!(case.found(), found.as_slice());
    }
}

#[test]
fn granted_and_requested_and_imported_are_three_things() {
    // Granted, imported, requested, and what is found.
    for (granted, imported, requested, found) in [
        (true, true, true, None),
        (true, true, false, Some("warning not-requested")),
        (true, false, true, Some("warning cannot-be-used")),
        (true, false, false, Some("warning cannot-be-used")),
        (false, true, true, Some("note not-granted")),
        (false, true, false, Some("warning hidden-import")),
        (false, false, true, Some("note not-granted")),
        (false, false, false, None),
    ] {
        for (word, grant, import) in [
            ("sql", sql("read main"), "pipe:host/sql@0.1.7"),
            ("http", http("GET k8s:/"), "wasi:http/outgoing-handler@0.2.12"),
            ("tcp", tcp("db.example:5432"), "wasi:sockets/tcp@0.2.12"),
            ("exec", exec("npm", &[]), "pipe:host/process@0.1.0"),
        ] {
            let mut case = Case::new(if granted { grant } else { Grant::default() });
            case.requests = if requested { vec![word] } else { Vec::new() };
            case.imports = EVERYTHING[5..7].iter().map(|import| (*import).to_owned()).collect();
            case.imports.extend(imported.then(|| import.to_owned()));
            // A request that is also hidden would be two verdicts.
            let expected: Vec<&str> = match (granted, imported, requested) {
                (true, true, false) => vec!["warning not-requested", "warning hidden-import"],
                _ => found.into_iter().collect(),
            };
            // What is said of the rule itself is another test's.
            let words = ["not-granted", "not-requested", "cannot-be-used", "hidden-import"];
            let found: Vec<String> =
                case.found().into_iter().filter(|one| words.iter().any(|word| one.ends_with(word))).collect();
            assert_eq!(found, expected, "{word} {granted} {imported} {requested}");
        }
    }
}

#[test]
fn what_every_plugin_imports_tells_nothing() {
    let everywhere = [
        "wasi:cli/environment@0.2.12",
        "wasi:cli/stdin@0.2.12",
        "wasi:clocks/wall-clock@0.2.12",
        "wasi:filesystem/preopens@0.2.12",
        "wasi:filesystem/types@0.2.12",
        "wasi:http/types@0.2.12",
        "wasi:io/streams@0.2.12",
        "wasi:random/insecure-seed@0.2.12",
        "pipe:host/log@0.1.0",
        "pipe:host/checkpoint@0.1.0",
        "pipe:host/files@0.1.0",
    ];
    for import in everywhere {
        assert_eq!(word_of_import(import), None, "{import}");
    }
    for import in ["wasi:sockets/tcp@0.2.12", "wasi:sockets/ip-name-lookup@0.2.12"] {
        assert_eq!(word_of_import(import), Some("tcp"), "{import}");
        let case = Case { imports: vec![import.to_owned()], ..Case::new(Grant::default()) };
        assert_eq!(case.found(), ["warning hidden-import"]);
    }
    let variables = Case { imports: Vec::new(), ..Case::new(env("LANG")) };
    assert_eq!(variables.found(), NOTHING, "every plugin can ask for variables");
    // A name that only begins like one of ours.
    assert_eq!(word_of_import("pipe:host/sqlite@0.1.0"), None);
}

#[test]
fn files_and_slots_are_not_told_from_imports() {
    let case = Case { imports: Vec::new(), requests: vec!["write"], ..Case::new(read("database")) };
    assert_eq!(case.found(), ["note not-granted"], "who asks to write says with it that it reads");
    let slot = SecretSlot::new("backup", "artifacts", None, None).unwrap();
    let mut case = Case::new(Grant { secrets: vec![slot], ..Grant::default() });
    assert_eq!(case.found(), ["warning cannot-be-used"]);
    case.imports.push("pipe:host/artifact@0.1.0".to_owned());
    case.requests.push("artifacts");
    assert_eq!(case.found(), ["note not-granted"]);
}

#[test]
fn words_that_nobody_knows_are_named_and_harm_nothing() {
    let case = Case { requests: vec!["sockets", "<script>"], ..Case::new(Grant::default()) };
    assert_eq!(case.verdicts()[0].message, "the plugin may ask for `<script>` and `sockets`, and has no rule for that");
    assert_eq!(Case { standard: true, ..case }.found(), NOTHING, "a standard plugin asks by kind of setting");
}

#[test]
fn use_counts_only_where_the_step_came_to_its_end() {
    let mut grant = read("a");
    grant.read.push(path("b"));
    let used = BTreeSet::from([RuleKey { word: Word::Read, index: 1 }]);
    let mut case = Case::new(grant);
    assert_eq!(case.found(), NOTHING, "no record");
    case.record = Some(CallRecord { used: used.clone(), ..CallRecord::default() });
    assert_eq!(case.found(), NOTHING, "the step never succeeded");
    case.record = Some(CallRecord { succeeded: 3, used: used.clone(), ..CallRecord::default() });
    assert_eq!(case.found(), NOTHING, "it is new since then");
    let had = BTreeSet::from([0, 1].map(|index| RuleKey { word: Word::Read, index }));
    case.record = Some(CallRecord { succeeded: 3, used, had, ..CallRecord::default() });
    assert_eq!(case.found(), ["warning never-used"]);
    let verdict = &case.verdicts()[0];
    assert_eq!(verdict.message, r#"no run has used "a", and the step succeeded in 3 runs"#);
    assert_eq!((&verdict.about, &verdict.hint), (&About::Rule(key(Word::Read)), &None));
    case.undo = true;
    assert!(case.verdicts()[0].hint.as_ref().is_some_and(|hint| hint.contains("undoing")), "never undone");
}

#[test]
fn what_was_refused_is_told_but_not_without_end() {
    let refusal = |number: usize| Refusal {
        word: "http".to_owned(),
        subject: format!("GET https://evil.example/{number}"),
        reason: "no rule names `https://evil.example`".to_owned(),
        hint: None,
    };
    let mut case = Case::new(Grant::default());
    case.record = Some(CallRecord { refused: vec![(refusal(1), 2)], ..CallRecord::default() });
    assert_eq!(
        case.verdicts()[0].message,
        "asked for http GET https://evil.example/1, and was refused 2 times: no rule names `https://evil.example`"
    );
    case.record = Some(CallRecord { refused: (0..9).map(|n| (refusal(n), 1)).collect(), ..CallRecord::default() });
    assert_eq!(case.found().len(), 6);
    assert!(case.verdicts()[5].message.starts_with("and 4 more"));
}

#[test]
fn a_plugin_of_other_content_is_told() {
    let mut case = Case::new(http("GET k8s:/api"));
    case.record = Some(CallRecord { other_plugin: true, ..CallRecord::default() });
    assert_eq!(case.found(), ["note plugin-changed"]);
}

#[test]
fn what_is_wider_than_needed_is_told_with_what_would_have_been_enough() {
    for (grant, word, enough, found) in [
        (http("GET|POST k8s:/api/*"), Word::Http, r#"allow.http = ["GET k8s:/api/*"]"#, "warning broader-than-needed"),
        (sql("write main"), Word::Sql, r#"allow.sql = ["read main"]"#, "warning broader-than-needed"),
        (read("certs"), Word::Read, r#"allow.read = ["certs/api.pem"]"#, "note broader-than-needed"),
        (write("live"), Word::Write, r#"allow.read = ["live"]"#, "warning broader-than-needed"),
    ] {
        let mut case = Case::new(grant);
        let before = case.found();
        case.narrower = [(key(word), vec![enough.to_owned()])].into();
        let used = BTreeSet::from([key(word)]);
        case.record = Some(CallRecord { used: used.clone(), ..CallRecord::default() });
        assert_eq!(case.found(), before, "the step never came to its end");
        case.record = Some(CallRecord { succeeded: 1, used, ..CallRecord::default() });
        let verdicts = case.verdicts();
        let verdict = verdicts.iter().find(|one| one.check == Check::BroaderThanNeeded).unwrap();
        assert_eq!(format!("{} {}", verdict.severity.word(), verdict.check.id()), found);
        assert_eq!(verdict.hint.as_deref(), Some(&*format!("this would have been enough: {enough}")));
    }
}

#[test]
fn a_policy_refuses_and_decides() {
    let above = |at| vec![Above { at, why: "no line names `pg_dump` (policy.toml:3)".to_owned() }];
    let mut case = Case::new(exec("pg_dump", &[]));
    case.above = Some(above(Part::Rule(Word::Exec, 0)));
    assert_eq!(case.found(), ["error above-policy", "warning native-code"]);
    assert_eq!(case.verdicts()[0].message, "no line names `pg_dump` (policy.toml:3)");
    case.above = Some(Vec::new());
    assert_eq!(case.found(), ["note native-code"], "somebody has decided");
    for at in [Part::Plugin, Part::Whole, Part::Rule(Word::Exec, 1)] {
        case.above = Some(above(at));
        assert_eq!(case.found(), ["error above-policy", "note native-code"], "it is not this rule");
    }
    // What is a fault stays one, whatever a policy covers.
    let mut unused = Case::new(read("a"));
    let had = BTreeSet::from([key(Word::Read)]);
    unused.record = Some(CallRecord { succeeded: 1, had, ..CallRecord::default() });
    unused.above = Some(Vec::new());
    assert_eq!(unused.found(), ["warning never-used"]);
}

#[test]
fn the_record_names_rules_as_the_effects_do() {
    let mut grant = http("GET k8s:/version");
    grant.sql = sql("write main").sql;
    grant.exec = exec("pg_dump", &["-F"]).exec;
    grant.write = write("live").write;
    let of = |word: &str, recorded: &str| rule_of_use(&grant, word, recorded);
    assert_eq!(of("http", "GET k8s:/version"), Some(key(Word::Http)));
    assert_eq!(of("http", r#""GET k8s:/version""#), Some(key(Word::Http)));
    assert_eq!(of("sql", "write main"), Some(key(Word::Sql)));
    assert_eq!(of("exec", &grant.exec[0].to_string()), Some(key(Word::Exec)));
    assert_eq!(of("write", "live"), Some(key(Word::Write)));
    assert_eq!(of("read", "live"), Some(key(Word::Write)), "reading is covered by writing");
    assert_eq!(of("http", "GET k8s:/other"), None);
    assert_eq!(of("write", "other"), None);
    assert_eq!(of("telnet", "k8s"), None);
}

#[test]
fn every_check_is_explained_and_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = Check::ALL.into_iter().map(Check::id).collect();
    assert_eq!(names.len(), Check::ALL.len());
    for check in Check::ALL {
        assert!(check.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{check:?}");
        assert!(check.help().ends_with(['.', ')']) && check.help().len() > 60, "{check:?}");
        assert!(!check.title().is_empty(), "{check:?}");
    }
}

proptest::proptest! {
    /// Whatever a grant holds, a policy that covers it never makes a verdict worse, and every key is one of the grant's own.
    #[test]
    fn verdicts_point_into_the_grant(paths in proptest::collection::vec("[a-z./]{1,12}", 0..6), names in proptest::collection::vec("[A-Z_]{1,16}", 0..6)) {
        let grant = Grant {
            read: paths.iter().map(|text| path(text)).collect(),
            write: paths.iter().map(|text| path(text)).collect(),
            env: names.iter().filter_map(|name| EnvRule::parse(name).ok()).collect(),
            ..Grant::default()
        };
        let mut case = Case::new(grant);
        case.record = Some(CallRecord { succeeded: 1, ..CallRecord::default() });
        let before: usize = case.verdicts().iter().map(|verdict| verdict.severity as usize).sum();
        for verdict in case.verdicts() {
            if let About::Rule(rule) = verdict.about {
                proptest::prop_assert!(rule.index < case.grant.rules(rule.word).len().max(1));
            }
        }
        case.above = Some(Vec::new());
        let after: usize = case.verdicts().iter().map(|verdict| verdict.severity as usize).sum();
        proptest::prop_assert!(after <= before);
    }
}
