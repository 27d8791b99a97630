//! Programs as a step runs them: what they get, what they may, and that nothing of them stays.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/place.rs"]
mod place;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pipe_core::{digest::Digest, proof::ProofKey};
use pipe_effects::{
    error::ErrorKind,
    process::{Channel, Exit},
    world::{Peer, TlsMode},
};

use crate::place::{
    Place, add_secret, alive, command, eventually, exec_grant, exec_rule, mark, run, shell, shell_grant,
};

#[tokio::test]
async fn exits_are_told_exactly() {
    let place = Place::new();
    let session = place.session(shell_grant());
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("exit 255", Exit::Code(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -15 $$", Exit::Signal(15)),
        ("kill -35 $$", Exit::Signal(35)),
        ("kill -64 $$", Exit::Signal(64)),
    ] {
        assert_eq!(run(&session, shell(script)).await.unwrap().exit, exit, "{script}");
    }
    session.close().await;
}

#[tokio::test]
async fn output_and_errors_come_apart_and_whole() {
    let place = Place::new();
    let session = place.session(shell_grant());
    let ran = run(&session, shell("echo out; echo err >&2; head -c 300000 /dev/zero | tr '\\0' x")).await.unwrap();
    assert_eq!(ran.errors, "err\n");
    assert_eq!(ran.output, format!("out\n{}", "x".repeat(300_000)));
    let mut child = session.start(shell("head -c 200000 /dev/zero")).await.unwrap();
    while let Some(chunk) = child.read().await.unwrap() {
        assert_eq!(chunk.channel, Channel::Output);
        assert!(chunk.data.len() <= 64 * 1024 && !chunk.data.is_empty());
    }
}

#[tokio::test]
async fn waiting_discards_what_was_not_read() {
    let place = Place::new();
    let session = place.session(shell_grant());
    let mut child = session.start(shell("head -c 10000000 /dev/zero; exit 3")).await.unwrap();
    assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
    assert_eq!(child.read().await.unwrap(), None);
    assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
}

#[tokio::test]
async fn what_no_rule_covers_is_denied_with_the_line_that_would() {
    let place = Place::new();
    let session = place.session(exec_grant(vec![exec_rule("echo", &["hello"])]));
    for refused in [
        command("echo", &["bye"]),
        command("echo", &[]),
        command("sh", &["-c", "true"]),
        command("/bin/echo", &["hello"]),
    ] {
        let error = session.start(refused.clone()).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Denied, "{refused:?}");
        let hint = error.hint.unwrap();
        assert!(hint.starts_with("allow.exec = [") && hint.contains(&refused.program), "{hint}");
    }
    assert_eq!(place.ledger.records().refusals.len(), 4);
    assert_eq!(place.ledger.used_lines(), Vec::<String>::new());
    assert_eq!(run(&session, command("echo", &["hello"])).await.unwrap().output, "hello\n");
    let records = place.ledger.records();
    assert_eq!((records.uses[0].subject.as_str(), records.uses[0].effect), ("echo hello", true));
    assert_eq!(records.uses[0].rule, r#"{ program = "echo", argv = ["hello"] }"#);
}

#[tokio::test]
async fn there_is_no_shell() {
    let place = Place::new();
    let session = place.session(exec_grant(vec![exec_rule("echo", &["**"])]));
    let ran = run(&session, command("echo", &["$HOME", "`id`", "*", "a;b", "~", "'q'"])).await.unwrap();
    assert_eq!(ran.output, "$HOME `id` * a;b ~ 'q'\n");
    // The rule fixes none of them, so the record holds none of them; whoever knows them can prove it.
    assert_eq!(place.ledger.used_lines(), ["exec echo … … … … … …"]);
    let text = "$HOME\0`id`\0*\0a;b\0~\0'q'\0";
    let proof = ProofKey::new(&[7; 32]).of("exec", text.as_bytes());
    assert_eq!(place.ledger.records().uses[0].proof, Some(proof));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_of_the_start() {
    let place = Place::new();
    let script = place.base.join("no-interpreter");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = script.to_str().unwrap();
    let session = place.session(exec_grant(vec![exec_rule("no-such-program", &[]), exec_rule(path, &[])]));
    let missing = session.start(command("no-such-program", &[])).await.err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Unavailable);
    assert!(missing.hint.unwrap().contains("/usr/bin"), "{}", missing.message);
    let broken = session.start(command(path, &[])).await.err().unwrap();
    assert!(broken.message.contains("cannot start") && broken.message.contains("No such file"), "{}", broken.message);
    session.close().await;
}

#[tokio::test]
async fn the_environment_is_clean() {
    let place = Place::new();
    fs::create_dir(place.base.join("app")).unwrap();
    let mut rule = exec_rule("env", &["**"]);
    rule.env = [("MODE".into(), "x y".into()), ("PATH".into(), ".:/usr/bin:bin".into())].into();
    rule.cwd = Some("app".into());
    let session = place.session(exec_grant(vec![rule, exec_rule("sh", &["-c", "*"])]));
    let ran = run(&session, command("env", &[])).await.unwrap();
    let names: Vec<&str> = ran.output.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, ["HOME", "LANG", "MODE", "PATH", "TMPDIR"]);
    assert!(ran.output.contains("PATH=/usr/bin\n") && ran.output.contains("MODE=x y\n"), "{}", ran.output);
    let ran = run(&session, command("env", &["pwd"])).await.unwrap();
    assert_eq!(ran.output.trim(), place.base.join("app").to_str().unwrap());

    let ran = run(&session, shell("pwd; stat -c %a $TMPDIR; touch $TMPDIR/left; echo $TMPDIR")).await.unwrap();
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[0], place.base.to_str().unwrap());
    assert_eq!(lines[1], "700");
    assert!(!std::path::Path::new(lines[2]).exists(), "{} is left", lines[2]);
}

#[tokio::test]
async fn nothing_is_inherited() {
    let place = Place::new();
    let session = place.session(shell_grant());
    // A descriptor that some library forgot to close.
    let leaked = fs::File::open("/etc/passwd").unwrap();
    fcntl(&leaked, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let ran = run(
        &session,
        shell(
            "for f in /proc/$$/fd/*; do readlink $f; done; cat; exec grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status",
        ),
    )
    .await
    .unwrap();
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[0], "/dev/null");
    assert!(lines[1].starts_with("pipe:") && lines[2].starts_with("pipe:"), "{}", ran.output);
    assert!(
        ran.output.contains("NoNewPrivs:\t1") && ran.output.contains("SigBlk:\t0000000000000000"),
        "{}",
        ran.output
    );
    // Signals 32 and 33 are libc's own, and no program can touch them. What is ignored here already, under `nohup` say, stays so.
    let ignored = |lines: &[&str]| {
        let mask = lines.iter().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        u64::from_str_radix(mask, 16).unwrap() & !0x1_8000_0000
    };
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let (theirs, ours) = (ignored(&lines), ignored(&own.lines().collect::<Vec<_>>()));
    assert_eq!(theirs & !ours, 0, "{theirs:x}");
    assert_eq!(lines.len(), 6, "{}", ran.output);
    assert_eq!(
        run(&session, shell("ls /dev/tty && : < /dev/tty")).await.unwrap().exit,
        Exit::Code(2),
        "has a terminal"
    );
}

#[tokio::test]
async fn secrets_are_in_the_environment_alone_and_masked_in_output() {
    let place = Place::new();
    let mut world = place.world();
    add_secret(&mut world, "db", "correct-horse-battery");
    let mut rule = exec_rule("sh", &["-c", "*"]);
    rule.secret_env = [("TOKEN".into(), "db".into())].into();
    let session = place.session_in(exec_grant(vec![rule]), world);
    let script = "printf %s \"$TOKEN\" | head -c 9; sleep 0.2; printf %s \"$TOKEN\" | tail -c +10; echo; \
                  printf %s \"$TOKEN\" | wc -c; for f in /proc/[0-9]*/cmdline; do \
                  case \"$(tr '\\0' ' ' 2>/dev/null < $f)\" in *\"$TOKEN\"*) echo $f;; esac; done";
    let ran = run(&session, shell(script)).await.unwrap();
    assert_eq!(ran.output, "[secret]\n21\n");
    assert_eq!(place.ledger.used_lines()[1], "secrets db as TOKEN of sh");
}

#[tokio::test]
async fn a_program_gets_the_login_of_its_peer() {
    let place = Place::new();
    let mut world = place.world();
    add_secret(&mut world, "db", "pass:wo\\rd-of-db");
    let peer = Peer {
        name: "main".into(),
        url: "postgres://h%40ms@localhost:5433/hms".parse().unwrap(),
        password: Some("db".into()),
        bearer: None,
        secret_path: None,
        tls: TlsMode::VerifyFull,
        ca: None,
        client: None,
        addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        pinned: None,
    };
    world.peers.insert("main".into(), peer);
    let mut rule = exec_rule("sh", &["-c", "*"]);
    rule.peer = Some("main".into());
    let session = place.session_in(exec_grant(vec![rule]), world);
    let script = "echo $PGHOST $PGHOSTADDR | sed 's/localhost,//; s/127.0.0.1,::1/127.0.0.1/; s/::1,127.0.0.1/127.0.0.1/'; \
                  echo $PGPORT $PGUSER $PGDATABASE $PGSSLMODE $PGSSLROOTCERT $PGAPPNAME; \
                  stat -c %a $PGPASSFILE; cut -c 1-26 $PGPASSFILE; wc -l < $PGPASSFILE";
    let ran = run(&session, shell(script)).await.unwrap();
    assert_eq!(
        ran.output,
        "localhost 127.0.0.1\n5433 h@ms hms verify-full /etc/ssl/certs/ca-certificates.crt pipe backup\n600\n\
         localhost:5433:*:h@ms:pass\n1\n"
    );
}

#[tokio::test]
async fn a_program_is_not_sent_to_an_address_that_its_peer_may_not_have() {
    let place = Place::new();
    let mut world = place.world();
    let peer = Peer {
        name: "main".into(),
        url: "postgres://hms@localhost:5433/hms".parse().unwrap(),
        password: None,
        bearer: None,
        secret_path: None,
        tls: TlsMode::VerifyFull,
        ca: None,
        client: None,
        addresses: Vec::new(),
        pinned: None,
    };
    world.peers.insert("main".into(), peer);
    let mut rule = exec_rule("true", &[]);
    rule.peer = Some("main".into());
    let session = place.session_in(exec_grant(vec![rule]), world);
    let error = session.start(command("true", &[])).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.starts_with("exec main: ") && error.message.contains("loopback"), "{}", error.message);
    assert_eq!(place.ledger.used_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_flood_waits_for_the_guest_and_is_cut_off() {
    let (place, flood) = (Place::new(), mark(0));
    let session = place.session(exec_grant(vec![exec_rule("yes", &[&flood])]));
    let mut child = session.start(command("yes", &[&flood])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pid = alive(&flood)[0];
    let written = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let written: u64 = written.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap();
    assert!(written <= 1 << 20, "{written} bytes without a reader");
    let mut read = 0;
    let error = loop {
        match child.read().await {
            Ok(Some(chunk)) => read += chunk.data.len(),
            Ok(None) => panic!("ended after {read} bytes"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Limit);
    assert!(read <= 64 << 20, "{read}");
    assert_eq!(child.wait().await.unwrap_err().kind, ErrorKind::Limit);
    assert_eq!(alive(&flood), Vec::<u32>::new());
}

/// Daemons in every way that sh knows, all with one mark.
const DAEMONS: &str = "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep MARK & sleep MARK' &) & \
                       setsid sleep MARK & nohup sleep MARK >/dev/null 2>&1 & ";

#[tokio::test]
async fn the_deadline_ends_everything() {
    let (place, mark) = (Place::new(), mark(1));
    let session = place.session(shell_grant());
    let mut child = session.start(shell(&format!("{DAEMONS} sleep MARK").replace("MARK", &mark))).await.unwrap();
    eventually("all have started", || alive(&format!("sleep {mark}")).len() >= 5).await;
    let (waiting, began) = (tokio::spawn(async move { child.wait().await }), Instant::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    session.close().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(alive(&mark), Vec::<u32>::new());
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::TimedOut);
    assert_eq!(session.start(shell("true")).await.err().unwrap().kind, ErrorKind::TimedOut);
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let (place, mark) = (Place::new(), mark(2));
    let session = place.session(shell_grant());
    let script = format!("{DAEMONS} sleep 0.3; exit 4").replace("MARK", &mark);
    let ran = run(&session, shell(&script)).await.unwrap();
    assert_eq!(ran.exit, Exit::Code(4));
    assert_eq!(alive(&mark), Vec::<u32>::new());
}

#[tokio::test]
async fn dropping_a_child_ends_it() {
    let (place, mark) = (Place::new(), mark(3));
    let session = place.session(shell_grant());
    let child = session.start(shell(&format!("sleep {mark}"))).await.unwrap();
    drop(child);
    eventually("the program has ended", || alive(&mark).is_empty()).await;
    session.close().await;
}

#[tokio::test]
async fn a_program_neither_ends_nor_stops_its_supervisor() {
    for (test, signal) in [(4, "KILL"), (5, "STOP"), (6, "TERM")] {
        let (place, mark) = (Place::new(), mark(test));
        let session = place.session(shell_grant());
        let script = format!("(setsid sleep {mark} &) & kill -{signal} $PPID; kill -{signal} -1; sleep {mark}");
        let _child = session.start(shell(&script)).await.unwrap();
        eventually("all have started", || !alive(&format!("sleep {mark}")).is_empty()).await;
        session.close().await;
        assert_eq!(alive(&mark), Vec::<u32>::new(), "{signal}");
    }
}

#[tokio::test]
async fn a_supervisor_that_somebody_stopped_is_ended_by_force() {
    let (place, mark) = (Place::new(), mark(9));
    let session = place.session(shell_grant());
    let script = format!("(setsid sleep {mark} &) & sleep {mark}");
    let _child = session.start(shell(&script)).await.unwrap();
    eventually("all have started", || alive(&format!("sleep {mark}")).len() >= 2).await;
    for pid in alive("examples/confine") {
        let parent = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        if parent.contains(&format!("PPid:\t{}\n", std::process::id())) {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP);
        }
    }
    session.close().await;
    assert_eq!(alive(&mark), Vec::<u32>::new());
}

/// Variable that tells the host below what to run.
const MARK: &str = "PIPE_TEST_MARK";

/// Not a test: the host that the next test kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn host_to_be_killed() {
    let (place, mark) = (Place::new(), std::env::var(MARK).unwrap());
    let session = place.session(shell_grant());
    let mut child = session.start(shell(&format!("{DAEMONS} sleep MARK").replace("MARK", &mark))).await.unwrap();
    let _ = child.wait().await;
}

#[tokio::test]
async fn programs_do_not_outlive_a_host_that_was_killed() {
    let mark = mark(7);
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host_to_be_killed", "--ignored"])
        .env(MARK, &mark)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("all have started", || alive(&format!("sleep {mark}")).len() >= 5).await;
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("all have ended", || alive(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_pinned_program_is_the_one_that_was_read() {
    let place = Place::new();
    let program = place.base.join("program");
    fs::copy("/usr/bin/env", &program).unwrap();
    let path = program.to_str().unwrap();
    let mut rule = exec_rule(path, &["**"]);
    rule.sha256 = Some(Digest::of(&fs::read(&program).unwrap()));
    let session = place.session(exec_grant(vec![rule.clone()]));
    assert_eq!(run(&session, command(path, &["echo", "pinned"])).await.unwrap().output, "pinned\n");

    rule.sha256 = Some(Digest::of(b"another"));
    let session = place.session(exec_grant(vec![rule.clone()]));
    let error = session.start(command(path, &["true"])).await.err().unwrap();
    assert!(error.kind == ErrorKind::Denied && error.message.contains("sha256"), "{}", error.message);

    fs::write(&program, "#!/bin/sh\n").unwrap();
    rule.sha256 = Some(Digest::of(b"#!/bin/sh\n"));
    let session = place.session(exec_grant(vec![rule]));
    let error = session.start(command(path, &[])).await.err().unwrap();
    assert!(error.message.contains("script"), "{}", error.message);
}

#[tokio::test]
async fn many_programs_run_at_once() {
    let place = Place::new();
    let session = place.session(shell_grant());
    let running: Vec<_> = (0..30)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move { run(&session, shell(&format!("echo {n}; exit {n}"))).await })
        })
        .collect();
    for (n, ran) in running.into_iter().enumerate() {
        let ran = ran.await.unwrap().unwrap();
        assert_eq!((ran.output, ran.exit), (format!("{n}\n"), Exit::Code(i32::try_from(n).unwrap())));
    }
}
