//! What a ceiling allows, and what an attacker who writes the pipeline cannot talk it into.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use pipe_capability::{
    artifact::ArtifactRule,
    ceiling::{
        Against, ArtifactCeiling, BackupSeen, Block, Ceiling, Excess, ExecCeiling, HttpCeiling, HttpCeilingTarget,
        MailCeiling, NamePattern, Outside, Part, PathCeiling, PeerSeen, Place, PlacePattern, PluginPattern, PluginSeen,
        Requirements, SecretCeiling, SecretDestination, SecretOrigin, SourcePattern, SqlCeiling, StepSeen,
    },
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::HttpRule,
    mail::{Address, MailRule, Recipient},
    path::PathRule,
    reveal::RevealRule,
    secret::SecretSlot,
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::TlsRule,
    word::Word,
};
use pipe_core::{digest::Digest, stage::Stage};

const STANDARD: PluginSeen = PluginSeen::Standard(Stage::Verify);

/// Peers by name and URL; `private:` before the URL puts the peer into 10.0.0.0/8.
fn outside(peers: &[(&str, &str)]) -> Outside {
    let peer = |url: &str| {
        let (url, addresses) = match url.strip_prefix("private:") {
            Some(url) => (url, vec!["10.0.0.0/8".parse().unwrap()]),
            None => (url, vec![]),
        };
        let place = Place::of_url(&url.parse().unwrap(), &addresses);
        PeerSeen { place, logins: vec![], client_key: None, hides_path: false }
    };
    Outside {
        peers: peers.iter().map(|(name, url)| ((*name).to_owned(), peer(url))).collect(),
        secrets: BTreeMap::from([
            ("db".to_owned(), SecretOrigin::Env("HMS_DB_PASSWORD".to_owned())),
            ("key".to_owned(), SecretOrigin::File("/run/secrets/key".into())),
        ]),
        base: "/srv/hms".into(),
        environment: "production".to_owned(),
    }
}

fn seen(grant: &Grant) -> StepSeen<'_> {
    StepSeen { stage: Stage::Verify, plugin: STANDARD, grant, backups: &[], backup_age: None }
}

/// A ceiling of one block.
fn ceiling(block: Block) -> Ceiling {
    Ceiling { allow: vec![block], require: Requirements::default() }
}

fn above(block: Block, grant: &Grant, outside: &Outside) -> Vec<Excess> {
    ceiling(block).excesses(&seen(grant), outside)
}

/// The ceiling's own peers are `k8s` and `main`.
fn place(name: &str) -> PlacePattern {
    match name {
        "k8s" => PlacePattern::parse("https://kube.hms.internal:6443").unwrap(),
        "main" => PlacePattern::parse("postgres://db.hms.internal/hms").unwrap(),
        _ => PlacePattern::Any,
    }
}

fn allowed(text: &str) -> HttpCeiling {
    HttpCeiling::parse(text, |target| {
        Ok(match target {
            HttpCeilingTarget::Peer(name) => place(&name),
            HttpCeilingTarget::Hosts(hosts) => hosts,
        })
    })
    .unwrap()
}

fn http(rules: &[&str]) -> Grant {
    Grant { http: rules.iter().map(|text| HttpRule::parse(text).unwrap()).collect(), ..Grant::default() }
}

fn paths(texts: &[&str]) -> Vec<PathCeiling> {
    texts.iter().map(|text| PathCeiling::parse(text).unwrap()).collect()
}

fn mail(to: &[&str]) -> MailRule {
    let to = to.iter().map(|text| Recipient::parse(text).unwrap()).collect();
    MailRule::new("smtp", Address::parse("deploy@hms.example").unwrap(), to).unwrap()
}

fn rule(path: &str) -> PathRule {
    PathRule::new(path, path)
}

#[test]
fn requests_are_compared_by_where_they_really_go() {
    let kube = "https://kube.hms.internal:6443";
    for (allow, granted, url, is_allowed) in [
        ("GET k8s:/**", "GET k8s:/version", kube, true),
        ("GET|POST k8s:/**", "POST k8s:/api/*", kube, true),
        // The name is the pipeline's, and so is where it leads.
        ("GET k8s:/**", "GET k8s:/version", "https://evil.example:6443", false),
        ("GET k8s:/**", "GET other:/version", kube, true),
        ("GET k8s:/**", "GET k8s:/version", "http://kube.hms.internal:6443", false),
        ("GET k8s:/**", "GET k8s:/version", "https://kube.hms.internal", false),
        ("GET k8s:/**", "GET k8s:/version", "private:https://kube.hms.internal:6443", false),
        ("GET k8s:/**", "GET https://kube.hms.internal:6443/version", kube, true),
        ("GET k8s:/**", "GET https://KUBE.hms.internal.:6443/version", kube, true),
        ("GET k8s:/version", "GET k8s:/**", kube, false),
        ("GET k8s:/**", "GET|DELETE k8s:/version", kube, false),
        ("* k8s:/**", "OPTIONS k8s:/version", kube, false),
        ("GET https://*.hms.internal:*/**", "GET k8s:/version", kube, true),
        ("GET https://*.hms.internal/**", "GET k8s:/version", kube, false),
        ("GET https://*.hms.internal/**", "GET https://evil.example/", kube, false),
        ("GET https://*.hms.internal/**", "GET https://hms.internal.evil.example/", kube, false),
        ("* https://*/**", "GET https://anything.example:443/x", kube, true),
        ("* https://*/**", "GET http://anything.example/x", kube, false),
        ("* https://*/**", "GET https://anything.example:8443/x", kube, false),
    ] {
        let outside = outside(&[("k8s", url), ("other", kube)]);
        let block = Block { http: vec![allowed(allow)], ..Block::default() };
        let excesses = above(block, &http(&[granted]), &outside);
        assert_eq!(excesses.is_empty(), is_allowed, "{allow} / {granted} at {url}: {excesses:?}");
    }
}

#[test]
fn a_private_address_needs_the_network_in_the_ceiling_too() {
    let net = |text: &str| vec![text.parse().unwrap()];
    let rule = HttpRule::parse("GET https://api.example/x").unwrap();
    let granted =
        |net: Vec<ipnet::IpNet>| Grant { http: vec![rule.clone().with_addresses(net).unwrap()], ..Grant::default() };
    let mut allow = allowed("GET https://api.example/**");
    let block = |allow: &HttpCeiling| Block { http: vec![allow.clone()], ..Block::default() };
    assert!(above(block(&allow), &granted(vec![]), &outside(&[])).is_empty());
    let excess = &above(block(&allow), &granted(net("169.254.0.0/16")), &outside(&[]))[0];
    assert_eq!((excess.against, &*excess.why), (Against::Rule(0, Word::Http, 0), "it does not allow these addresses"));
    allow.place = allow.place.with_addresses(net("10.0.0.0/8"));
    assert!(above(block(&allow), &granted(net("10.1.0.0/16")), &outside(&[])).is_empty());
    assert!(!above(block(&allow), &granted(net("0.0.0.0/0")), &outside(&[])).is_empty());
}

#[test]
fn a_secret_before_the_path_may_lead_to_any_path() {
    let mut outside = outside(&[("slack", "https://hooks.slack.com")]);
    let slack = outside.peers.get_mut("slack").unwrap();
    slack.hides_path = true;
    slack.logins = vec!["db".to_owned()];
    let secrets = vec![SecretCeiling {
        source: SourcePattern::Env(NamePattern::parse("*").unwrap()),
        to: SecretDestination::Any,
    }];
    let block = |text: &str| Block { http: vec![allowed(text)], secrets: secrets.clone(), ..Block::default() };
    let grant = http(&["POST slack:/"]);
    assert!(!above(block("POST https://hooks.slack.com/"), &grant, &outside).is_empty());
    assert!(above(block("POST https://hooks.slack.com/**"), &grant, &outside).is_empty());
}

#[test]
fn databases_are_compared_by_where_they_really_are() {
    let allow = |text: &str, place: PlacePattern| {
        let access = if text == "read" { Access::Read } else { Access::Write };
        Block { sql: vec![SqlCeiling { access, place }], ..Block::default() }
    };
    for (access, granted, url, is_allowed) in [
        ("read", "read main", "postgres://hms@db.hms.internal/hms", true),
        ("read", "write main", "postgres://hms@db.hms.internal/hms", false),
        ("write", "read main", "postgres://hms@db.hms.internal/hms", true),
        ("write", "write main", "postgres://hms@payroll.internal/hms", false),
        ("write", "write main", "postgres://hms@db.hms.internal/payroll", false),
        ("write", "write main", "postgres://hms@db.hms.internal:5433/hms", false),
        ("write", "write main", "private:postgres://hms@db.hms.internal/hms", false),
    ] {
        let grant = Grant { sql: vec![SqlRule::parse(granted).unwrap()], ..Grant::default() };
        let excesses = above(allow(access, place("main")), &grant, &outside(&[("main", url)]));
        assert_eq!(excesses.is_empty(), is_allowed, "{access} / {granted} at {url}: {excesses:?}");
    }
    let mut file = outside(&[("main", "https://x")]);
    file.peers.get_mut("main").unwrap().place = Place::File("/etc/shadow.db".into());
    let grant = Grant { sql: vec![SqlRule::parse("read main").unwrap()], ..Grant::default() };
    assert!(!above(allow("read", PlacePattern::parse("sqlite:/srv").unwrap()), &grant, &file).is_empty());
    assert!(above(allow("read", PlacePattern::parse("sqlite:/etc").unwrap()), &grant, &file).is_empty());
}

#[test]
fn messages_go_through_the_ceilings_server_and_to_its_people() {
    let list = |texts: &[&str]| Some(texts.iter().map(|text| Recipient::parse(text).unwrap()).collect::<Vec<_>>());
    let server = || PlacePattern::parse("smtp://mail.hms.internal").unwrap();
    let allow = |from, to| Block { mail: vec![MailCeiling { place: server(), from, to }], ..Block::default() };
    let (ours, evil) = ("smtp://mail.hms.internal:587", "smtp://mail.evil.example:587");
    let domain = list(&["*@hms.example"]);
    for (block, to, url, why) in [
        (allow(None, None), &["x@evil.example"][..], ours, None),
        (allow(None, None), &["x@evil.example"], evil, Some("nothing here allows it")),
        (allow(None, domain.clone()), &["ops@hms.example", "*@hms.example"], ours, None),
        (
            allow(None, domain.clone()),
            &["ops@hms.example", "x@evil.example"],
            ours,
            Some("it does not allow writing to x@evil.example"),
        ),
        (
            allow(None, list(&["ops@hms.example"])),
            &["*@hms.example"],
            ours,
            Some("it does not allow writing to *@hms.example"),
        ),
        (allow(domain.clone(), None), &["x@evil.example"], ours, None),
        (
            allow(list(&["ceo@hms.example"]), domain),
            &["ops@hms.example"],
            ours,
            Some("it does not allow writing as deploy@hms.example"),
        ),
    ] {
        let grant = Grant { mail: vec![mail(to)], ..Grant::default() };
        let excesses = above(block, &grant, &outside(&[("smtp", url)]));
        assert_eq!(excesses.first().map(|excess| &*excess.why), why, "{to:?} through {url}");
    }
}

#[test]
fn a_plugin_is_told_no_secret_but_those_of_the_ceiling() {
    let grant = Grant { reveal: vec![RevealRule::parse("db").unwrap()], ..Grant::default() };
    let of = |name: &str| SourcePattern::Env(NamePattern::parse(name).unwrap());
    let block = |name: &str| Block { reveal: vec![of(name)], ..Block::default() };
    assert!(above(block("HMS_*"), &grant, &outside(&[])).is_empty());
    // The name is the pipeline's; it is the source that counts.
    assert_eq!(above(block("db"), &grant, &outside(&[])).len(), 1);
    let require = Requirements { no_reveal: true, ..Requirements::default() };
    let found = Ceiling { allow: vec![block("HMS_*")], require }.excesses(&seen(&grant), &outside(&[]));
    assert_eq!(found[0].against, Against::Requirement("reveal"));
    // That it may go into a slot is not that a plugin may know it.
    let secrets = vec![SecretCeiling { source: of("*"), to: SecretDestination::Any }];
    assert_eq!(above(Block { secrets, ..Block::default() }, &grant, &outside(&[])).len(), 1);
}

#[test]
fn paths_are_compared_by_where_they_really_lead() {
    let block = || Block {
        read: paths(&["/srv/in", "./database"]),
        write: paths(&["/srv/out"]),
        disk: paths(&["/"]),
        ..Block::default()
    };
    let beside = PathRule::new("database/x", "/srv/hms/database/x");
    let link = PathRule::new("database/x", "/etc");
    for (read, write, is_allowed) in [
        (vec![rule("/srv/in/a"), rule("/srv/out")], vec![rule("/srv/out/a")], true),
        (vec![beside], vec![], true),
        (vec![link], vec![], false),
        (vec![rule("/srv")], vec![], false),
        (vec![rule("/srv/in/../../etc")], vec![], false),
        (vec![], vec![rule("/srv/in")], false),
        (vec![], vec![rule("/")], false),
    ] {
        let grant = Grant { read, write, disk: vec![rule("/anywhere")], ..Grant::default() };
        assert_eq!(above(block(), &grant, &outside(&[])).is_empty(), is_allowed, "{grant:?}");
    }
}

#[test]
fn a_secret_goes_where_the_ceiling_says_by_its_source() {
    let from = |env: &str, to: SecretDestination| SecretCeiling {
        source: SourcePattern::Env(NamePattern::parse(env).unwrap()),
        to,
    };
    let main = || SecretDestination::Peer(place("main"));
    let mut outside = outside(&[("main", "postgres://hms@db.hms.internal/hms"), ("argocd", "https://argocd.example")]);
    outside.peers.get_mut("main").unwrap().logins = vec!["db".to_owned()];
    let slot = |name: &str, to: &str| match to {
        "artifacts" => SecretSlot::new(name, to, None, None).unwrap(),
        to => SecretSlot::new(name, to, Some("X-Token"), None).unwrap(),
    };
    let login = Grant { sql: vec![SqlRule::parse("read main").unwrap()], ..Grant::default() };
    let to_artifacts = Grant { secrets: vec![slot("key", "artifacts")], ..Grant::default() };
    let to_argocd = Grant { secrets: vec![slot("db", "argocd")], ..Grant::default() };
    let mut to_program =
        Grant { exec: vec![ExecRule { program: "p".to_owned(), ..ExecRule::default() }], ..Grant::default() };
    to_program.exec[0].secret_env.insert("TOKEN".to_owned(), "db".to_owned());
    let file = |path: &str| SecretCeiling {
        source: SourcePattern::File(PathCeiling::parse(path).unwrap()),
        to: SecretDestination::Artifacts,
    };
    for (grant, secret, is_allowed) in [
        (&login, from("HMS_*", main()), true),
        (&login, from("OTHER", main()), false),
        (&login, from("*", SecretDestination::Artifacts), false),
        (&login, from("*", SecretDestination::Peer(place("k8s"))), false),
        (&login, from("*", SecretDestination::Any), true),
        (&to_argocd, from("HMS_*", main()), false),
        (&to_artifacts, file("/run/secrets"), true),
        (&to_artifacts, file("/run/secrets/other"), false),
        (&to_artifacts, from("*", SecretDestination::Any), false),
        (&to_program, from("*", SecretDestination::Programs), true),
        (&to_program, from("*", main()), false),
    ] {
        let block = Block { any: vec![Word::Sql, Word::Exec], secrets: vec![secret.clone()], ..Block::default() };
        let excesses = above(block, grant, &outside);
        assert_eq!(excesses.is_empty(), is_allowed, "{secret:?}: {excesses:?}");
    }
    // The peer is allowed, and nothing is said of its login.
    let silent = Block { any: vec![Word::Sql], ..Block::default() };
    let excess = &above(silent, &login, &outside)[0];
    assert_eq!((excess.at, excess.against), (Part::Rule(Word::Sql, 0), Against::Block(0)));
    assert_eq!(excess.means, "the secret of the variable `HMS_DB_PASSWORD` goes to postgres://hms@db.hms.internal/hms");
}

#[test]
fn a_program_is_given_no_more_than_the_ceiling_gives() {
    let argv = |texts: &[&str]| texts.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect::<Vec<_>>();
    let granted = |change: fn(&mut ExecRule)| {
        let mut rule = ExecRule { program: "pg_dump".to_owned(), argv: argv(&["-F", "c"]), ..ExecRule::default() };
        change(&mut rule);
        rule
    };
    let limit = |change: fn(&mut ExecCeiling)| {
        let mut limit = ExecCeiling { program: "pg_dump".to_owned(), ..ExecCeiling::default() };
        change(&mut limit);
        limit
    };
    let outside =
        outside(&[("main", "postgres://hms@db.hms.internal/hms"), ("evil", "postgres://hms@evil.example/hms")]);
    let plain = || granted(|_| ());
    for (limit, rule, why) in [
        (limit(|_| ()), plain(), None),
        (limit(|l| l.program = "*".to_owned()), plain(), None),
        (limit(|l| l.program = "/usr/bin/pg_dump".to_owned()), plain(), Some("nothing here allows it")),
        (limit(|l| l.argv = Some(vec![])), plain(), Some("it does not allow these arguments")),
        (
            limit(|_| ()),
            granted(|r| drop(r.env.insert("PATH".into(), "/tmp".into()))),
            Some("it does not allow the variable `PATH`"),
        ),
        (
            limit(|l| l.env = vec![NamePattern::parse("PG*").unwrap()]),
            granted(|r| drop(r.env.insert("PGOPTIONS".into(), "x".into()))),
            None,
        ),
        (limit(|_| ()), granted(|r| r.peer = Some("main".into())), Some("it does not allow the peer `main`")),
        (limit(|l| l.peer = Some(place("main"))), granted(|r| r.peer = Some("main".into())), None),
        (
            limit(|l| l.peer = Some(place("main"))),
            granted(|r| r.peer = Some("evil".into())),
            Some("it does not allow the peer `evil`"),
        ),
        (limit(|l| l.cwd = Some(PathCeiling::parse("/opt").unwrap())), plain(), Some("it does not allow this `cwd`")),
        (limit(|l| l.cwd = Some(PathCeiling::parse(".").unwrap())), plain(), None),
        (
            limit(|l| l.cwd = Some(PathCeiling::parse(".").unwrap())),
            granted(|r| r.cwd = Some("/tmp".into())),
            Some("it does not allow this `cwd`"),
        ),
        (limit(|_| ()), granted(|r| r.cwd = Some("/srv/hms".into())), Some("it does not allow this `cwd`")),
        (limit(|l| l.read = paths(&["."])), granted(|r| r.cwd = Some("/srv/hms/app".into())), None),
        (limit(|_| ()), granted(|r| r.read = vec![rule("/etc")]), Some("it does not allow reading /etc")),
        (limit(|l| l.write = paths(&["/etc"])), granted(|r| r.read = vec![rule("/etc/ssl")]), None),
        (
            limit(|l| l.read = paths(&["/etc"])),
            granted(|r| r.write = vec![rule("/etc/ssl")]),
            Some("it does not allow writing /etc/ssl"),
        ),
        (limit(|l| l.ports = vec![5432]), granted(|r| r.ports = vec![5432, 25]), Some("it does not allow port 25")),
        (
            limit(|l| l.sockets = paths(&["/run/app.sock"])),
            granted(|r| r.sockets = vec![rule("/run/docker.sock")]),
            Some("it does not allow the socket /run/docker.sock"),
        ),
        (
            limit(|_| ()),
            granted(|r| drop(r.secret_file.insert("KEY_FILE".into(), "db".into()))),
            Some("it does not allow the variable `KEY_FILE`"),
        ),
        (limit(|l| l.sha256 = Some(Digest::of(b"p"))), plain(), Some("it pins the program by `sha256`")),
        (limit(|l| l.sha256 = Some(Digest::of(b"p"))), granted(|r| r.sha256 = Some(Digest::of(b"p"))), None),
    ] {
        let grant = Grant { exec: vec![rule], ..Grant::default() };
        let block = Block { any: vec![Word::Secrets], exec: vec![limit.clone()], ..Block::default() };
        let excesses = above(block, &grant, &outside);
        assert_eq!(excesses.first().map(|excess| &*excess.why), why, "{limit:?} / {grant:?}");
    }
}

#[test]
fn a_word_of_which_nothing_is_said_is_not_allowed() {
    let outside = outside(&[
        ("main", "postgres://hms@db.hms.internal/hms"),
        ("k8s", "https://kube.hms.internal:6443"),
        ("smtp", "smtp://mail.hms.internal"),
    ]);
    let grant = Grant {
        http: http(&["GET k8s:/"]).http,
        tcp: vec![TcpRule::parse("cache.hms.internal:6379").unwrap()],
        tls: vec![TlsRule::parse("k8s").unwrap(), TlsRule::parse("lb.hms.internal:443").unwrap()],
        sql: vec![SqlRule::parse("read main").unwrap()],
        mail: vec![mail(&["ops@hms.example"])],
        read: vec![rule("/srv")],
        write: vec![rule("/srv")],
        disk: vec![rule("/srv")],
        env: vec![EnvRule::parse("HOME").unwrap()],
        secrets: vec![SecretSlot::new("key", "artifacts", None, None).unwrap()],
        reveal: vec![RevealRule::parse("db").unwrap()],
        exec: vec![ExecRule { program: "p".to_owned(), ..ExecRule::default() }],
        artifacts: vec![ArtifactRule::Write, ArtifactRule::parse("read backup").unwrap()],
        is_for_preview: false,
    };
    for word in Word::ALL {
        assert!(grant.count(word) > 0, "the test says nothing of {word}");
        let all_but = Word::ALL.into_iter().filter(|other| *other != word).collect();
        let excesses = above(Block { any: all_but, ..Block::default() }, &grant, &outside);
        assert_eq!(excesses.len(), grant.count(word), "{word}: {excesses:?}");
        for excess in excesses {
            assert!(matches!(excess.at, Part::Rule(of, _) if of == word));
            assert_eq!(excess.against, Against::Block(0));
        }
    }
    let all = Block { any: Word::ALL.to_vec(), ..Block::default() };
    assert!(above(all, &grant, &outside).is_empty());
    let artifacts = |list: &[ArtifactCeiling]| Block { any: vec![], artifacts: list.to_vec(), ..Block::default() };
    let only = Grant { artifacts: grant.artifacts, ..Grant::default() };
    assert_eq!(above(artifacts(&[ArtifactCeiling::Write]), &only, &outside).len(), 1);
    assert!(above(artifacts(&[ArtifactCeiling::Write, ArtifactCeiling::Read]), &only, &outside).is_empty());
}

#[test]
fn blocks_add_up_where_they_apply_and_nowhere_else() {
    let outside = outside(&[("k8s", "https://kube.hms.internal:6443")]);
    let grant = http(&["GET|POST k8s:/a"]);
    let block = |text: &str| Block { http: vec![allowed(text)], ..Block::default() };
    let judged = |second: Block| {
        let ceiling = Ceiling { allow: vec![block("GET k8s:/**"), second], require: Requirements::default() };
        ceiling.excesses(&seen(&grant), &outside)
    };
    assert!(judged(block("POST k8s:/a")).is_empty());
    let digest = Digest::of(b"plugin");
    for (change, applies) in [
        (Box::new(|block: &mut Block| block.stages = Some(vec![Stage::Verify])) as Box<dyn Fn(&mut Block)>, true),
        (Box::new(|block| block.stages = Some(vec![Stage::Backup])), false),
        (Box::new(|block| block.stages = Some(vec![])), false),
        (Box::new(|block| block.environments = Some(vec!["production".to_owned()])), true),
        (Box::new(|block| block.environments = Some(vec!["staging".to_owned()])), false),
        (Box::new(|block| block.plugins = Some(vec![PluginPattern::Standard])), true),
        (Box::new(|block| block.plugins = Some(vec![PluginPattern::StandardOf(Stage::Verify)])), true),
        (Box::new(|block| block.plugins = Some(vec![PluginPattern::StandardOf(Stage::Release)])), false),
        (Box::new(move |block| block.plugins = Some(vec![PluginPattern::Content(digest)])), false),
    ] {
        let mut second = block("POST k8s:/a");
        change(&mut second);
        let excesses = judged(second);
        assert_eq!(excesses.is_empty(), applies, "{excesses:?}");
        if let Some(excess) = excesses.first() {
            assert_eq!((excess.against, &*excess.why), (Against::Rule(0, Word::Http, 0), "it does not allow POST"));
        }
    }
    // A plugin counts by its content, whatever it is called.
    let vendor = |content: &[u8]| StepSeen {
        plugin: PluginSeen::File { digest: Digest::of(content), pinned: false },
        ..seen(&grant)
    };
    let mut of_plugin = block("* k8s:/**");
    of_plugin.plugins = Some(vec![PluginPattern::Content(digest)]);
    assert!(ceiling(of_plugin.clone()).excesses(&vendor(b"plugin"), &outside).is_empty());
    assert_eq!(ceiling(of_plugin).excesses(&vendor(b"another"), &outside)[0].against, Against::NoBlock);
}

#[test]
fn requirements_hold_whatever_is_allowed() {
    let outside = outside(&[("plain", "private:http://10.0.0.1"), ("k8s", "https://kube.hms.internal")]);
    let block = || Block { any: Word::ALL.to_vec(), ..Block::default() };
    let breaches = |require: Requirements, step: StepSeen<'_>| {
        let found = Ceiling { allow: vec![block()], require }.excesses(&step, &outside);
        found.into_iter().map(|excess| (excess.at, excess.against)).collect::<Vec<_>>()
    };
    let https = || Requirements { https_only: true, ..Requirements::default() };
    let mixed = http(&["GET k8s:/", "GET plain:/", "GET https://a.example/", "GET http://a.example/"]);
    let against = Against::Requirement("https_only");
    assert_eq!(
        breaches(https(), seen(&mixed)),
        [(Part::Rule(Word::Http, 1), against), (Part::Rule(Word::Http, 3), against)]
    );

    let run = |program: &str, path: Option<&str>| {
        let mut rule = ExecRule { program: program.to_owned(), ..ExecRule::default() };
        rule.env.extend(path.map(|path| ("PATH".to_owned(), path.to_owned())));
        rule
    };
    let programs = || Requirements {
        programs: Some(vec!["pg_dump".to_owned(), "/usr/bin/npm".to_owned()]),
        ..Requirements::default()
    };
    let against = Against::Requirement("programs");
    let exec = vec![
        run("pg_dump", None),
        run("/usr/bin/npm", Some("/x")),
        run("npm", None),
        run("/tmp/pg_dump", None),
        // A name is no program where the pipeline says where names are looked up.
        run("pg_dump", Some("/tmp")),
    ];
    let grant = Grant { exec, ..Grant::default() };
    let found = breaches(programs(), seen(&grant));
    assert_eq!(found, [2, 3, 4].map(|at| (Part::Rule(Word::Exec, at), against)));

    let empty = Grant::default();
    let pinned = || Requirements { pinned_plugins: true, ..Requirements::default() };
    let file = |pinned| PluginSeen::File { digest: Digest::of(b"x"), pinned };
    for (plugin, holds) in [(STANDARD, true), (file(true), true), (file(false), false)] {
        assert_eq!(breaches(pinned(), StepSeen { plugin, ..seen(&empty) }).is_empty(), holds, "{plugin:?}");
    }
}

#[test]
fn a_migration_needs_a_backup_before_it_that_may_be_all_that_is_required() {
    let empty = Grant::default();
    let backup = |clear: bool, unrestored: bool| BackupSeen {
        in_the_clear: clear.then(|| "`backup` on line 4 has `encrypt = false`".to_owned()),
        not_restored: unrestored.then(|| "`backup` on line 4 has `verify = \"read\"`".to_owned()),
    };
    let (good, clear, unrestored) = (backup(false, false), backup(true, false), backup(false, true));
    let (none, both) = (vec![], vec![clear.clone(), unrestored.clone()]);
    let (good, clear, unrestored) = (vec![good], vec![clear], vec![unrestored]);
    for (encrypted, restored, backups, expected) in [
        (true, false, &good, &[][..]),
        (true, false, &none, &[Requirements::ENCRYPTED_BACKUP]),
        (true, false, &clear, &[Requirements::ENCRYPTED_BACKUP]),
        (true, false, &unrestored, &[]),
        (false, true, &good, &[]),
        (false, true, &none, &[Requirements::RESTORED_BACKUP]),
        (false, true, &clear, &[]),
        (false, true, &unrestored, &[Requirements::RESTORED_BACKUP]),
        (true, true, &good, &[]),
        (true, true, &none, &[Requirements::ENCRYPTED_BACKUP, Requirements::RESTORED_BACKUP]),
        // One is encrypted and the other one restored: that is neither.
        (true, true, &both, &[Requirements::RESTORED_BACKUP]),
        (false, false, &none, &[]),
    ] {
        let require = Requirements {
            encrypted_backup_before_migrate: encrypted,
            restored_backup_before_migrate: restored,
            ..Requirements::default()
        };
        let ceiling = Ceiling { allow: vec![Block::default()], require };
        let step = StepSeen { stage: Stage::Migrate, backups, ..seen(&empty) };
        let found = ceiling.excesses(&step, &Outside::default());
        let keys: Vec<Against> = found.iter().map(|excess| excess.against).collect();
        let expected: Vec<Against> = expected.iter().map(|key| Against::Requirement(key)).collect();
        assert_eq!(keys, expected, "{encrypted} {restored} {backups:?}");
        assert!(backups.is_empty() || found.iter().all(|excess| excess.means.contains("line 4")), "{found:?}");
        let release = StepSeen { stage: Stage::Release, backups, ..seen(&empty) };
        assert!(ceiling.excesses(&release, &Outside::default()).is_empty(), "a release leans on no backup");
    }
}

#[test]
fn a_backup_may_be_no_older_than_the_ceiling_says() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let empty = Grant::default();
    let require = Requirements { backup_max_age: Some(hours(12)), ..Requirements::default() };
    let ceiling = Ceiling { allow: vec![Block::default()], require };
    for (age, holds) in [(None, true), (Some(hours(12)), true), (Some(hours(13)), false)] {
        let step = StepSeen { stage: Stage::Migrate, backup_age: age, ..seen(&empty) };
        assert_eq!(ceiling.excesses(&step, &Outside::default()).is_empty(), holds, "{age:?}");
    }
}

#[test]
fn what_is_not_known_is_not_allowed() {
    let outside = Outside { base: PathBuf::from("/srv"), ..Outside::default() };
    let all = || Block { any: Word::ALL.to_vec(), ..Block::default() };
    let slot = SecretSlot::new("unknown", "artifacts", None, None).unwrap();
    for grant in [
        http(&["GET ghost:/"]),
        Grant { sql: vec![SqlRule::parse("read ghost").unwrap()], ..Grant::default() },
        Grant { secrets: vec![slot], ..Grant::default() },
    ] {
        assert_eq!(above(all(), &grant, &outside).len(), 1, "{grant:?}");
    }
    assert_eq!(Ceiling::default().excesses(&seen(&http(&["GET https://a.example/"])), &outside).len(), 1);
    assert!(Ceiling::default().excesses(&seen(&Grant::default()), &outside).is_empty());
}
