//! Sockets of the guest's own: names, addresses, ports, and what they may move.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{Behaviour, Scene};

/// A server that sends back what it gets, and remembers who came and who went.
struct Echo {
    port: u16,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::default());
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen: Arc<Mutex<Vec<&'static str>>> = Arc::clone(&shared);
                seen.lock().unwrap().push("came");
                thread::spawn(move || {
                    echo(stream);
                    seen.lock().unwrap().push("went");
                });
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<&'static str> {
        self.seen.lock().unwrap().clone()
    }

    /// A rule for a host that leads to this machine.
    fn rule(&self, host: &str) -> String {
        format!("{{ rule = \"{host}:{}\", addresses = [\"127.0.0.0/8\"] }}", self.port)
    }

    fn line(&self, host: &str) -> String {
        format!("allow.tcp = [{}]", self.rule(host))
    }
}

fn echo(mut stream: TcpStream) {
    let mut piece = [0; 65_536];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..read]).is_err() {
            return;
        }
    }
}

fn connect(host: &str, port: u16) -> Scene {
    Scene::new(Behaviour::Connect).with("name", &format!("{host}:{port}"))
}

#[test]
pub(crate) fn a_granted_name_is_connected_to_however_it_is_spelt() {
    let server = Echo::start();
    for (granted, asked) in [("localhost", "localhost"), ("localhost", "LOCALHOST."), ("LocalHost.", "localhost")] {
        let seen = connect(asked, server.port).allow(&server.line(granted)).run();
        assert_eq!(seen.observed(), "hello", "{}", seen.ended);
        let uses: Vec<_> = seen.of("used").map(|what| &what["use"]).collect();
        assert_eq!(uses[0]["subject"], "localhost", "the lookup");
        assert_eq!(uses[1]["subject"], format!("localhost:{}", server.port), "the connection");
        assert_eq!((&uses[0]["effect"], &uses[1]["effect"]), (&false.into(), &true.into()));
    }
    assert_eq!(server.seen().iter().filter(|what| **what == "came").count(), 3);
}

#[test]
pub(crate) fn the_standard_library_connects_to_what_is_granted() {
    let server = Echo::start();
    let scene = Scene::new(Behaviour::ConnectThroughStd).with("name", &format!("localhost:{}", server.port));
    let refused = scene.run();
    assert_ne!(refused.ended.code, 0, "{}", refused.ended);
    assert_eq!(refused.refusals().next().unwrap()["reason"], "the step has no `allow.tcp`");
    assert!(server.seen().is_empty());
    let granted = scene.allow(&server.line("localhost")).run();
    assert_eq!(granted.observed(), "hello", "{}", granted.ended);
}

#[test]
pub(crate) fn a_granted_address_is_connected_to_by_its_number() {
    let server = Echo::start();
    let line = format!("allow.tcp = [{{ rule = \"127.0.0.1:{}\", addresses = [\"127.0.0.1/32\"] }}]", server.port);
    let both = connect("127.0.0.1", server.port).refused_until(&line);
    assert_eq!(both.granted.observed(), "hello");
    assert_eq!(both.refused.of("used").count(), 0);
}

#[test]
pub(crate) fn a_name_that_is_not_granted_is_not_looked_up() {
    let server = Echo::start();
    // It is there, and it would be found.
    for name in ["localhost", "evil.example", "x.localhost"] {
        let seen = Scene::new(Behaviour::LookUp).with("name", name).run();
        seen.fails("denied", "not granted");
        let refusal = seen.refusals().next().unwrap();
        assert_eq!((&refusal["subject"], &refusal["reason"]), (&name.into(), &"the step has no `allow.tcp`".into()));
        assert_eq!(refusal["hint"], format!("allow.tcp = [\"{name}:PORT\"]"), "whoever connects knows the port");
        assert_eq!(seen.of("used").count(), 0);
    }
    let seen = Scene::new(Behaviour::LookUp).with("name", "evil.example").allow(&server.line("localhost")).run();
    assert_eq!(seen.refusals().next().unwrap()["reason"], "no rule names `evil.example`");
    assert!(server.seen().is_empty());
}

#[test]
pub(crate) fn an_odd_spelling_of_an_address_is_no_name() {
    for name in ["2130706433", "0x7f.0.0.1", "127.1", "0177.0.0.1", "records.peer", "evil\u{7f}.example"] {
        Scene::new(Behaviour::LookUp).with("name", name).run().refused_for_ever();
    }
}

#[test]
pub(crate) fn another_port_of_a_granted_name_is_refused() {
    let (server, other) = (Echo::start(), Echo::start());
    let line = format!(
        "allow.tcp = [{}, {{ rule = \"localhost:{}\", addresses = [\"127.0.0.1/32\"] }}]",
        server.rule("localhost"),
        other.port
    );
    let both = connect("localhost", other.port).allow(&server.line("localhost")).refused_until(&line);
    let reason = format!("no rule for `localhost` names port {}", other.port);
    assert_eq!(both.refused.refusals().next().unwrap()["reason"], reason);
    assert!(server.seen().is_empty());
}

#[test]
pub(crate) fn an_address_counts_only_once_its_name_led_there() {
    let server = Echo::start();
    let scene = connect("127.0.0.1", server.port).allow(&server.line("localhost"));
    let rule = format!("{{ rule = \"127.0.0.1:{}\", addresses = [\"127.0.0.1/32\"] }}", server.port);
    scene.refused_until(&format!("allow.tcp = [{}, {rule}]", server.rule("localhost")));
}

#[test]
pub(crate) fn an_address_that_was_never_an_answer_is_refused() {
    let server = Echo::start();
    let scene = Scene::new(Behaviour::ConnectElsewhere)
        .with("name", "localhost")
        .with("to", &format!("127.0.0.2:{}", server.port))
        .allow(&server.line("localhost"));
    let seen = scene.run();
    seen.fails("denied", "not granted");
    let reason = "no rule names it, and no name that a rule names has led to 127.0.0.2";
    assert_eq!(seen.refusals().next().unwrap()["reason"], reason);
    assert!(server.seen().is_empty());
}

#[test]
pub(crate) fn a_granted_name_that_leads_to_a_private_address_is_refused() {
    // The name of this machine itself, which no pipeline file can know to be private.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    let name = hosts
        .lines()
        .filter_map(|line| line.split('#').next().unwrap_or_default().split_whitespace().nth(1))
        .find(|name| !name.starts_with("localhost") && !name.starts_with("ip6"))
        .expect("a name of this machine in /etc/hosts");
    let seen = Scene::new(Behaviour::LookUp).with("name", name).allow(&format!("allow.tcp = [\"{name}:80\"]")).run();
    seen.fails("denied", "not granted");
    let refusal = seen.refusals().next().unwrap();
    let reason = refusal["reason"].as_str().unwrap();
    assert!(reason.contains("address, and the rule's `addresses` do not hold it"), "{reason}");
    let hint = refusal["hint"].as_str().unwrap();
    assert!(hint.starts_with(&format!("allow.tcp = [{{ rule = \"{name}:80\", addresses = [\"")), "{hint}");
}

#[test]
pub(crate) fn a_rule_for_a_private_address_needs_addresses() {
    for rule in ["localhost:1", "127.0.0.1:1", "[::1]:1", "10.0.0.1:5432"] {
        let ended = connect("localhost", 1).allow(&format!("allow.tcp = [\"{rule}\"]")).refused_at_start();
        assert!(ended.stderr.contains("which a name alone never grants"), "{ended}");
    }
}

#[test]
pub(crate) fn nothing_binds_listens_or_sends_datagrams() {
    let server = Echo::start();
    let address = format!("127.0.0.1:{}", server.port);
    for (behaviour, name) in [
        (Behaviour::Bind, "0.0.0.0:8080"),
        (Behaviour::Bind, "127.0.0.1:0"),
        (Behaviour::Listen, "0.0.0.0:0"),
        (Behaviour::SendDatagram, address.as_str()),
    ] {
        let line = format!("allow.tcp = [{}, {}]", server.rule("localhost"), server.rule("127.0.0.1"));
        let seen = Scene::new(behaviour).with("name", name).allow(&line).run();
        seen.refused_for_ever();
        let reason = "a plugin only ever opens TCP connections to others";
        assert_eq!(seen.refusals().next().unwrap()["reason"], reason, "{}", seen.ended);
    }
    assert!(server.seen().is_empty());
}

#[test]
pub(crate) fn sockets_without_end() {
    let server = Echo::start();
    let scene = Scene::new(Behaviour::KeepSockets).with("name", &format!("localhost:{}", server.port));
    let seen = scene.allow(&server.line("localhost")).run();
    assert_eq!(seen.observed(), "32", "{}", seen.ended);
}

#[test]
pub(crate) fn bytes_without_end() {
    let server = Echo::start();
    let scene = Scene::new(Behaviour::FloodSocket).with("name", &format!("localhost:{}", server.port));
    let seen = scene.allow(&server.line("localhost")).head("[limits]\nbytes_out = \"8MiB\"").run();
    seen.fails("other", "the plugin gave out more than 8.0 MiB (`limits.bytes_out`)");
    let scene = Scene::new(Behaviour::FloodSocket).with("name", &format!("localhost:{}", server.port));
    let seen = scene.allow(&server.line("localhost")).head("[limits]\nbytes_in = \"8MiB\"").run();
    seen.fails("other", "the plugin took in more than 8.0 MiB (`limits.bytes_in`)");
}

#[test]
pub(crate) fn a_connection_ends_with_its_step() {
    let server = Echo::start();
    let scene = Scene::new(Behaviour::WaitOnSocket).with("name", &format!("localhost:{}", server.port));
    let started = Instant::now();
    let seen = scene.allow(&server.line("localhost")).timeout("2s").run();
    seen.fails("deadline", "did not end within 2s");
    assert!(started.elapsed() < Duration::from_secs(20));
    let gone = Instant::now();
    while server.seen() != ["came", "went"] {
        assert!(gone.elapsed() < Duration::from_secs(5), "{:?}", server.seen());
        thread::sleep(Duration::from_millis(20));
    }
}
