//! A real PostgreSQL with TLS and passwords: one server for all tests of a process, one database for each.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{certificates::Authority, programs};

/// The role that owns every database. No superuser.
pub(crate) const ROLE: &str = "medical_user";

/// A running server. Ends with the last test that uses it, or with the process.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    /// Of [`ROLE`]. Holds every character that some format must escape.
    pub(crate) password: String,
    folder: TempDir,
    server: Option<JoinHandle<()>>,
    databases: AtomicU32,
}

/// A database, and the right to do anything in it: over the server's own socket, without TLS or password.
pub(crate) struct Database {
    pub(crate) name: String,
    server: Arc<Postgres>,
}

impl Postgres {
    /// The server of this process, started where it is not running.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A new database, owned by [`ROLE`].
    pub(crate) fn database(self: &Arc<Self>) -> Database {
        let name = format!("medical_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let database = Database { name, server: Arc::clone(self) };
        database.create(&database.name);
        database
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        own(folder.path());
        let data = folder.path().join("data");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data_text = data.to_str().unwrap();
        programs::text(server_program("initdb").args(["-D", data_text, "-U", "postgres", "-E", "UTF8"]).args([
            "--locale=C.UTF-8",
            "--auth=trust",
            "--no-sync",
            "--no-instructions",
        ]));
        configure(&data, folder.path(), port);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        // The thread lives as long as the server. The server's own signal for the death of its parent is tied to it.
        let server = thread::spawn({
            let data = data.clone();
            move || {
                let mut command = server_program("postgres");
                command.arg("-D").arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                let _ = command.status();
            }
        });
        let password = format!(r#"p%ss:w\rd/"{}'&+ ="#, programs::random(20));
        let server = Self { port, password, folder, server: Some(server), databases: AtomicU32::new(1) };
        server.wait_until_ready();
        let quoted = server.password.replace('\'', "''");
        server.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{quoted}'"));
        server
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        loop {
            let asked = self.client("psql").args(["-d", "postgres", "-c", "SELECT 1"]).output().unwrap();
            if asked.status.success() {
                return;
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(30), "PostgreSQL does not start: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client that is let in without a password.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(bin().join(program));
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string(), "-U", "postgres"]);
        command.env_remove("PGDATABASE");
        command
    }

    #[track_caller]
    fn psql(&self, database: &str, statements: &str) -> String {
        let mut command = self.client("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statements]);
        programs::text(&mut command).trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = server_program("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-w", "-s", "-D"]).arg(self.folder.path().join("data"));
        let stopped = stop.status().is_ok_and(|status| status.success());
        if let Some(server) = self.server.take()
            && stopped
        {
            let _ = server.join();
        }
    }
}

impl Database {
    /// Runs statements as superuser, and returns what they select: columns parted by `|`, one row a line.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.server.psql(&self.name, statements)
    }

    /// Runs statements as superuser in a process beside the test.
    pub(crate) fn beside(&self, statements: &str) -> Child {
        let mut command = self.server.client("psql");
        command.args(["-XAtq", "-d", &self.name, "-c", statements]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Everything that makes its shape.
    pub(crate) fn schema(&self) -> String {
        self.dump("--schema-only")
    }

    /// Everything that is in it.
    pub(crate) fn rows(&self) -> String {
        self.dump("--data-only")
    }

    /// An empty database beside it, with the same owner.
    pub(crate) fn scratch(&self) -> Self {
        let scratch = Self { name: format!("{}_empty", self.name), server: Arc::clone(&self.server) };
        self.create(&scratch.name);
        scratch
    }

    /// A dump, restored by the real `pg_restore` into a database of its own.
    pub(crate) fn restored(&self, dump: &[u8]) -> Self {
        let scratch = Self { name: format!("{}_scratch", self.name), server: Arc::clone(&self.server) };
        self.create(&scratch.name);
        programs::output(self.server.client("pg_restore").args(["--exit-on-error", "-d", &scratch.name]), dump);
        scratch
    }

    /// Its server.
    pub(crate) fn server(&self) -> &Postgres {
        &self.server
    }

    fn create(&self, name: &str) {
        self.server.psql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
    }

    /// Without what pipe marks there, which no rollback takes back.
    fn dump(&self, what: &str) -> String {
        let without = "--exclude-table=public.pipe_marker";
        let dump = programs::text(self.server.client("pg_dump").args([what, without, "-d", &self.name]));
        // Later minor versions put a random word around the script.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }
}

fn configure(data: &Path, folder: &Path, port: u16) {
    let identity = Authority::shared().localhost();
    fs::write(data.join("server.crt"), identity.certificate).unwrap();
    fs::write(data.join("server.key"), identity.key).unwrap();
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    own(&data.join("server.crt"));
    own(&data.join("server.key"));
    // Who comes over the network needs TLS and a password.
    let access = "local all postgres trust\nhostssl all all all scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), access).unwrap();
    let sockets = folder.display();
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{sockets}'\nssl = on\nfsync = off\n\
         password_encryption = 'scram-sha-256'\nmax_connections = 50\nshared_buffers = '16MB'\n"
    );
    fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
}

/// The newest version that is installed.
fn bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: see tests/all.sh");
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("bin/initdb").exists());
    newest.max_by_key(version).unwrap().join("bin")
}

/// A program of the server. It refuses to run as root, and ends when the thread ends that started it.
fn server_program(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.args(["--pdeathsig=QUIT", "--"]).arg(bin().join(program)).current_dir("/");
    command
}

/// Gives a file to whoever runs the server.
fn own(path: &Path) {
    if is_root() {
        let id = |kind| programs::text(Command::new("id").args([kind, "postgres"])).trim().parse().unwrap();
        chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn who_comes_over_the_network_needs_tls_and_a_password() {
    let server = Postgres::shared();
    let database = server.database();
    let ca = server.folder.path().join("ca.pem");
    fs::write(&ca, &Authority::shared().pem).unwrap();
    // Not in a variable: other tests look at those of every process.
    let file = server.folder.path().join("pgpass");
    let login = |mode: &str, password: &str| {
        fs::write(&file, format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"))).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(bin().join("psql"));
        command.args(["-h", "localhost", "-U", ROLE, "-w", "-XAtc"]);
        command.arg("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        command.args(["-p", &server.port.to_string(), "-d", &database.name]);
        command.env("PGSSLMODE", mode).env("PGSSLROOTCERT", &ca).env("PGPASSFILE", &file);
        let output = command.output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(login("verify-full", &server.password), ("t".to_owned(), String::new()));
    assert!(login("verify-full", "wrong").1.contains("password authentication failed"));
    assert!(login("disable", &server.password).1.contains("no pg_hba.conf entry"));
}
