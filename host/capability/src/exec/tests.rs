use std::time::Duration;

use pipe_core::units::ByteSize;

use super::*;

fn rule(program: &str, argv: &[&str]) -> ExecRule {
    let argv = argv.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect();
    ExecRule { program: program.to_owned(), argv, ..ExecRule::default() }
}

fn arguments(list: &[&str]) -> Vec<String> {
    list.iter().map(|&argument| argument.to_owned()).collect()
}

#[test]
fn arguments_are_matched_by_position() {
    for (argv, given, covered) in [
        (&[][..], &[][..], true),
        (&[], &["x"], false),
        (&["-F", "c"], &["-F", "c"], true),
        (&["-F", "c"], &["c", "-F"], false),
        (&["-F", "c"], &["-F"], false),
        (&["-F", "c"], &["-F", "c", "x"], false),
        (&["-F", "*"], &["-F", "d"], true),
        (&["-F", "*"], &["-F", "--file=/etc/x"], false),
        (&["**"], &[], true),
        (&["**"], &["-x", "y"], true),
        (&["run", "**"], &["run"], true),
        (&["run", "**"], &["run", "--all"], true),
        (&["run", "**"], &[], false),
        (&["run", "**"], &["stop"], false),
        (&["**", "x"], &["a", "x"], false),
        (&["**"], &["a\0b"], false),
    ] {
        assert_eq!(rule("p", argv).covers("p", &arguments(given)), covered, "{argv:?} {given:?}");
    }
}

#[test]
fn programs_are_compared_as_written() {
    for (program, asked, covered) in [
        ("pg_dump", "pg_dump", true),
        ("pg_dump", "/usr/bin/pg_dump", false),
        ("/usr/bin/pg_dump", "/usr/bin/pg_dump", true),
        ("/usr/bin/pg_dump", "/usr/bin/../bin/pg_dump", false),
        ("/usr/bin/pg_dump", "pg_dump", false),
        ("pg_dump", "PG_DUMP", false),
    ] {
        assert_eq!(rule(program, &[]).covers(asked, &[]), covered, "{program} {asked}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let sound = || rule("npm", &["run"]);
    let limited = |limits: ExecLimits| ExecRule { limits, ..sound() };
    let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    assert!(sound().checked().is_ok());
    assert!(rule("/usr/bin/npm", &["**"]).checked().is_ok());
    for program in ["", "./x", "a/b", "..", "/usr/../x", "//x", "/x/", "/", "npm run", "n*", "a\nb", "a\0"] {
        assert_eq!(rule(program, &[]).checked().unwrap_err().field, Some("program"), "{program}");
    }
    for (broken, field) in [
        (rule("npm", &["**", "x"]), "argv"),
        (rule("npm", &["**", "**"]), "argv"),
        (ExecRule { cwd: Some(String::new()), ..sound() }, "cwd"),
        (ExecRule { env: map("A=B", ""), ..sound() }, "env"),
        (ExecRule { env: map("A", "\0"), ..sound() }, "env"),
        (ExecRule { secret_env: map("", "s"), ..sound() }, "secret_env"),
        (ExecRule { secret_env: map("A", "a b"), ..sound() }, "secret_env"),
        (ExecRule { env: map("A", "x"), secret_env: map("A", "s"), ..sound() }, "secret_env"),
        (ExecRule { peer: Some("Main".to_owned()), ..sound() }, "peer"),
        (ExecRule { secret_file: map("", "s"), ..sound() }, "secret_file"),
        (ExecRule { secret_file: map("A", "a b"), ..sound() }, "secret_file"),
        (ExecRule { env: map("A", "x"), secret_file: map("A", "s"), ..sound() }, "secret_file"),
        (ExecRule { secret_env: map("A", "s"), secret_file: map("A", "s"), ..sound() }, "secret_file"),
        (ExecRule { read: vec![PathRule::new("", "/")], ..sound() }, "read"),
        (ExecRule { write: vec![PathRule::new("a\0", "/a\0")], ..sound() }, "write"),
        (ExecRule { sockets: vec![PathRule::new("", "/")], ..sound() }, "sockets"),
        (ExecRule { ports: vec![443, 0], ..sound() }, "ports"),
        (limited(ExecLimits { memory: Some((32 << 20) - 1), ..ExecLimits::default() }), "memory"),
        (limited(ExecLimits { cpu: Some(Duration::from_millis(500)), ..ExecLimits::default() }), "cpu"),
        (limited(ExecLimits { cpu: Some(Duration::from_millis(1500)), ..ExecLimits::default() }), "cpu"),
        (limited(ExecLimits { processes: Some(0), ..ExecLimits::default() }), "processes"),
        (limited(ExecLimits { processes: Some((1 << 20) + 1), ..ExecLimits::default() }), "processes"),
        (limited(ExecLimits { scratch: Some(0), ..ExecLimits::default() }), "scratch"),
        (limited(ExecLimits { file_size: Some(0), ..ExecLimits::default() }), "file_size"),
        (limited(ExecLimits { open_files: Some(15), ..ExecLimits::default() }), "open_files"),
        (limited(ExecLimits { open_files: Some((1 << 20) + 1), ..ExecLimits::default() }), "open_files"),
    ] {
        assert_eq!(broken.clone().checked().unwrap_err().field, Some(field), "{broken}");
    }
}

#[test]
fn a_rule_prints_every_field() {
    let full = ExecRule {
        cwd: Some("app".to_owned()),
        env: BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "\"".to_owned())]),
        peer: Some("main".to_owned()),
        secret_env: BTreeMap::from([("TOKEN".to_owned(), "t".to_owned())]),
        secret_file: BTreeMap::from([("KEY".to_owned(), "k".to_owned())]),
        read: vec![PathRule::new("conf", "/srv/conf"), PathRule::new("/opt/x", "/opt/x")],
        write: vec![PathRule::new("out", "/srv/out")],
        ports: vec![443, 53],
        sockets: vec![PathRule::new("/run/docker.sock", "/run/docker.sock")],
        limits: ExecLimits {
            memory: Some(1536 << 20),
            processes: Some(8),
            scratch: Some(100 << 10),
            file_size: Some(5000),
            open_files: Some(256),
            cpu: Some(Duration::from_secs(90)),
        },
        sha256: Some(Digest::from_bytes([0xab; 32])),
        ..rule("npm", &["run", r"\*", "**"])
    };
    let printed: toml::Table = format!("rule = {full}").parse().unwrap();
    assert_eq!(printed["rule"]["memory"].as_str().unwrap().parse(), Ok(ByteSize(1536 << 20)));
    assert_eq!(
        full.to_string(),
        format!(
            r#"{{ program = "npm", argv = ["run", '\*', "**"], cwd = "app", env = {{ A = "1", B = '"' }}, peer = "main", secret_env = {{ TOKEN = "t" }}, secret_file = {{ KEY = "k" }}, read = ["conf", "/opt/x"], write = ["out"], ports = [443, 53], sockets = ["/run/docker.sock"], memory = "1536MiB", processes = 8, scratch = "100KiB", file_size = "5000B", open_files = 256, cpu = "90s", sha256 = "{}" }}"#,
            "ab".repeat(32)
        )
    );
}

#[test]
fn the_narrowest_rule_gives_nothing_but_keeps_the_pin() {
    let pinned = ExecRule {
        peer: Some("main".to_owned()),
        sha256: Some(Digest::from_bytes([1; 32])),
        ..rule("pg_dump", &["-F", "c"])
    };
    let given = arguments(&["-F", "*", r"\d"]);
    let narrow = ExecRule::narrowest("pg_dump", &given, [&rule("pg_dump", &[]), &pinned].into_iter()).unwrap();
    assert_eq!(narrow.sha256, pinned.sha256);
    assert_eq!(narrow.peer, None);
    assert!(narrow.covers("pg_dump", &given));
    assert!(!narrow.covers("pg_dump", &arguments(&["-F", "c", r"\d"])));
    assert_eq!(ExecRule::narrowest("./x", &[], [].into_iter()), None);
    assert_eq!(ExecRule::narrowest("x", &arguments(&["a\0"]), [].into_iter()), None);
}

#[test]
fn a_login_is_not_led_to_another_server() {
    let rule = |argv: &[&str], peer: Option<&str>| ExecRule {
        program: "pg_dump".to_owned(),
        argv: argv.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect(),
        peer: peer.map(str::to_owned),
        ..ExecRule::default()
    };
    let covers = |argv: &[&str], peer, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(|text| (*text).to_owned()).collect();
        rule(argv, peer).covers("pg_dump", &asked)
    };
    for (argv, asked) in [
        (&["-F", "c", "*"][..], &["-F", "c", "hostaddr=6.6.6.6 sslmode=disable dbname=x"][..]),
        (&["-F", "c", "*"], &["-F", "c", "postgres://u@db/x?hostaddr=6.6.6.6"]),
        (&["--dbname=*"], &["--dbname=postgres:///x?hostaddr=6.6.6.6"]),
        (&["--dbname=*"], &["--dbname=other"]),
        (&["-*"], &["-h6.6.6.6"]),
        (&["-*"], &["-vh6.6.6.6"]),
        (&["**"], &["-d", "x"]),
        (&["**"], &["--host", "6.6.6.6"]),
        (&["**"], &["--ho", "6.6.6.6"]),
        (&["**"], &["service=evil"]),
    ] {
        assert!(!covers(argv, Some("main"), asked), "{asked:?}");
        assert!(covers(argv, None, asked), "{asked:?}: it has no login to lose");
    }
    for (argv, asked) in [
        (&["-F", "c", "*"][..], &["-F", "c", "hms"][..]),
        (&["--table=*"], &["--table=patients"]),
        (&["--dbname=hms", "**"], &["--dbname=hms", "--verbose", "--schema-only"]),
    ] {
        assert!(covers(argv, Some("main"), asked), "{asked:?}");
    }
}

#[test]
fn a_limit_is_raised_by_a_line_that_gives_twice_as_much() {
    for (limits, bound, raised) in [
        (ExecLimits::default(), Bound::Memory, r#"memory = "8GiB""#),
        (ExecLimits::default(), Bound::Processes, "processes = 2048"),
        (ExecLimits::default(), Bound::Scratch, r#"scratch = "1GiB""#),
        (ExecLimits { file_size: Some(3 << 20), ..ExecLimits::default() }, Bound::FileSize, r#"file_size = "6MiB""#),
        (ExecLimits { cpu: Some(Duration::from_secs(45)), ..ExecLimits::default() }, Bound::Cpu, r#"cpu = "90s""#),
        (ExecLimits { open_files: Some(1 << 20), ..ExecLimits::default() }, Bound::OpenFiles, "open_files = 1048576"),
    ] {
        let rule = ExecRule { limits, ..rule("npm", &["ci"]) };
        let line = format!(r#"allow.exec = [{{ program = "npm", argv = ["ci"], {raised} }}]"#);
        assert_eq!(rule.raised(bound), line);
    }
}

#[test]
fn every_bound_is_found_by_its_key() {
    for bound in Bound::ALL {
        assert_eq!(Bound::of_key(bound.key()), Some(bound));
    }
    assert_eq!(Bound::of_key("peer"), None);
}
