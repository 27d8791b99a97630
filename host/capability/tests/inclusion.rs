//! What it means that one rule includes another: whatever the narrow one covers, the wide one covers too.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{net::IpAddr, path::Path};

use ipnet::IpNet;
use pipe_capability::{
    address,
    artifact::ArtifactRule,
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::{HttpRequest, HttpRule, Method},
    mail::{Address, MailRule, Recipient},
    path::{PathRequest, PathRule},
    reveal::RevealRule,
    secret::SecretSlot,
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::TlsRule,
    word::Word,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// Segments of rules. The encoded byte holds the digits that stand free in others.
const SEGMENTS: [&str; 13] = ["a", "b", "2", "%22", "a*", "*b", "*2*", "*", "{a,b}", "a{,b}", "{a*,*b}", "a*b", r"\*"];
const ASKED: [&str; 9] = ["a", "b", "ab", "2", "%22", "a%22b", "ba", "aab", "*"];

fn methods() -> impl Strategy<Value = &'static str> {
    select(&["GET", "POST", "GET|HEAD", "GET|POST", "*", "OPTIONS"][..])
}

/// Hosts, some of which are the same in another spelling.
fn targets() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "k8s:",
            "prom:",
            "https://a.example",
            "https://A.Example.",
            "https://a.example:443",
            "https://a.example:8443",
            "http://a.example",
            "https://b.example",
        ][..],
    )
}

fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    let net = select(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "127.0.0.0/8", "fc00::/7", "fd00::1/128"][..]);
    vec(net.prop_map(|text| text.parse().unwrap()), 0..3)
}

fn http_rule() -> impl Strategy<Value = HttpRule> {
    let path = (vec(select(&SEGMENTS[..]), 0..4), select(&["", "/**", "/"][..]))
        .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")).replace("//", "/"));
    (methods(), targets(), path, nets()).prop_map(|(methods, target, path, nets)| {
        let rule = HttpRule::parse(&format!("{methods} {target}{path}")).unwrap();
        let is_peer = !target.contains("//");
        if is_peer { rule } else { rule.with_addresses(nets).unwrap() }
    })
}

fn request() -> impl Strategy<Value = HttpRequest> {
    let path = (vec(select(&ASKED[..]), 0..5), any::<bool>()).prop_map(|(segments, slash)| {
        let end = if slash && !segments.is_empty() { "/" } else { "" };
        format!("/{}{end}", segments.join("/"))
    });
    let hosts = &["k8s.peer", "prom.peer", "a.example", "a.example:8443", "b.example"][..];
    (select(&["GET", "HEAD", "POST", "OPTIONS"][..]), any::<bool>(), select(hosts), path).prop_map(
        |(method, tls, host, path)| {
            let scheme = if tls || host.ends_with(".peer") { "https" } else { "http" };
            HttpRequest::parse(method, &format!("{scheme}://{host}{path}")).unwrap()
        },
    )
}

const PATTERNS: [&str; 12] = ["", "a", "b", "-a", "a*", "*a", "*", "-*", "*a*", "--x=*", r"\*", r"a\-"];
const ARGUMENTS: [&str; 10] = ["", "a", "b", "-a", "ab", "ba", "-", "--x=a", "*", "a-"];

fn argv() -> impl Strategy<Value = Vec<ArgumentPattern>> {
    (vec(select(&PATTERNS[..]), 0..4), any::<bool>()).prop_map(|(mut patterns, rest)| {
        if rest {
            patterns.push("**");
        }
        patterns.into_iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect()
    })
}

fn program(argv: Vec<ArgumentPattern>) -> ExecRule {
    ExecRule { program: "p".to_owned(), argv, ..ExecRule::default() }.checked().unwrap()
}

fn path_rule() -> impl Strategy<Value = PathRule> {
    let place = vec(select(&["a", "b", "ab", ".", ".."][..]), 0..4);
    (any::<bool>(), place).prop_map(|(absolute, parts)| {
        let path = format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"));
        PathRule::new(&*path, &*path)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_request_rule_covers_what_those_that_it_includes_cover(
        wide in http_rule(), narrow in http_rule(), request in request(),
    ) {
        prop_assert!(wide.includes(&wide), "{wide}");
        if wide.includes(&narrow) {
            prop_assert!(!narrow.covers(&request) || wide.covers(&request), "{wide} / {narrow} / {request}");
            for net in &narrow.addresses {
                prop_assert_eq!(address::check(net.addr(), &wide.addresses), Ok(()));
            }
        }
    }

    #[test]
    fn a_path_pattern_covers_what_those_that_it_includes_cover(
        wide in vec(select(&SEGMENTS[..]), 1..3),
        narrow in vec(select(&SEGMENTS[..]), 1..3),
        ends in (any::<bool>(), any::<bool>()),
        asked in vec(select(&ASKED[..]), 1..4),
    ) {
        let rule = |segments: &[&str], rest: bool| {
            HttpRule::parse(&format!("GET k8s:/{}{}", segments.join("/"), if rest { "/**" } else { "" })).unwrap()
        };
        let (wide, narrow) = (rule(&wide, ends.0), rule(&narrow, ends.1));
        let request = HttpRequest::parse("GET", &format!("https://k8s.peer/{}", asked.join("/"))).unwrap();
        if wide.includes(&narrow) {
            prop_assert!(!narrow.covers(&request) || wide.covers(&request), "{wide} / {narrow} / {request}");
        }
    }

    #[test]
    fn a_narrower_rewrite_is_included_and_allows_nothing_more(rule in http_rule(), request in request(), at in 0_usize..4) {
        let rule = rule.with_addresses(vec![]).unwrap();
        let text = rule.to_string();
        let (methods, place) = text.split_once(' ').unwrap();
        let mut rewrites = vec![];
        if let Some(reading) = rule.reading() {
            rewrites.push(reading);
        }
        let one = rule.methods().iter().next().unwrap();
        rewrites.push(HttpRule::parse(&format!("{one} {place}")).unwrap());
        for (wide, narrow) in [("/**", "/a"), ("/**", "/a/**"), ("*2*", "2"), ("{a,b}", "a"), ("{a,b}", "b"), ("a*", "ab")] {
            if let Some((index, _)) = place.match_indices(wide).nth(at) {
                let rewritten = format!("{methods} {}{narrow}{}", &place[..index], &place[index + wide.len()..]);
                rewrites.extend(HttpRule::parse(&rewritten));
            }
        }
        for narrow in rewrites {
            prop_assert!(rule.includes(&narrow), "{rule} / {narrow}");
            prop_assert!(rule.covers(&request) || !narrow.covers(&request), "{rule} / {narrow} / {request}");
        }
    }

    #[test]
    fn the_narrowest_rule_for_a_request_is_included_by_every_rule_that_covers_it(rule in http_rule(), request in request()) {
        let denial = Grant::default().http(&request).unwrap_err();
        let line: toml::Table = denial.hint.unwrap().parse().unwrap();
        let narrowest = HttpRule::parse(line["allow"]["http"][0].as_str().unwrap()).unwrap();
        prop_assert_eq!(rule.covers(&request), rule.includes(&narrowest), "{} / {}", rule, narrowest);
    }

    #[test]
    fn a_spelling_of_a_host_includes_every_other(
        name in "[a-z]{1,4}(\\.[a-z]{1,4}){0,2}", port in select(&["", ":443"][..]), dot in select(&["", "."][..]),
    ) {
        prop_assume!(!name.ends_with(".peer"));
        let rule = |host: &str| HttpRule::parse(&format!("GET https://{host}/x")).unwrap();
        let (plain, spelled) = (rule(&name), rule(&format!("{}{dot}{port}", name.to_uppercase())));
        prop_assert!(plain.includes(&spelled) && spelled.includes(&plain));
        for other in [format!("{name}:8443"), format!("x.{name}"), format!("{name}x")] {
            prop_assert!(!plain.includes(&rule(&other)) && !rule(&other).includes(&plain), "{}", other);
        }
    }

    #[test]
    fn networks_let_pass_what_those_that_they_include_let_pass(
        wide in nets(), narrow in nets(),
        address in select(&["10.0.0.1", "10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.1.2.3", "192.168.0.1"][..]),
    ) {
        let address: IpAddr = address.parse().unwrap();
        prop_assert!(address::includes(&wide, &wide));
        if address::includes(&wide, &narrow) && address::check(address, &narrow).is_ok() {
            prop_assert_eq!(address::check(address, &wide), Ok(()));
        }
    }

    #[test]
    fn a_program_rule_covers_what_those_that_it_includes_cover(
        wide in argv(), narrow in argv(), arguments in vec(select(&ARGUMENTS[..]), 0..5),
    ) {
        let (wide, narrow) = (program(wide), program(narrow));
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        prop_assert!(wide.includes(&wide));
        if wide.includes(&narrow) {
            prop_assert!(!narrow.covers("p", &arguments) || wide.covers("p", &arguments), "{wide} / {narrow} / {arguments:?}");
        }
    }

    #[test]
    fn an_argument_pattern_matches_what_those_that_it_includes_match(
        wide in "[-ab*]{0,4}", narrow in "[-ab*]{0,4}", argument in "[-ab]{0,5}",
    ) {
        let (Ok(wide), Ok(narrow)) = (ArgumentPattern::parse(&wide), ArgumentPattern::parse(&narrow)) else { return Ok(()) };
        prop_assert!(wide.includes(&wide) && narrow.includes(&narrow));
        if !wide.is_rest() && wide.includes(&narrow) {
            prop_assert!(!narrow.matches(&argument) || wide.matches(&argument), "{wide} / {narrow} / {argument}");
        }
    }

    #[test]
    fn a_path_rule_covers_what_those_that_it_includes_cover(
        wide in path_rule(), narrow in path_rule(), asked in "/[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        prop_assert!(wide.includes(&wide));
        if wide.includes(&narrow) {
            let asked = Path::new(&asked);
            prop_assert!(!narrow.covers(asked) || wide.covers(asked), "{wide} / {narrow} / {asked:?}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back(rule in http_rule(), argv in argv()) {
        let printed = Grant { http: vec![rule.clone()], ..Grant::default() };
        let line: toml::Table = printed.lines()[0].parse().unwrap();
        let value = &line["allow"]["http"][0];
        let (text, nets) = match value.as_str() {
            Some(text) => (text, vec![]),
            None => (value["rule"].as_str().unwrap(), value["addresses"].as_array().unwrap().clone()),
        };
        let nets = nets.iter().map(|net| net.as_str().unwrap().parse().unwrap()).collect();
        prop_assert_eq!(HttpRule::parse(text).unwrap().with_addresses(nets).unwrap(), rule);
        for pattern in argv {
            prop_assert_eq!(ArgumentPattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }

    #[test]
    fn a_grant_allows_what_those_that_it_includes_allow(
        wide in (vec(http_rule(), 0..4), vec(path_rule(), 0..3), vec(path_rule(), 0..3)),
        narrow in (vec(http_rule(), 0..3), vec(path_rule(), 0..2), vec(path_rule(), 0..2)),
        request in request(), asked in "/[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        let grant = |(http, read, write)| Grant { http, read, write, ..Grant::default() };
        let (wide, narrow) = (grant(wide), grant(narrow));
        prop_assert!(wide.includes(&wide) && wide.includes(&Grant::default()) && wide.includes(&wide.reading()));
        prop_assert_eq!(wide.includes(&narrow), narrow.beyond(&wide).is_empty());
        let path = PathRequest { shown: &asked, resolved: Path::new(&asked) };
        if wide.includes(&narrow) {
            prop_assert!(narrow.http(&request).is_err() || wide.http(&request).is_ok());
            prop_assert!(narrow.read(&path).is_err() || wide.read(&path).is_ok());
            prop_assert!(narrow.write(&path).is_err() || wide.write(&path).is_ok());
        }
    }

    #[test]
    fn a_preview_is_never_allowed_what_its_step_is_refused(
        (http, read, write) in (vec(http_rule(), 0..4), vec(path_rule(), 0..3), vec(path_rule(), 0..3)),
        sql in vec(select(&["read main", "write main", "write other"][..]), 0..3),
        env in vec(select(&["HOME", "TOKEN"][..]), 0..3), slots in vec(select(&["k8s", "prom", "artifacts"][..]), 0..3),
        request in request(), asked in "/[ab]{1,2}(/[ab]{1,2}){0,2}", hidden in "/[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        let slot = |to: &&str| SecretSlot::new("t", to, (*to != "artifacts").then_some("X-Token"), None).unwrap();
        let whole = Grant {
            sql: sql.into_iter().map(|text| SqlRule::parse(text).unwrap()).collect(),
            env: env.into_iter().map(|text| EnvRule::parse(text).unwrap()).collect(),
            secrets: slots.iter().map(slot).collect(),
            tcp: vec![tcp("db.prod:5432")],
            exec: vec![program(vec![])],
            reveal: vec![RevealRule::parse("token").unwrap()],
            artifacts: vec![ArtifactRule::Write, ArtifactRule::parse("read backup").unwrap()],
            http, read, write, ..Grant::default()
        };
        let preview = whole.reading().hiding(&["TOKEN"], &[Path::new(&hidden)]);
        prop_assert!(whole.includes(&preview), "{:?}", preview.beyond(&whole));
        let path = PathRequest { shown: &asked, resolved: Path::new(&asked) };
        prop_assert!(preview.read(&path).is_err() || whole.read(&path).is_ok());
        if preview.http(&request).is_ok() {
            prop_assert!(whole.http(&request).is_ok() && matches!(request.method(), Method::Get | Method::Head));
        }
        // What is refused has no line: of the step's own, a preview knows a part.
        for denial in [preview.http(&request).err(), preview.read(&path).err()].into_iter().flatten() {
            prop_assert_eq!(denial.hint, None);
        }
        // Whatever the step may do, none of this.
        prop_assert!(preview.write(&path).is_err() && preview.write_name(&path).is_err());
        prop_assert!(["main", "other"].iter().all(|peer| preview.sql(peer, Access::Write).is_err()));
        prop_assert!(preview.exec("p", &[]).is_err() && preview.reveal("token").is_err() && preview.env("TOKEN").is_err());
        prop_assert!(preview.artifact_write().is_err() && preview.artifact_read("backup").is_err());
        prop_assert!(preview.tcp("8.8.8.8:5432".parse().unwrap(), &[]).is_err() && preview.tcp_name("db.prod").is_err());
        let hidden = PathRequest { shown: &hidden, resolved: Path::new(&hidden) };
        prop_assert!(preview.read(&hidden).is_err(), "the file of a secret is not read");
        // A secret goes where a request of the preview may go, or nowhere.
        for slot in &preview.secrets {
            let peer = format!("{}:", slot.to);
            prop_assert!(preview.http.iter().any(|rule| rule.target().to_string() == peer));
        }
    }
}

fn tcp(text: &str) -> TcpRule {
    TcpRule::parse(text).unwrap()
}

fn tls(text: &str) -> TlsRule {
    TlsRule::parse(text).unwrap()
}

#[test]
fn inclusion_of_requests_is_as_one_would_expect() {
    for (wide, narrow, included) in [
        ("GET k8s:/a", "GET k8s:/a", true),
        ("GET|POST k8s:/a", "POST k8s:/a", true),
        ("GET k8s:/a", "GET|POST k8s:/a", false),
        ("* k8s:/a", "OPTIONS k8s:/a", false),
        ("GET k8s:/**", "GET k8s:/a/*/b", true),
        ("GET k8s:/**", "GET k8s:/", true),
        ("GET k8s:/a/**", "GET k8s:/a", true),
        ("GET k8s:/a/**", "GET k8s:/**", false),
        ("GET k8s:/a/*", "GET k8s:/a/**", false),
        ("GET k8s:/a/*", "GET k8s:/a/", false),
        ("GET k8s:/a/", "GET k8s:/a/", true),
        ("GET k8s:/*/b", "GET k8s:/{a,x*}/b", true),
        ("GET k8s:/{a,b}", "GET k8s:/b", true),
        ("GET k8s:/a", "GET k8s:/{a,b}", false),
        ("GET k8s:/hms-*", "GET k8s:/hms-a*", true),
        ("GET k8s:/hms-a*", "GET k8s:/hms-*", false),
        (r"GET k8s:/\*", "GET k8s:/*", false),
        ("GET k8s:/*", r"GET k8s:/\*", true),
        ("GET k8s:/a%61", "GET k8s:/aa", true),
        ("GET k8s:/*2*", "GET k8s:/%22", false),
        ("GET k8s:/a", "GET main:/a", false),
        ("GET https://k8s/a", "GET k8s:/a", false),
        ("GET https://a.example/**", "GET http://a.example/x", false),
        ("GET https://a.example/**", "GET https://a.example:8443/x", false),
    ] {
        let parsed = |text| HttpRule::parse(text).unwrap();
        assert_eq!(parsed(wide).includes(&parsed(narrow)), included, "{wide} / {narrow}");
    }
}

#[test]
fn inclusion_of_programs_is_as_one_would_expect() {
    let argv = |texts: &[&str]| texts.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect::<Vec<_>>();
    for (wide, narrow, included) in [
        (&["**"][..], &["run", "x"][..], true),
        (&["**"], &["-x", "**"], true),
        (&["run", "**"], &["**"], false),
        (&["run", "**"], &["run"], true),
        (&["run"], &["run", "**"], false),
        (&["*"], &["x"], true),
        (&["*"], &["*"], true),
        (&["*"], &[""], true),
        (&["*"], &["-x"], false),
        (&["*"], &["-*"], false),
        (&["*"], &[r"\-x"], false),
        (&["-*"], &["-x"], true),
        (&["-*"], &["*"], false),
        (&["*.sql"], &["a*.sql"], true),
        (&["*.sql"], &["a*"], false),
        (&["*"], &["x", "y"], false),
    ] {
        assert_eq!(program(argv(wide)).includes(&program(argv(narrow))), included, "{wide:?} / {narrow:?}");
    }
    let plain = program(argv(&["x"]));
    let with = |change: fn(&mut ExecRule)| {
        let mut rule = plain.clone();
        change(&mut rule);
        rule
    };
    for other in [
        with(|rule| rule.program = "/usr/bin/p".to_owned()),
        with(|rule| rule.cwd = Some("app".to_owned())),
        with(|rule| rule.peer = Some("main".to_owned())),
        with(|rule| drop(rule.env.insert("LD_PRELOAD".to_owned(), "/tmp/x.so".to_owned()))),
        with(|rule| drop(rule.secret_env.insert("TOKEN".to_owned(), "t".to_owned()))),
        with(|rule| drop(rule.secret_file.insert("KEY".to_owned(), "t".to_owned()))),
    ] {
        assert!(!plain.includes(&other) && !other.includes(&plain) && other.includes(&other), "{other}");
    }
    for other in [
        with(|rule| rule.read = vec![PathRule::new("/a", "/a")]),
        with(|rule| rule.write = vec![PathRule::new("/a", "/a")]),
        with(|rule| rule.sockets = vec![PathRule::new("/a", "/a")]),
        with(|rule| rule.ports = vec![5432]),
    ] {
        assert!(!plain.includes(&other) && other.includes(&plain) && other.includes(&other), "{other}");
    }
    let small = with(|rule| rule.limits.memory = Some(64 << 20));
    let large = with(|rule| rule.limits.memory = Some(1 << 30));
    assert!(large.includes(&small) && !small.includes(&large));
    // What a rule does not say is what is usual.
    assert!(plain.includes(&large) && !large.includes(&plain));
    let more = with(|rule| rule.limits.memory = Some(5 << 30));
    assert!(more.includes(&plain) && !plain.includes(&more));
    for (set, usual) in [
        (with(|rule| rule.limits.processes = Some(1025)), false),
        (with(|rule| rule.limits.processes = Some(1024)), true),
        (with(|rule| rule.limits.scratch = Some(1 << 30)), false),
        (with(|rule| rule.limits.file_size = Some(1 << 40)), false),
        (with(|rule| rule.limits.open_files = Some(16)), true),
        // Without a word there is no bound on the processor.
        (with(|rule| rule.limits.cpu = Some(std::time::Duration::from_secs(9))), true),
    ] {
        assert_eq!(plain.includes(&set), usual, "{set}");
    }
    let pinned = with(|rule| rule.sha256 = Some(pipe_core::digest::Digest::of(b"p")));
    assert!(plain.includes(&pinned) && !pinned.includes(&plain) && pinned.includes(&pinned));
}

#[test]
fn what_lies_beyond_is_named_by_word_and_rule() {
    let paths =
        |texts: &[&str]| texts.iter().map(|text| PathRule::new(*text, format!("/srv/{text}"))).collect::<Vec<_>>();
    let sql = |text| SqlRule::parse(text).unwrap();
    let slot = |header| SecretSlot::new("t", "argocd", Some(header), None).unwrap();
    let rules = |texts: &[&str]| texts.iter().map(|text| HttpRule::parse(text).unwrap()).collect::<Vec<_>>();
    let mail = |to: &[&str]| {
        let to = to.iter().map(|text| Recipient::parse(text).unwrap()).collect();
        MailRule::new("smtp", Address::parse("deploy@h.example").unwrap(), to).unwrap()
    };
    let ceiling = Grant {
        http: rules(&["GET k8s:/**", "POST k8s:/a"]),
        tcp: vec![tcp("db.prod:5432"), tcp("10.0.0.1:5432")],
        tls: vec![tls("api"), tls("lb.example:443")],
        sql: vec![sql("write main")],
        mail: vec![mail(&["*@h.example"])],
        reveal: vec![RevealRule::parse("token").unwrap()],
        read: paths(&["in"]),
        write: paths(&["out"]),
        disk: paths(&["in"]),
        env: vec![EnvRule::parse("HOME").unwrap()],
        secrets: vec![slot("X-Token")],
        artifacts: vec![ArtifactRule::Write],
        ..Grant::default()
    };
    let grant = Grant {
        // The two methods are allowed by two rules.
        http: rules(&["GET|POST k8s:/a", "POST k8s:/b"]),
        tcp: vec![tcp("DB.prod.:5432"), tcp("db.prod:5433"), tcp("10.0.0.1:5432")],
        tls: vec![tls("api"), tls("api.example:443"), tls("LB.example:443")],
        sql: vec![sql("read main"), sql("write main"), sql("read other")],
        mail: vec![mail(&["a@h.example", "*@H.example"]), mail(&["a@h.example", "a@evil.example"])],
        reveal: vec![RevealRule::parse("token").unwrap(), RevealRule::parse("tokens").unwrap()],
        read: paths(&["in/a", "out", "in/../etc"]),
        write: paths(&["out", "in"]),
        disk: paths(&["in", "out"]),
        env: vec![EnvRule::parse("HOME").unwrap(), EnvRule::parse("HOMER").unwrap()],
        secrets: vec![slot("x-token"), slot("Authorization")],
        exec: vec![program(vec![])],
        artifacts: vec![ArtifactRule::Write, ArtifactRule::parse("read backup").unwrap()],
        is_for_preview: false,
    };
    let beyond = grant.beyond(&ceiling);
    let shown: Vec<String> = beyond.iter().map(|(word, rule)| format!("{word} {rule}")).collect();
    assert_eq!(
        shown,
        [
            r#"http "POST k8s:/b""#,
            r#"tcp "db.prod:5433""#,
            r#"tls "api.example:443""#,
            r#"sql "read other""#,
            r#"mail { peer = "smtp", from = "deploy@h.example", to = ["a@h.example", "a@evil.example"] }"#,
            r#"read "in/../etc""#,
            r#"write "in""#,
            r#"disk "out""#,
            r#"env "HOMER""#,
            r#"secrets { name = "t", to = "argocd", header = "Authorization" }"#,
            r#"reveal "tokens""#,
            r#"exec { program = "p", argv = [] }"#,
            r#"artifacts "read backup""#,
        ]
    );
    assert!(!ceiling.includes(&grant) && grant.includes(&grant) && grant.beyond(&grant).is_empty());
    let words: std::collections::BTreeSet<Word> =
        grant.beyond(&Grant::default()).into_iter().map(|(word, _)| word).collect();
    assert_eq!(words.len(), Word::ALL.len(), "a word is left out of the comparison");
    assert!(ceiling.sql("main", Access::Read).is_ok());
}
