//! A real PostgreSQL, one for all tests of the file. Ends with the process.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use tokio_postgres::NoTls;

use crate::certificates::Authority;

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

pub(crate) const PASSWORD: &str = "correct-horse-battery";

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) ca: PathBuf,
    pub(crate) other_ca: PathBuf,
    /// Issued the server's certificate, and is trusted to name clients.
    pub(crate) authority: Authority,
}

pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap().keep();
        swept_up(&directory);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::new();
        let (ca, other) = (authority.write(&directory), directory.join("other"));
        fs::create_dir(&other).unwrap();
        let other_ca = Authority::new().write(&other);

        let home = directory.join("home");
        fs::create_dir(&home).unwrap();
        let certificate = authority.issue(&["localhost"], false);
        write_private(&home.join("server.crt"), &certificate.chain);
        write_private(&home.join("server.key"), &certificate.key);
        write_private(&home.join("password"), PASSWORD);
        write_private(&home.join("clients.crt"), &authority.pem);
        give_away(&home);
        let data = home.join("data");
        let made = as_postgres("initdb")
            .args(["-D".as_ref(), data.as_os_str()])
            .args(["-U", "postgres", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg(format!("--pwfile={}", home.join("password").display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        // The first line that fits a connection counts.
        let access = data.join("pg_hba.conf");
        let lines = fs::read_to_string(&access).unwrap();
        fs::write(&access, format!("hostssl all certain 127.0.0.1/32 cert\n{lines}")).unwrap();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(directory.join("log")).unwrap();
        let (sender, started) = mpsc::channel();
        // The server ends when the thread that started it ends: this one never does.
        std::thread::spawn(move || {
            let mut command = as_postgres("postgres");
            command.args(["-D".as_ref(), data.as_os_str()]).args(["-p", &port.to_string()]);
            for setting in [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("unix_socket_directories={}", home.display()),
                "fsync=off".to_owned(),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", home.join("server.crt").display()),
                format!("ssl_key_file={}", home.join("server.key").display()),
                format!("ssl_ca_file={}", home.join("clients.crt").display()),
            ] {
                command.args(["-c", &setting]);
            }
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            sender.send(()).unwrap();
            let _child = child;
            loop {
                std::thread::park();
            }
        });
        started.recv().unwrap();
        let server = Self { port, ca, other_ca, authority };
        server.prepare();
        server
    }

    fn prepare(&self) {
        let port = self.port;
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let deadline = Instant::now() + Duration::from_secs(30);
                while connect(port, "postgres").await.is_err() {
                    assert!(Instant::now() < deadline, "the server does not start");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let client = connect(port, "postgres").await.unwrap();
                client.batch_execute("CREATE DATABASE app").await.unwrap();
                let client = connect(port, "app").await.unwrap();
                client.batch_execute(SCHEMA).await.unwrap();
            });
        })
        .join()
        .unwrap();
    }

    /// A connection of the superuser.
    pub(crate) async fn admin(&self) -> tokio_postgres::Client {
        connect(self.port, "app").await.unwrap()
    }

    /// One number, as the superuser sees it.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.admin().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Removes the directory once this process has ended: what is in a `static` is never dropped.
fn swept_up(directory: &Path) {
    let mut sweeper = Command::new("sh");
    sweeper.args(["-c", "cat; sleep 1; rm -rf \"$0\""]).arg(directory).stdin(Stdio::piped());
    // Its standard input closes with this process.
    std::mem::forget(sweeper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
}

async fn connect(port: u16, database: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("postgres").password(PASSWORD).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn write_private(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let program = Path::new(BINARIES).join(program);
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "SIGQUIT"]).arg(program).env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

fn give_away(directory: &Path) {
    if let (true, Ok(Some(user))) = (is_root(), nix::unistd::User::from_name("postgres")) {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.chain([directory.to_owned()]) {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }
}

const SCHEMA: &str = "
    CREATE ROLE reader LOGIN PASSWORD 'correct-horse-battery';
    CREATE ROLE writer LOGIN PASSWORD 'correct-horse-battery';
    CREATE ROLE certain LOGIN;
    CREATE ROLE sneaky LOGIN PASSWORD 'correct-horse-battery' IN ROLE pg_execute_server_program;
    CREATE ROLE climber LOGIN NOINHERIT PASSWORD 'correct-horse-battery' IN ROLE postgres;
    GRANT CREATE ON SCHEMA public TO writer;
    CREATE TABLE fixed (a int PRIMARY KEY, b text);
    INSERT INTO fixed VALUES (1, 'one'), (2, 'two'), (3, NULL);
    CREATE SEQUENCE counter;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO reader, writer;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO reader, writer;
    CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM fixed; RETURN 1; END';
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN small AS int CHECK (VALUE < 100);
";
