//! Programs that a guest runs: each within a fence of its own, which its rule makes and not the grant of the step.

use std::{net::TcpListener, os::unix::net::UnixListener, thread};

use crate::{
    Behaviour, Scene,
    scene::{Seen, content},
};

/// The guest runs `sh -c SCRIPT`, by a rule that says also what stands in `more`.
fn shell(script: &str, more: &str) -> Scene {
    let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["sh", "-c", script]);
    allow(scene, "sh", "-c", more)
}

fn allow(scene: Scene, program: &str, option: &str, more: &str) -> Scene {
    scene.allow(&format!("allow.exec = [{{ program = \"{program}\", argv = [\"{option}\", \"*\"]{more} }}]"))
}

/// The program ran, and what it tried did not work.
#[track_caller]
fn stopped(seen: &Seen, words: &str) {
    assert_eq!(seen.ended.code, 1, "{}", seen.ended);
    assert!(seen.ended.stderr.contains(words), "{}", seen.ended);
}

#[track_caller]
fn ran(seen: &Seen) -> &str {
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    seen.observed()
}

#[test]
pub(crate) fn a_program_does_not_read_what_its_rule_does_not_name() {
    for path in ["/etc/shadow", "state/journal.db", "pipeline.toml", "data/open.txt"] {
        let scene = shell(&format!("cat {path}"), "").file("data/open.txt", "open");
        // What the step may read is not what its program may.
        stopped(&scene.allow("allow.read = [\"data\"]").run(), "Permission denied");
    }
    let scene = shell("cat data/open.txt", ", read = [\"data\"]").file("data/open.txt", "open");
    assert_eq!(ran(&scene.run()), "open");
}

#[test]
pub(crate) fn what_an_earlier_step_makes_is_read_and_written_by_a_program_of_a_later_one() {
    let before = "[[step]]\nname = \"before\"\nstage = \"verify\"\nplugin = \"hostile\"\nallow.write = [\"work\"]\n\
                  with = { behaviour = \"write-file\", path = \"work/report\" }\n";
    let script = "cat work/report; echo more >> work/report";
    let later = |more: &str| shell(script, more).file("work/.keep", "").head(before);
    assert_eq!(ran(&later(", read = [\"work/report\"], write = [\"work/report\"]").run()), "hostile");
    // Only what lies where that step may write is to come; and what is to come is no link.
    for more in [", read = [\"elsewhere/report\"]", ", write = [\"elsewhere/report\"]"] {
        later(more).refused_at_start();
    }
    let link = before.replace("write-file", "make-link").replace(" }", ", to = \"../private\" }");
    let scene = shell("cat work/report/diagnosis", ", read = [\"work/report\"]").file("work/.keep", "").head(&link);
    let seen = scene.file("private/diagnosis", "confidential").run();
    assert_ne!(seen.ended.code, 0, "{}", seen.ended);
    assert!(!seen.ended.stderr.contains("confidential") && seen.observed().is_empty(), "{}", seen.ended);
}

#[test]
pub(crate) fn a_program_does_not_write_where_its_rule_does_not_say() {
    for path in ["data/new", "/tmp/pipe-sandbox-test", "/etc/pipe-sandbox-test"] {
        let scene = shell(&format!("echo x > {path}"), ", read = [\"data\"]").file("data/open.txt", "open");
        let seen = scene.allow("allow.write = [\"data\"]").run();
        assert_eq!(seen.ended.code, 1, "{path}: {}", seen.ended);
    }
    let scene = shell("echo x > data/new", ", write = [\"data\"]").file("data/open.txt", "open");
    ran(&scene.run());
    assert_eq!(content(&scene.deployment.at("data/new")), "x\n");
}

#[test]
pub(crate) fn a_program_connects_to_granted_ports_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || while listener.accept().is_ok() {});
    let connect = |kind: &str, more: &str| {
        let script = format!("exec 3<>/dev/{kind}/127.0.0.1/{port} && echo connected");
        let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["bash", "-c", &script]);
        allow(scene, "bash", "-c", more).run()
    };
    assert_eq!(ran(&connect("tcp", &format!(", ports = [{port}]"))), "connected");
    stopped(&connect("tcp", ""), "Operation not permitted");
    stopped(&connect("tcp", &format!(", ports = [{}]", if port == 443 { 80 } else { 443 })), "Permission denied");
    stopped(&connect("udp", &format!(", ports = [{port}]")), "Operation not permitted");
}

#[test]
pub(crate) fn a_program_connects_to_granted_sockets_alone() {
    let connect = |more: &str| {
        let script =
            "use IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => \"there.sock\") or die \"$!\\n\"; print \"connected\"";
        let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["perl", "-e", script]);
        let _listening = UnixListener::bind(scene.deployment.at("there.sock")).unwrap();
        let _other = UnixListener::bind(scene.deployment.at("other.sock")).unwrap();
        allow(scene, "perl", "-e", more).run()
    };
    assert_eq!(ran(&connect(", sockets = [\"there.sock\"]")), "connected");
    stopped(&connect(""), "Operation not permitted");
    stopped(&connect(", sockets = [\"other.sock\"]"), "No such file");
}

#[test]
pub(crate) fn a_program_sees_no_other_process() {
    stopped(&shell("cat /proc/1/environ", "").run(), "Permission denied");
    let pid = std::process::id();
    stopped(&shell(&format!("cat /proc/{pid}/environ"), "").run(), "No such file");
    stopped(&shell("kill -9 $PPID", "").run(), "");
}

#[test]
pub(crate) fn a_program_reaches_nothing_of_pipe() {
    for more in [
        ", read = [\"state\"]",
        ", write = [\"state\"]",
        ", write = [\"pipeline.toml\"]",
        ", write = [\".\"]",
        ", cwd = \".\"",
        ", cwd = \"state\"",
    ] {
        let ended = shell("true", more).file("state/x", "").refused_at_start();
        assert!(ended.stderr.contains("which belongs to pipe itself"), "{more}: {ended}");
    }
    for more in [", read = [\"/proc\"]", ", write = [\"/dev\"]", ", write = [\"/\"]"] {
        let ended = shell("true", more).refused_at_start();
        assert!(ended.stderr.contains("which is the machine itself"), "{more}: {ended}");
    }
}

#[test]
pub(crate) fn a_program_that_is_not_the_pinned_one_does_not_run() {
    let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["echo", "hello"]);
    let rule = format!("{{ program = \"echo\", argv = [\"hello\"], sha256 = \"{}\" }}", "0".repeat(64));
    let seen = scene.allow(&format!("allow.exec = [{rule}]")).run();
    seen.fails("denied", "the rule says");
}

#[test]
pub(crate) fn a_secret_comes_to_a_program_as_a_file_that_is_gone_afterwards() {
    let scene = shell("stat -c %a:%s $KEY; cat $KEY; echo; echo $KEY", ", secret_file = { KEY = \"key\" }")
        .head("[secrets]\nkey.env = \"WARD_KEY\"")
        .variable("WARD_KEY", "correct-horse-battery");
    let seen = scene.run();
    let observed = ran(&seen).to_owned();
    assert!(observed.starts_with("600:21") && !observed.contains("horse"), "{observed}");
    assert!(!seen.ended.to_string().contains("horse"), "{}", seen.ended);
    let state = scene.deployment.at("state");
    let left = std::process::Command::new("grep").arg("-rla").arg("correct-horse").arg(&state).output().unwrap();
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
}

#[test]
pub(crate) fn the_record_and_the_plan_say_that_a_program_is_native_code() {
    let scene = shell("true", "");
    let planned = scene.pipe(&["plan", "pipeline.toml", "--env", "test"]);
    assert!(planned.stdout.contains("}]  # native code"), "{planned}");
    let seen = scene.run();
    let fence = seen.of("used").find_map(|what| what["use"]["fence"].as_str()).unwrap();
    assert!(fence.starts_with("native code within Landlock "), "{fence}");
    assert!(fence.ends_with("seccomp, namespaces for processes, mounts, network"), "{fence}");
}

#[test]
pub(crate) fn a_program_that_uses_up_too_much_is_ended_with_the_line_that_gives_more() {
    let many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait";
    let large = "(head -c 90000000 /dev/zero; sleep 60) | tail -c 90000000";
    for (script, key, said, raised) in [
        (many, "processes = 8", "processes and threads: 8 (`processes`)", "processes = 16"),
        (large, "memory = \"64MiB\"", "memory of all its processes: 64.0 MiB (`memory`)", "memory = \"128MiB\""),
        (
            "head -c 9000000 /dev/zero > $TMPDIR/x; sleep 60",
            "scratch = \"1MiB\"",
            "its temporary folder: 1.0 MiB (`scratch`)",
            "scratch = \"2MiB\"",
        ),
        (
            "exec dd if=/dev/zero of=$TMPDIR/x bs=1M count=9",
            "file_size = \"1MiB\"",
            "the size of one file: 1.0 MiB (`file_size`)",
            "file_size = \"2MiB\"",
        ),
    ] {
        let seen = shell(script, &format!(", {key}")).run();
        seen.fails("other", &format!("sh was ended at its limit of {said}"));
        let message = seen.failure()["message"].as_str().unwrap();
        let line = format!(r#"; allow.exec = [{{ program = "sh", argv = ["-c", "*"], {raised} }}]"#);
        assert!(message.ends_with(&line), "{message}");
    }
}

#[test]
pub(crate) fn the_plan_says_what_a_program_may_use_up() {
    let planned = shell("true", ", memory = \"8GiB\"").pipe(&["plan", "pipeline.toml", "--env", "test"]);
    let usual = "A program may take memory 4.0 GiB, processes 1024, scratch 512.0 MiB, file_size 16.0 GiB, open_files 1024, \
                 unless its rule says otherwise";
    assert!(planned.stdout.contains(usual), "{planned}");
    assert!(planned.stdout.contains(", memory = \"8GiB\" }]  # native code"), "{planned}");
}
