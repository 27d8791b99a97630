//! The line that a denial shows, pasted into the step, makes the very same request pass.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Component, Path, PathBuf};

use pipe_capability::{
    address,
    artifact::ArtifactRule,
    denial::Denial,
    env::EnvRule,
    exec::{ArgumentPattern, ExecLimits, ExecRule},
    grant::Grant,
    http::{HttpRequest, HttpRule, Method},
    mail::{Address, MailRequest, MailRule, Recipient},
    path::{PathRequest, PathRule},
    reveal::RevealRule,
    secret::{SecretSlot, SlotTarget},
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
    word::Word,
};
use pipe_core::units::{ByteSize, parse_duration};
use proptest::prelude::*;
use toml::Value;

const BASE: &str = "/srv/hms";

/// A step that has rules already.
const STEP: &str = r#"
    allow.http = ["GET k8s:/version", "GET|HEAD prom:/api/{v1,v2}/*", { rule = "GET https://x.example/y", addresses = ["10.0.0.0/8", "fd00::/8"] }]
    allow.tcp = ["cache:6379", { rule = "db.example:5432", addresses = ["10.0.0.0/8"] }]
    allow.tls = ["k8s", "lb.example:443"]
    allow.sql = ["read main"]
    allow.mail = [{ peer = "smtp", from = "deploy@h.example", to = ["o'brien@h.example", "*@ward.example"] }]
    allow.read = ["database/rollback"]
    allow.write = ["out", '/var/lib/it"s']
    allow.disk = ["/var"]
    allow.env = ["HOME"]
    allow.secrets = [{ name = "k8s", to = "argocd", header = "X-Token", format = 'Token "{}"' }]
    allow.reveal = ["t_1"]
    allow.exec = [{ program = "npm", argv = ["run", '\*', "**"], cwd = "app", env = { A = "1" }, peer = "main", secret_env = { T = "t" }, secret_file = { F = "f" }, read = ["a", "/b"], write = ["c"], ports = [443, 53], sockets = ["/run/d.sock"], memory = "1GiB", processes = 9, scratch = "1MiB", file_size = "1GiB", open_files = 64, cpu = "90s" }]
    allow.artifacts = ["read manual verification"]
"#;

/// Puts the words of `text` into `grant`, each in place of what it held. What the pipeline loader does, without its care.
fn paste(grant: &mut Grant, text: &str) {
    let table: toml::Table = text.parse().unwrap();
    for (word, rules) in table["allow"].as_table().unwrap() {
        let rules = rules.as_array().unwrap();
        let texts = || rules.iter().map(|rule| rule.as_str().unwrap());
        match word.parse().unwrap() {
            Word::Http => grant.http = rules.iter().map(http).collect(),
            Word::Tcp => grant.tcp = rules.iter().map(tcp).collect(),
            Word::Tls => grant.tls = rules.iter().map(tls).collect(),
            Word::Sql => grant.sql = texts().map(|text| SqlRule::parse(text).unwrap()).collect(),
            Word::Mail => grant.mail = rules.iter().map(mail).collect(),
            Word::Read => grant.read = texts().map(path).collect(),
            Word::Write => grant.write = texts().map(path).collect(),
            Word::Disk => grant.disk = texts().map(path).collect(),
            Word::Env => grant.env = texts().map(|text| EnvRule::parse(text).unwrap()).collect(),
            Word::Secrets => grant.secrets = rules.iter().map(slot).collect(),
            Word::Reveal => grant.reveal = texts().map(|text| RevealRule::parse(text).unwrap()).collect(),
            Word::Exec => grant.exec = rules.iter().map(exec).collect(),
            Word::Artifacts => grant.artifacts = texts().map(|text| ArtifactRule::parse(text).unwrap()).collect(),
        }
    }
}

/// The text of a rule and the addresses that its host may have.
fn addressed(rule: &Value) -> (&str, Vec<ipnet::IpNet>) {
    match rule {
        Value::String(text) => (text, Vec::new()),
        table => {
            let addresses = table["addresses"].as_array().unwrap().iter();
            let addresses = addresses.map(|net| net.as_str().unwrap().parse().unwrap()).collect();
            (table["rule"].as_str().unwrap(), addresses)
        }
    }
}

fn mail(rule: &Value) -> MailRule {
    let to = rule["to"].as_array().unwrap().iter().map(|text| Recipient::parse(text.as_str().unwrap()).unwrap());
    let from = Address::parse(rule["from"].as_str().unwrap()).unwrap();
    MailRule::new(rule["peer"].as_str().unwrap(), from, to.collect()).unwrap()
}

fn http(rule: &Value) -> HttpRule {
    let (text, addresses) = addressed(rule);
    HttpRule::parse(text).unwrap().with_addresses(addresses).unwrap()
}

fn tcp(rule: &Value) -> TcpRule {
    let (text, addresses) = addressed(rule);
    TcpRule::parse(text).unwrap().with_addresses(addresses)
}

fn tls(rule: &Value) -> TlsRule {
    let (text, addresses) = addressed(rule);
    TlsRule::parse(text).unwrap().with_addresses(addresses).unwrap()
}

fn path(written: &str) -> PathRule {
    PathRule::new(written, resolve(written))
}

/// Absolute, without `.` and `..`.
fn resolve(written: &str) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in Path::new(BASE).join(written).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

fn slot(rule: &Value) -> SecretSlot {
    let text = |key: &str| rule.get(key).map(|value| value.as_str().unwrap());
    SecretSlot::new(text("name").unwrap(), text("to").unwrap(), text("header"), text("format")).unwrap()
}

fn exec(rule: &Value) -> ExecRule {
    let text = |key: &str| rule.get(key).map(|value| value.as_str().unwrap().to_owned());
    let texts = |key: &str| {
        let table = rule.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
        table.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
    };
    let argv = rule["argv"].as_array().unwrap().iter();
    let list = |key: &str| rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let paths = |key: &str| list(key).iter().map(|written| path(written.as_str().unwrap())).collect();
    let size = |key: &str| text(key).map(|size| size.parse::<ByteSize>().unwrap().0);
    let number = |key: &str| rule.get(key).map(|number| number.as_integer().unwrap().try_into().unwrap());
    let limits = ExecLimits {
        memory: size("memory"),
        processes: number("processes"),
        scratch: size("scratch"),
        file_size: size("file_size"),
        open_files: number("open_files"),
        cpu: text("cpu").map(|time| parse_duration(&time).unwrap()),
    };
    ExecRule {
        program: text("program").unwrap(),
        argv: argv.map(|pattern| ArgumentPattern::parse(pattern.as_str().unwrap()).unwrap()).collect(),
        cwd: text("cwd"),
        env: texts("env"),
        peer: text("peer"),
        secret_env: texts("secret_env"),
        secret_file: texts("secret_file"),
        read: paths("read"),
        write: paths("write"),
        ports: list("ports").iter().map(|port| port.as_integer().unwrap().try_into().unwrap()).collect(),
        sockets: paths("sockets"),
        limits,
        sha256: text("sha256").map(|digest| digest.parse().unwrap()),
    }
    .checked()
    .unwrap()
}

/// The grants that a request is tried against: nothing at all, and a step with rules.
fn grants() -> [Grant; 2] {
    let mut step = Grant::default();
    paste(&mut step, STEP);
    [Grant::default(), step]
}

/// Decides, pastes the hint of the denial, and decides again. Every rule that stood there before still stands.
fn check(decide: impl Fn(&Grant) -> Result<String, Denial>) -> Result<(), TestCaseError> {
    for mut grant in grants() {
        let Err(denial) = decide(&grant) else { continue };
        let Some(hint) = denial.hint.clone() else {
            return Err(TestCaseError::fail(format!("no hint: {denial}")));
        };
        prop_assert!(!hint.contains('\n'));
        let before = grant.lines();
        paste(&mut grant, &hint);
        let after = grant.lines();
        prop_assert!(before.iter().all(|line| after.contains(line)), "{before:?} {after:?}");
        prop_assert_eq!(after.len(), before.len() + 1);
        prop_assert!(decide(&grant).is_ok(), "{denial}: {hint}");
    }
    Ok(())
}

#[test]
fn lines_make_the_grant_again() {
    let [_, step] = grants();
    let mut again = Grant::default();
    for word in Word::ALL {
        let set = format!("allow.{word} = ");
        let lines = step.lines();
        let rules: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(&set)).collect();
        let rules: Vec<_> = rules.iter().map(|array| &array[1..array.len() - 1]).collect();
        paste(&mut again, &format!("{set}[{}]", rules.join(", ")));
    }
    assert_eq!(again, step);
}

#[test]
fn a_refused_address_is_added_to_the_rule() {
    let [_, mut grant] = grants();
    let request = HttpRequest::parse("GET", "https://x.example/y").unwrap();
    let rule = grant.http(&request).unwrap().clone();
    let refused = address::check("192.168.1.9".parse().unwrap(), &rule.addresses).unwrap_err();
    let denial = grant.http_address(&rule, &request, &refused);
    assert_eq!(
        denial.to_string(),
        "http GET https://x.example/y: 192.168.1.9 is a private address, and the rule's `addresses` do not hold it"
    );
    let hint = denial.hint.unwrap();
    assert_eq!(
        hint,
        r#"allow.http = ["GET k8s:/version", "GET|HEAD prom:/api/{v1,v2}/*", { rule = "GET https://x.example/y", addresses = ["10.0.0.0/8", "fd00::/8", "192.168.1.9/32"] }]"#
    );
    paste(&mut grant, &hint);
    assert_eq!(address::check("192.168.1.9".parse().unwrap(), &grant.http(&request).unwrap().addresses), Ok(()));

    let peer = HttpRequest::parse("GET", "https://k8s.peer/version").unwrap();
    assert_eq!(grant.http_address(grant.http(&peer).unwrap(), &peer, &refused).hint, None);
}

/// Text that is hard on quotes, escapes and patterns.
fn hard_text() -> impl Strategy<Value = String> {
    prop_oneof![
        r#"[-a*\\{},|/:%?#$@ "'.~=+]{0,12}"#,
        "[a-z]{1,8}",
        r"[\x01-\x7f]{0,8}",
        proptest::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
    ]
}

fn requests() -> impl Strategy<Value = HttpRequest> {
    let host =
        prop_oneof!["[a-z][a-z0-9]{0,8}\\.peer", "[a-z]{1,8}\\.example(:[1-9][0-9]{1,3})?", Just("[::1]:80".into())];
    let segment = prop_oneof![r#"[-a-c*{},|:$@"'~=+!();&<>^`äß]{1,8}"#, "[a-z]{1,3}", "(%[2-3][0-9])?x"];
    let path = proptest::collection::vec(segment, 0..5).prop_map(|segments| segments.join("/"));
    (proptest::sample::select(&Method::ALL[..]), any::<bool>(), host, path).prop_filter_map(
        "not a request",
        |(method, tls, host, path)| {
            let scheme = if tls { "https" } else { "http" };
            HttpRequest::parse(method.as_str(), &format!("{scheme}://{host}/{path}?q")).ok()
        },
    )
}

proptest! {
    #[test]
    fn http_hints(request in requests()) {
        check(|grant| grant.http(&request).map(ToString::to_string))?;
    }

    #[test]
    fn tcp_hints(address in any::<std::net::IpAddr>(), port in 1_u16.., names in proptest::collection::vec("[a-z]{1,8}(\\.example)?", 0..3)) {
        let names: Vec<url::Host> = names.into_iter().map(url::Host::Domain).collect();
        let to = std::net::SocketAddr::new(address, port);
        check(|grant| grant.tcp(to, &names).map(ToString::to_string))?;
    }

    #[test]
    fn tls_hints(server in "[a-z]{1,8}|[A-Z]?[a-z]{1,8}\\.example\\.?:[1-9][0-9]{0,3}|10\\.0\\.0\\.[1-9]:443|\\[::1\\]:443") {
        prop_assume!(server != "artifacts");
        let target = TlsTarget::parse(&server).unwrap();
        check(|grant| grant.tls(&target).map(ToString::to_string))?;
    }

    #[test]
    fn sql_hints(peer in "[a-z]([a-z0-9_-]{0,8}[a-z0-9])?", write in any::<bool>()) {
        let access = if write { Access::Write } else { Access::Read };
        check(|grant| grant.sql(&peer, access).map(ToString::to_string))?;
    }

    #[test]
    fn mail_hints(
        peer in "smtp|[a-z]([a-z0-9_-]{0,8}[a-z0-9])?",
        from in "deploy@h\\.example|[A-Za-z'+]{1,6}@[a-zA-Z]{1,6}",
        to in proptest::collection::vec("[a-z'#&~=]{1,6}@(ward|h)\\.example|o'brien@h\\.EXAMPLE", 1..5),
    ) {
        let request = MailRequest::parse(&peer, &from, to.iter().map(String::as_str)).unwrap();
        check(|grant| grant.mail(&request).map(ToString::to_string))?;
    }

    #[test]
    fn path_hints(shown in r#"/?(\.\./)?[a-z"'\\ ä\n]{1,6}(/[a-z.]{1,5}){0,3}"#) {
        let resolved = resolve(&shown);
        let request = PathRequest { shown: &shown, resolved: &resolved };
        check(|grant| grant.read(&request).map(ToString::to_string))?;
        check(|grant| grant.write(&request).map(ToString::to_string))?;
        // No line grants the directory of the pipeline file, or the root.
        if Grant::default().write_name(&request).is_err_and(|denial| denial.hint.is_some()) {
            check(|grant| grant.write_name(&request).map(ToString::to_string))?;
        }
        check(|grant| grant.disk(&request).map(ToString::to_string))?;
    }

    #[test]
    fn env_hints(name in "[A-Za-z_][A-Za-z0-9_]{0,8}") {
        check(|grant| grant.env(&name).map(ToString::to_string))?;
    }

    #[test]
    fn secret_hints(name in "[A-Za-z0-9_-]{1,8}", to in "[a-z]{1,8}|artifacts") {
        let to = SlotTarget::parse(&to).unwrap();
        check(|grant| grant.secret(&name, &to).map(ToString::to_string))?;
    }

    #[test]
    fn reveal_hints(name in "[A-Za-z0-9_-]{1,8}") {
        check(|grant| grant.reveal(&name).map(ToString::to_string))?;
    }

    #[test]
    fn exec_hints(program in "(/[a-z.]{1,3}x){1,3}|[a-z'\"\\\\]{1,6}", mut arguments in proptest::collection::vec(hard_text(), 0..5)) {
        arguments.iter_mut().for_each(|argument| argument.retain(|c| c != '\0'));
        check(|grant| grant.exec(&program, &arguments).map(ToString::to_string))?;
    }

    #[test]
    fn artifact_hints(step in r#"[a-z"'\\]([a-z"'\\ ]{0,8}[a-z])?"#) {
        check(|grant| grant.artifact_read(&step).map(ToString::to_string))?;
        check(|grant| grant.artifact_write().map(ToString::to_string))?;
    }

    /// Where no line would help, none is shown; and nothing that a guest says breaks anything.
    #[test]
    fn hints_of_anything_at_all(text in hard_text(), other in hard_text()) {
        for grant in grants() {
            let denials = [
                grant.sql(&text, Access::Read).err(),
                grant.env(&text).err(),
                grant.reveal(&text).err(),
                MailRequest::parse(&text, &other, [text.as_str()]).err(),
                MailRequest::parse(&text, "a@x", ["b@y"]).and_then(|asked| grant.mail(&asked).map(drop)).err(),
                grant.secret(&text, &SlotTarget::Peer(other.clone())).err(),
                grant.exec(&text, std::slice::from_ref(&other)).err(),
                grant.artifact_read(&text).err(),
                grant.read(&PathRequest { shown: &text, resolved: Path::new(&other) }).err(),
            ];
            for denial in denials.into_iter().flatten() {
                prop_assert!(!denial.to_string().contains(char::is_control));
                if let Some(hint) = denial.hint {
                    paste(&mut grant.clone(), &hint);
                }
            }
        }
    }
}
