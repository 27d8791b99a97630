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
        sha256: Some(Digest::from_bytes([0xab; 32])),
        ..rule("npm", &["run", r"\*", "**"])
    };
    assert_eq!(
        full.to_string(),
        format!(
            r#"{{ program = "npm", argv = ["run", '\*', "**"], cwd = "app", env = {{ A = "1", B = '"' }}, peer = "main", secret_env = {{ TOKEN = "t" }}, sha256 = "{}" }}"#,
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
