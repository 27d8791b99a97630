//! Hosts that share a database for who drives: each a state directory of its own, and a way to the server that can be cut.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use pipe_tests::{Deployment, Ended, waiting::wait_until};

use crate::{
    certificates::Authority,
    postgres::{Database, Postgres, ROLE},
};

pub(crate) const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "demo"];
pub(crate) const UNLOCK: [&str; 6] = ["unlock", "pipeline.toml", "--env", "demo", "--reason", "its host burns"];

/// Hosts, and the database between them.
pub(crate) struct Hosts {
    pub(crate) database: Database,
    pub(crate) way: Way,
    server: Arc<Postgres>,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let server = Postgres::shared();
        let (database, way) = (server.database(), Way::to(server.port));
        Self { database, way, server }
    }

    /// A host whose deployment waits for so many seconds, and then releases two files.
    pub(crate) fn host(&self, seconds: &str) -> Host {
        self.host_as(seconds, ROLE, &self.server.password)
    }

    /// The same with another login.
    pub(crate) fn host_as(&self, seconds: &str, user: &str, password: &str) -> Host {
        let (port, database) = (self.way.port, &self.database.name);
        let toml = format!(
            r#"
name = "waiting"
environments = ["demo"]
lock = {{ peer = "shared" }}

[secrets]
db.file = "password"

[peers]
shared = {{ url = "postgres://{user}@localhost:{port}/{database}", password = "db", ca = "ca.pem", addresses = ["127.0.0.0/8", "::1/128"] }}

[[step]]
name = "wait"
stage = "release"
in_flight = "undo"
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}

[[step]]
name = "release"
stage = "release"
in_flight = "undo"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}
"#
        );
        let deployment = Deployment::example()
            .file("pipeline.toml", toml)
            .file("ca.pem", &Authority::shared().pem)
            .secret_file("password", format!("{password}\n"))
            .folder("www");
        Host { deployment, seconds: seconds.to_owned() }
    }

    /// What the database says: epoch, and whose it is.
    #[track_caller]
    pub(crate) fn row(&self) -> (u64, Option<String>) {
        let row = self.database.sql("SELECT epoch, coalesce(run, '') FROM public.pipe_ownership");
        let (epoch, run) = row.split_once('|').unwrap();
        (epoch.parse().unwrap(), (!run.is_empty()).then(|| run.to_owned()))
    }
}

pub(crate) struct Host {
    pub(crate) deployment: Deployment,
    pub(crate) seconds: String,
}

impl Host {
    #[must_use = "assert something of it"]
    pub(crate) fn pipe(&self, arguments: &[&str]) -> Ended {
        self.deployment.run(arguments)
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> Ended {
        let ended = self.pipe(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
        ended
    }

    pub(crate) fn spawn(&self) -> Running {
        let command = &mut self.deployment.command(&RUN);
        Running(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    /// One that is in its first step.
    pub(crate) fn waiting(&self) -> Running {
        let running = self.spawn();
        let wanted = format!("sleep\0{}\0", self.seconds).into_bytes();
        wait_until("the step waits", || {
            let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default()).any(|line| line == wanted)
        });
        running
    }

    pub(crate) fn last_run(&self) -> String {
        let listed = self.pipe(&["history", "--output", "json"]).json();
        listed[0]["run"].as_str().unwrap().to_owned()
    }

    pub(crate) fn runs(&self) -> usize {
        self.pipe(&["history", "--output", "json"]).json().len()
    }

    /// Whether something was released.
    pub(crate) fn released(&self) -> bool {
        self.deployment.at("www/current").exists()
    }

    /// The events of all runs, as they are exported.
    pub(crate) fn record(&self) -> String {
        self.succeeds(&["log", "verify"]);
        self.succeeds(&["log", "export"]).stdout
    }
}

/// A process that ends whatever the test does: a stopped one waits for ever.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Exit code and everything on stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn id(&self) -> u32 {
        self.0.as_ref().map(Child::id).unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    pub(crate) fn stop(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.id());
        wait_until("it is stopped", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // The test has failed, or wants it dead.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port of this machine that leads to a server, as long as nobody cuts it.
pub(crate) struct Way {
    pub(crate) port: u16,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, streams) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
        thread::spawn({
            let (open, streams) = (Arc::clone(&open), Arc::clone(&streams));
            move || {
                for client in listener.incoming().filter_map(Result::ok) {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                    if !open.load(Ordering::SeqCst) {
                        let _ = client.shutdown(Shutdown::Both);
                        continue;
                    }
                    for (from, to) in [(&client, &server), (&server, &client)] {
                        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                        streams.lock().unwrap().push(from.try_clone().unwrap());
                        thread::spawn(move || forward(from, to));
                    }
                }
            }
        });
        Self { port, open, streams }
    }

    /// Ends every connection.
    pub(crate) fn break_off(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and lets no other through.
    pub(crate) fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.break_off();
    }

    pub(crate) fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    let mut moved = || -> io::Result<()> {
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                read => to.write_all(&buffer[..read])?,
            }
        }
    };
    let _ = moved();
    let _ = to.shutdown(Shutdown::Both);
}

/// Every file below a folder, for the search of what must not be in one.
pub(crate) fn everything_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(everything_below(&entry.path()));
        } else if kind.is_file() {
            all.extend(fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// How many files there are below a folder, links included.
pub(crate) fn files(folder: &Path) -> usize {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).fold(0, |count, entry| {
        let path = entry.path();
        count + if path.is_dir() && !path.is_symlink() { files(&path) } else { 1 }
    })
}
