//! A real mail server, aiosmtpd, which tells what happens to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use pipe_tests::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{certificates::Authority, programs};

/// Who may log in.
pub(crate) const USER: &str = "deploy@hospital.example";

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// STARTTLS, and no login without it.
    Starttls,
    /// TLS from the start.
    Smtps,
    /// No TLS, and logins all the same: what is left where somebody in between has taken STARTTLS out.
    Stripped,
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Smtps => "smtps",
            Self::Stripped => "stripped",
        }
    }
}

/// A running server. Ends when it is dropped.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    /// Of [`USER`].
    pub(crate) password: String,
    server: Child,
    listener: Option<JoinHandle<()>>,
    told: Arc<Mutex<Vec<Value>>>,
    _folder: TempDir,
}

impl MailServer {
    /// As `localhost`, with a certificate of [`Authority::shared`].
    pub(crate) fn start(mode: Mode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Authority::shared().localhost();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, identity.certificate).unwrap();
        fs::write(&key, identity.key).unwrap();
        let password = programs::random(24);
        let options = json!({
            "mode": mode.word(), "user": USER, "password": password, "certificate": certificate, "key": key,
        });
        // Debian's own Python: the package of the server is installed for no other.
        let mut server = Command::new("/usr/bin/python3")
            .arg(repository().join("tests/systems/mail_server.py"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = thread::spawn({
            let told = Arc::clone(&told);
            move || {
                for line in lines.map_while(Result::ok) {
                    told.lock().unwrap().push(serde_json::from_str(&line).unwrap());
                }
            }
        });
        let port = first["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap();
        Self { port, password, server, listener: Some(listener), told, _folder: folder }
    }

    /// Stops it, and says what it told: every message, every login, and everything that came in the clear.
    pub(crate) fn stop(mut self) -> Told {
        self.end();
        Told(std::mem::take(&mut *self.told.lock().unwrap()))
    }

    fn end(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// What happened to a server.
pub(crate) struct Told(Vec<Value>);

impl Told {
    /// Messages.
    pub(crate) fn messages(&self) -> Vec<&Value> {
        self.of("sender")
    }

    /// Attempts to log in.
    pub(crate) fn logins(&self) -> Vec<&Value> {
        self.of("login")
    }

    /// Everything that came without TLS.
    pub(crate) fn clear(&self) -> String {
        self.of("clear").into_iter().filter_map(|what| what["clear"].as_str()).collect()
    }

    fn of(&self, key: &str) -> Vec<&Value> {
        self.0.iter().filter(|what| what.get(key).is_some()).collect()
    }
}
