//! A plugin that is asked what its step would do: whatever the step is granted, it looks and changes nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use pipe_tests::guest;

use crate::{Behaviour, Scene, scene::content, servers::Server};

const NEVER: &str = "a preview only reads";
const TOKEN: &str = "correct-horse-battery";

#[test]
pub(crate) fn a_file_is_read_and_the_record_says_so() {
    let scene = Scene::new(Behaviour::ReadFile)
        .file("data/open.txt", "open")
        .with("path", "data/open.txt")
        .allow(r#"allow.write = ["data"]"#);
    let seen = scene.preview();
    assert_eq!(seen.lines(), ["attempt: open"]);
    let asked = seen.of("preview-asked").next().unwrap();
    assert_eq!(asked["grant"].as_array().unwrap(), &[r#"allow.read = ["data"]"#], "what it may do is cut down");
    assert!(seen.of("used").any(|what| what["use"]["word"] == "read"), "{:?}", seen.events);
    let events: Vec<_> = seen.events.iter().map(|what| what["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[1], *events.last().unwrap()), ("preview-started", "preview-asked", "preview-told"));
    // It is no run: nothing to list, to resume or to undo.
    let history = scene.deployment.run(&["history", "--output", "json"]);
    assert_eq!((history.code, history.stdout.as_str()), (0, ""), "{history}");
    assert_eq!(scene.deployment.run(&["show", "last"]).code, 2);
    assert_eq!(scene.run().ended.code, 0);
}

#[test]
pub(crate) fn no_file_is_written_emptied_moved_linked_or_removed() {
    for behaviour in [
        Behaviour::WriteFile,
        Behaviour::AppendFile,
        Behaviour::TruncateFile,
        Behaviour::RemoveFile,
        Behaviour::RenameFile,
        Behaviour::LinkFile,
        Behaviour::SetTimes,
    ] {
        let scene = Scene::new(behaviour)
            .file("data/open.txt", "open")
            .with("path", "data/open.txt")
            .with("to", "data/other.txt")
            .with("text", "more")
            .allow(r#"allow.write = ["data"]"#);
        scene.preview().is_refused("write", NEVER);
        assert_eq!(content(&scene.deployment.at("data/open.txt")), "open", "{behaviour:?}");
        assert_eq!(fs::read_dir(scene.deployment.at("data")).unwrap().count(), 1, "{behaviour:?}");
    }
}

#[test]
pub(crate) fn nothing_is_made_where_there_is_nothing() {
    for behaviour in [Behaviour::WriteFile, Behaviour::MakeDirectory, Behaviour::MakeLink] {
        let scene = Scene::new(behaviour)
            .file("data/open.txt", "open")
            .with("path", "data/new")
            .with("to", "open.txt")
            .allow(r#"allow.write = ["data"]"#);
        scene.preview().is_refused("write", NEVER);
        assert!(!scene.deployment.at("data/new").exists(), "{behaviour:?}");
    }
    // A granted directory that is not there yet is not made either.
    let scene = Scene::new(Behaviour::ListDirectory).with("path", "new").allow(r#"allow.write = ["new"]"#);
    scene.preview().fails("unavailable", "new does not exist");
    assert!(!scene.deployment.at("new").exists());
}

#[test]
pub(crate) fn no_program_runs() {
    let scene = Scene::new(Behaviour::RunProgram)
        .with_all("argv", &["touch", "data/made"])
        .allow(r#"allow.exec = [{ program = "touch", argv = ["**"], write = ["data"] }]"#)
        .file("data/x", "");
    scene.preview().is_refused("exec", NEVER);
    assert!(!scene.deployment.at("data/made").exists());
}

#[test]
pub(crate) fn a_server_is_asked_and_told_nothing() {
    let server = Server::start();
    let scene = |method: &str| {
        Scene::new(Behaviour::Request)
            .head(&server.peer("records"))
            .with("peer", "records")
            .with("method", method)
            .with("path", "/patients/7")
            .allow(r#"allow.http = ["* records:/**"]"#)
    };
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        scene(method).preview().is_refused("http", "a preview sends GET and HEAD alone");
    }
    assert!(server.heads().is_empty(), "{:?}", server.heads());
    let seen = scene("GET").preview();
    assert!(seen.lines()[0].starts_with("attempt: 200"), "{}", seen.said);
    assert_eq!(server.heads().len(), 1);
    let _ = scene("GET").with("text", "every patient").preview();
    for head in server.heads() {
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "a body came along: {head}");
    }
}

#[test]
pub(crate) fn a_database_is_read_and_not_written() {
    let scene =
        |behaviour| Scene::new(behaviour).database().with("peer", "clinic").allow(r#"allow.sql = ["write clinic"]"#);
    let writing = scene(Behaviour::WriteDatabase);
    writing.preview().is_refused("sql", "may be read only in a preview");
    let through = scene(Behaviour::WriteThroughReading);
    through.preview().is_refused("sql", "");
    for scene in [writing, through] {
        let database = rusqlite::Connection::open(scene.deployment.at("clinic.db")).unwrap();
        let rows: u32 = database.query_one("SELECT count(*) FROM visits", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }
    assert_eq!(scene(Behaviour::ReadDatabase).preview().lines().len(), 1);
    scene(Behaviour::SendScript).with("text", "DROP TABLE visits").preview().is_refused("sql", "");
    scene(Behaviour::WriteStatement).with("text", "DROP TABLE visits").preview().is_refused("sql", "");
    scene(Behaviour::ReadStatement).with("text", "DROP TABLE visits").preview().is_refused("sql", "");
}

#[test]
pub(crate) fn no_connection_is_opened_and_no_message_sent() {
    let server = Server::silent();
    let to = format!("127.0.0.1:{}", server.port);
    for behaviour in [Behaviour::Connect, Behaviour::ConnectThroughStd] {
        let allow = format!("allow.tcp = [{{ rule = \"{to}\", addresses = [\"127.0.0.0/8\"] }}]");
        Scene::new(behaviour).with("name", &to).allow(&allow).preview().is_refused("tcp", NEVER);
    }
    Scene::new(Behaviour::SendMail)
        .head(&format!("[peers.post]\nurl = \"smtp://{to}\"\ntls = \"disable\"\naddresses = [\"127.0.0.0/8\"]"))
        .with("peer", "post")
        .with("name", "a@h.example")
        .with_all("argv", &["b@h.example"])
        .allow(r#"allow.mail = [{ peer = "post", from = "a@h.example", to = ["b@h.example"] }]"#)
        .preview()
        .is_refused("mail", NEVER);
}

#[test]
pub(crate) fn nothing_is_stored_or_saved() {
    let scene = Scene::new(Behaviour::StoreArtifact)
        .file("data/open.txt", "open")
        .with("path", "data")
        .allow(r#"allow.read = ["data"]"#)
        .allow(r#"allow.artifacts = ["write"]"#);
    scene.preview().is_refused("artifacts", NEVER);
    assert!(!scene.deployment.at("state/artifacts").exists());
    for behaviour in [Behaviour::SaveManyReceipts, Behaviour::SayInReceipt] {
        let seen = Scene::new(behaviour).with("text", "key").preview();
        seen.fails("denied", "a preview saves no receipt");
        assert_eq!(seen.of("checkpoint-saved").count(), 0);
    }
}

#[test]
pub(crate) fn no_secret_is_told_by_whatever_name() {
    let scene = |behaviour| {
        Scene::new(behaviour)
            .head("[secrets]\ntoken.env = \"TOKEN\"\nfile.file = \"private/token\"")
            .variable("TOKEN", TOKEN)
            .file("private/token", "another-secret-value")
            .allow(r#"allow.reveal = ["token", "file"]"#)
            .allow(r#"allow.env = ["TOKEN"]"#)
            .allow(r#"allow.read = ["private"]"#)
    };
    use std::os::unix::fs::PermissionsExt as _;
    let private = |scene: Scene| {
        let path = scene.deployment.at("private/token");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        scene
    };
    for behaviour in [Behaviour::RevealSecret, Behaviour::EchoSecret, Behaviour::EchoSecretAndFail] {
        private(scene(behaviour).with("name", "token")).preview().is_refused("reveal", NEVER);
    }
    private(scene(Behaviour::ReadVariable).with("name", "TOKEN"))
        .preview()
        .is_refused("env", "the preview has no `allow.env`");
    private(scene(Behaviour::ReadFile).with("path", "private/token")).preview().is_refused("read", "");
    assert_eq!(private(scene(Behaviour::ListVariables)).preview().lines(), ["attempt: "]);
    let linked = private(scene(Behaviour::ReadFile).with("path", "data/notes").allow(r#"allow.read = ["data"]"#));
    let linked = linked.file("data/other", "");
    fs::hard_link(linked.deployment.at("private/token"), linked.deployment.at("data/notes")).unwrap();
    linked.preview().is_refused("read", "");
}

#[test]
pub(crate) fn a_secret_that_it_came_upon_is_masked() {
    let scene = Scene::new(Behaviour::ReadFile)
        .head("[secrets]\ntoken.env = \"TOKEN\"")
        .variable("TOKEN", TOKEN)
        .file("data/notes.txt", format!("the token is {TOKEN}"))
        .with("path", "data/notes.txt")
        .allow(r#"allow.read = ["data"]"#);
    let seen = scene.preview();
    assert_eq!(seen.lines(), ["attempt: the token is [secret]"]);
    assert!(!format!("{}{:?}", seen.ended, seen.events).contains(TOKEN));
}

#[test]
pub(crate) fn a_secret_that_is_not_there_keeps_one_step_alone_from_being_asked() {
    let scene = Scene::new(Behaviour::Request)
        .head(
            "[secrets]\ntoken.env = \"TOKEN\"\n[peers.records]\nurl = \"https://records.example\"\nbearer = \"token\"",
        )
        .with("peer", "records")
        .with("method", "GET")
        .with("path", "/")
        .allow(r#"allow.http = ["GET records:/"]"#);
    let seen = scene.preview();
    seen.fails("unavailable", "secret `token`: the variable TOKEN is not set");
    assert_eq!(seen.of("preview-asked").count(), 0, "it was not even asked");
    let elsewhere = Scene::new(Behaviour::ReportNothing).head("[secrets]\ntoken.env = \"TOKEN\"");
    assert!(elsewhere.preview().lines().is_empty(), "a step that has no use for it is asked");
}

#[test]
pub(crate) fn what_does_not_end_is_ended() {
    for behaviour in [Behaviour::Loop, Behaviour::Sleep] {
        let began = Instant::now();
        Scene::new(behaviour).timeout("1s").preview().fails("deadline", "did not end within 1s");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    let scene = Scene::new(Behaviour::LoopInDatabase).database().with("peer", "clinic");
    scene.allow(r#"allow.sql = ["read clinic"]"#).timeout("1s").preview().fails("deadline", "did not end within 1s");
    // However long the step itself may take.
    Scene::new(Behaviour::Loop).timeout("2h").preview().fails("deadline", "did not end within 10s");
}

#[test]
pub(crate) fn what_goes_wrong_is_told_and_is_no_failure_of_the_plan() {
    for (behaviour, kind, words) in [
        (Behaviour::Panic, "trap", "trapped"),
        (Behaviour::Exit, "trap", "exited"),
        (Behaviour::EatMemory, "out-of-memory", "memory"),
        (Behaviour::Recurse, "trap", "trapped"),
        (Behaviour::FloodRefusals, "denied", "was refused 1000 times"),
        (Behaviour::ReportTooMuch, "trap", "too much data is being copied"),
    ] {
        let seen = Scene::new(behaviour).with("text", "over").preview();
        seen.fails(kind, words);
        if behaviour == Behaviour::FloodRefusals {
            assert_eq!(seen.said["refused"].as_array().map(Vec::len), Some(10));
            assert_eq!(seen.said["further_refusals"], 990);
            assert_eq!(seen.of("denied").count(), 1_000, "the record has all of them");
        }
    }
}

#[test]
pub(crate) fn what_it_says_is_bounded_and_harmless() {
    let seen = Scene::new(Behaviour::FloodLog).preview();
    assert_eq!(seen.of("logged").count(), 10_000);
    let seen = Scene::new(Behaviour::ReportLongNames).preview();
    assert!(seen.lines().iter().all(|line| line.len() < 5_000), "{}", seen.lines().len());
    let evil = "a\u{1b}[2Jb\u{9b}2Jc\u{202e}d\r\nplan forged\u{2028}e";
    for behaviour in [Behaviour::SayInFinding, Behaviour::SayInFailure] {
        let scene = Scene::new(behaviour).with("text", evil);
        let seen = scene.preview();
        let shown = scene.pipe(&["plan", "pipeline.toml", "--env", "test", "--preview"]);
        for text in [&seen.ended.stdout, &shown.stdout, &shown.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r', '\u{2028}']), "{}", text.escape_debug());
            assert!(!text.lines().any(|line| line.starts_with("plan forged")), "{text}");
        }
    }
}

#[test]
pub(crate) fn what_is_above_a_policy_is_not_even_asked() {
    let scene = Scene::new(Behaviour::ReadFile)
        .file("data/open.txt", "open")
        .file("policy.toml", "[[allow]]\nenv = [\"*\"]\n")
        .with("path", "data/open.txt")
        .allow(r#"allow.read = ["data"]"#);
    let refused = scene.pipe(&["plan", "pipeline.toml", "--env", "test", "--preview", "--policy", "policy.toml"]);
    assert_eq!(refused.code, 4, "{refused}");
    assert!(!scene.deployment.at("state").exists(), "nothing was asked, and nothing written down");
}

#[test]
pub(crate) fn without_being_asked_for_no_plugin_runs() {
    let scene = Scene::new(Behaviour::Panic).with("text", "over");
    let planned = scene.pipe(&["plan", "pipeline.toml", "--env", "test"]);
    assert_eq!(planned.code, 0, "{planned}");
    assert!(!scene.deployment.at("state").exists());
    let inspected = scene.pipe(&["inspect", guest::component("hostile").to_str().unwrap(), "--output", "json"]);
    assert_eq!(inspected.json()[0]["preview"], true);
}
