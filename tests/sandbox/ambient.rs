//! What a process usually has without asking, and what a request carries beside its line.

use std::{fs, process::Stdio};

use crate::{Behaviour, Scene, servers::Server};

const SLOT: &str = r#"allow.secrets = [{ name = "login", to = "records", header = "X-Login" }]"#;

/// A request of this kind to a peer that is there, and a secret whose slot leads to it.
fn request(behaviour: Behaviour, server: &Server) -> Scene {
    Scene::new(behaviour)
        .head(&server.peer("records"))
        .head("[secrets]\nlogin.env = \"LOGIN\"")
        .variable("LOGIN", "correct-horse-battery")
        .with("peer", "records")
        .allow(r#"allow.http = ["GET records:/"]"#)
}

#[test]
pub(crate) fn the_host_of_a_request_is_the_hosts_business() {
    let server = Server::start();
    for header in ["Host: evil.example", "Connection: x-login", "Transfer-Encoding: chunked", "Proxy-Authorization: x"]
    {
        request(Behaviour::SendHeader, &server).with("text", header).run();
    }
    let seen = request(Behaviour::SendHeader, &server).with("text", "X-Ward: 7").run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let heads = server.heads();
    assert!(heads.last().is_some_and(|head| head.contains("x-ward: 7")), "{heads:?}");
    for head in heads {
        assert!(head.contains(&format!("host: 127.0.0.1:{}", server.port)) && !head.contains("evil"), "{head}");
        assert!(!head.contains("proxy-authorization") && !head.contains("connection: x-login"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}

#[test]
pub(crate) fn no_header_changes_the_method_or_the_path() {
    let server = Server::start();
    for header in ["X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin"] {
        let seen = request(Behaviour::SendHeader, &server).with("text", header).run();
        assert_ne!(seen.ended.code, 0, "{header}: {}", seen.ended);
    }
    assert!(server.heads().is_empty(), "{:?}", server.heads());
}

#[test]
pub(crate) fn a_header_of_the_guest_gives_way_to_the_secret_that_belongs_there() {
    let server = Server::start();
    let seen = request(Behaviour::SendHeader, &server).with("text", "X-Login: forged").allow(SLOT).run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let head = &server.heads()[0];
    assert!(head.contains("x-login: correct-horse-battery") && !head.contains("forged"), "{head}");
}

#[test]
pub(crate) fn a_secret_that_a_server_echoes_is_masked_in_every_form() {
    let server = Server::start();
    let scene = request(Behaviour::ReadHeader, &server).with("name", "x-echo").allow(SLOT);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let url: String = "correct-horse-battery".bytes().map(|byte| format!("%{byte:02x}")).collect();
    let forms =
        ["correct-horse-battery", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "636f72726563742d686f7273652d62617474657279", &url];
    assert!(server.heads()[0].contains(forms[0]), "the secret was not sent");
    let journal: String = seen.events.iter().map(ToString::to_string).collect();
    let told = format!("{} {}", seen.observed(), journal + &seen.ended.stderr + &seen.ended.stdout);
    for form in forms {
        assert!(!told.to_lowercase().contains(&form.to_lowercase()), "{form}: {told}");
    }
    assert!(seen.observed().contains("login "), "{}", seen.observed());
}

#[test]
pub(crate) fn the_command_line_of_pipe_is_not_told() {
    let seen = Scene::new(Behaviour::ReadArguments).run();
    assert_eq!((seen.ended.code, seen.observed()), (0, ""), "{}", seen.ended);
}

#[test]
pub(crate) fn what_the_operator_types_is_not_told() {
    let scene = Scene::new(Behaviour::ReadStandardInput);
    let typed = scene.deployment.at("typed");
    fs::write(&typed, "my-password\n").unwrap();
    let mut command = scene.write().command(&["run", "pipeline.toml", "--env", "test"]);
    let input = Stdio::from(fs::File::open(&typed).unwrap());
    let output = command.stdin(input).output().unwrap();
    let shown = scene.deployment.run(&["show", "last", "--output", "json"]);
    let told =
        format!("{}{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout), shown);
    assert!(told.contains("attempt") && !told.contains("my-password"), "{told}");
}
