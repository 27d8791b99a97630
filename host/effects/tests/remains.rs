//! What a process leaves behind that was killed, and that nothing of it is there afterwards. The process is a real one: this
//! very file, started once more to play the host that dies.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/place.rs"]
mod place;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use outside::{Outside, Recorded, peer};
use pipe_core::{
    event::{Started, StartedProgram, StartedSession},
    id::StepId,
};
use pipe_effects::{
    ledger::{Ledger, LedgerError},
    remains::{self, Remain, RemainsError, Swept, Witness},
    sql::Access,
    world::{Peer, World},
};
use place::{alive, eventually, mark, shell, shell_grant, supervisor};
use postgres_server::{PASSWORD, server};

/// What the process is to play, where it is started by a test.
const ROLE: &str = "PIPE_TEST_DEAD_HOST";

/// How its lines begin.
const SAID: &str = "started: ";

/// A host that starts something, says what its ledger was told, and waits for its end.
#[test]
fn a_host_that_is_killed() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split('\t').collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match words.as_slice() {
            ["program", state, script] => {
                let place = place::Place::new();
                let world = World { artifacts: Path::new(state).join("artifacts"), ..place.world() };
                let session = place.session_in(shell_grant(), world);
                let _child = session.start(shell(script)).await.unwrap();
                println!("{SAID}{}", serde_json::to_string(&place.ledger.records().started).unwrap());
                std::future::pending::<()>().await;
            }
            ["statement", port, ca, statement] => {
                let outside = Outside::default().peer(main_peer(port, ca)).secret("db", PASSWORD).sql("write main");
                let (session, ledger) = outside.session();
                let mut connection = session.sql_open("main", Access::Write).await.unwrap();
                println!("{SAID}{}", serde_json::to_string(&*ledger.started.lock().unwrap()).unwrap());
                panic!("it did not wait: {:?}", connection.query(statement, vec![]).await);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Starts such a host. What it has started.
fn host(role: &[&str]) -> (Child, Vec<Remain>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_host_that_is_killed", "--nocapture"]).env(ROLE, role.join("\t"));
    let mut host = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find_map(|line| Some(line.split_once(SAID)?.1.to_owned()));
    let started: Vec<Started> = serde_json::from_str(&said.expect("it says what it started")).unwrap();
    let remains = started.into_iter().map(|started| Remain { step: StepId::new("test"), started }).collect();
    (host, remains)
}

fn end(mut host: Child) {
    host.kill().unwrap();
    host.wait().unwrap();
}

/// Remembers what is about to be ended.
#[derive(Default)]
struct Seen {
    ending: Mutex<Vec<Remain>>,
    ledger: Arc<Recorded>,
    broken: bool,
}

#[async_trait]
impl Witness for Seen {
    fn ledger(&self, _: &StepId) -> Arc<dyn Ledger> {
        Arc::<Recorded>::clone(&self.ledger)
    }

    async fn ending(&self, remain: &Remain) -> Result<(), LedgerError> {
        if self.broken {
            return Err(LedgerError("the disk is full".to_owned()));
        }
        self.ending.lock().unwrap().push(remain.clone());
        Ok(())
    }
}

/// The state directory of a host, and the world of the one that comes after it.
fn state() -> (tempfile::TempDir, Arc<World>) {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("artifacts")).unwrap();
    let world = World { artifacts: state.path().join("artifacts"), ..World::empty() };
    (state, Arc::new(world))
}

fn program(remains: &[Remain]) -> StartedProgram {
    match remains {
        [Remain { started: Started::Program(program), .. }] => program.clone(),
        other => panic!("{other:?}"),
    }
}

fn session(remains: &[Remain]) -> StartedSession {
    match remains {
        [Remain { started: Started::DatabaseSession(session), .. }] => session.clone(),
        other => panic!("{other:?}"),
    }
}

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_program_whose_supervisor_is_stopped_outlives_its_host_and_is_ended() {
    let _built = supervisor();
    let (state, world) = state();
    let seconds = mark(901);
    let script = format!("sleep {seconds} & setsid sleep {seconds} & wait");
    let (host, remains) = host(&["program", state.path().to_str().unwrap(), &script]);
    let started = program(&remains);
    assert_eq!((started.name.as_str(), started.boot.len()), ("sh", 36));
    let scratch = PathBuf::from(&started.scratch);
    assert!(scratch.starts_with(state.path()) && scratch.is_dir());
    let pid = Pid::from_raw(started.pid.cast_signed());
    eventually("the program runs", || alive(&format!("sleep {seconds}")).len() >= 2).await;
    kill(pid, Signal::SIGSTOP).unwrap();
    end(host);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(alive(&format!("sleep {seconds}")).len() >= 2, "it did not outlive its host");

    let seen = Seen::default();
    let swept = remains::end(&world, &seen, remains.clone(), WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 1, sessions: 0, ended: remains.clone() });
    assert_eq!(*seen.ending.lock().unwrap(), remains);
    assert_eq!(alive(&format!("sleep {seconds}")), Vec::<u32>::new());
    assert!(!scratch.exists());
    // Once more there is nothing to do.
    let swept = remains::end(&world, &Seen::default(), remains, WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 1, sessions: 0, ended: vec![] });
}

#[tokio::test]
async fn a_program_ends_with_its_host_and_is_seen_to_be_gone() {
    let (state, world) = state();
    let seconds = mark(902);
    let (host, remains) = host(&["program", state.path().to_str().unwrap(), &format!("sleep {seconds}; true")]);
    eventually("the program runs", || !alive(&format!("sleep {seconds}")).is_empty()).await;
    end(host);
    let swept = remains::end(&world, &Seen::default(), remains, WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 1, sessions: 0, ended: vec![] });
    assert_eq!(alive(&format!("sleep {seconds}")), Vec::<u32>::new());
}

#[tokio::test]
async fn nothing_is_ended_that_cannot_be_written_down() {
    let (state, world) = state();
    let seconds = mark(903);
    let (host, remains) = host(&["program", state.path().to_str().unwrap(), &format!("sleep {seconds}; true")]);
    eventually("the program runs", || !alive(&format!("sleep {seconds}")).is_empty()).await;
    kill(Pid::from_raw(program(&remains).pid.cast_signed()), Signal::SIGSTOP).unwrap();
    end(host);
    let broken = Seen { broken: true, ..Seen::default() };
    let error = remains::end(&world, &broken, remains.clone(), WITHIN).await.unwrap_err();
    assert!(matches!(error, RemainsError::Record(_)), "{error}");
    assert!(!alive(&format!("sleep {seconds}")).is_empty());
    remains::end(&world, &Seen::default(), remains, WITHIN).await.unwrap();
    assert_eq!(alive(&format!("sleep {seconds}")), Vec::<u32>::new());
}

#[tokio::test]
async fn a_process_that_only_has_the_number_is_left_alone() {
    let (_state, world) = state();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let start_time = fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
    let start_time = start_time.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
    let program =
        StartedProgram { name: "pg_dump".to_owned(), pid: other.id(), start_time, boot, scratch: String::new() };
    let later = StartedProgram { start_time: start_time + 1, ..program.clone() };
    let before = StartedProgram { boot: "00000000-0000-0000-0000-000000000000".to_owned(), ..program };
    let remains = [later, before].map(|one| Remain { step: StepId::new("test"), started: Started::Program(one) });
    let swept = remains::end(&world, &Seen::default(), remains.to_vec(), WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 2, sessions: 0, ended: vec![] });
    assert_eq!(other.try_wait().unwrap(), None);
    other.kill().unwrap();
    other.wait().unwrap();
}

fn main_peer(port: &str, ca: &str) -> Peer {
    Peer {
        password: Some("db".to_owned()),
        ca: Some(ca.into()),
        ..peer("main", &format!("postgres://writer@localhost:{port}/app"))
    }
}

fn world_of(peer: Peer) -> Arc<World> {
    Arc::new(Outside::default().peer(peer).secret("db", PASSWORD).world)
}

/// A table that a host wants to change, a session that keeps it from that, and the host.
async fn waiting(table: &str) -> (tokio_postgres::Client, Child, Vec<Remain>, Arc<World>) {
    let server = server();
    let holder = server.admin().await;
    let make =
        format!("CREATE TABLE {table} (a int); ALTER TABLE {table} OWNER TO writer; INSERT INTO {table} VALUES (1)");
    holder.batch_execute(&make).await.unwrap();
    holder.batch_execute(&format!("BEGIN; SELECT * FROM {table}")).await.unwrap();
    let (port, ca) = (server.port.to_string(), server.ca.display().to_string());
    let (host, remains) = host(&["statement", &port, &ca, &format!("ALTER TABLE {table} ADD COLUMN b int")]);
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND wait_event_type = 'Lock'",
        session(&remains).backend
    );
    let deadline = Instant::now() + WITHIN;
    while server.number(&count).await == 0 {
        assert!(Instant::now() < deadline, "it does not wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (holder, host, remains, world_of(main_peer(&port, &ca)))
}

async fn there(session: &StartedSession) -> i64 {
    server().number(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", session.backend)).await
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_outlives_its_client_and_is_ended() {
    let (holder, host, remains, world) = waiting("waited").await;
    let started = session(&remains);
    assert_eq!((started.peer.as_str(), started.backend_start.len()), ("main", 27), "{started:?}");
    end(host);
    assert_eq!(there(&started).await, 1, "it did not outlive its client");

    let seen = Seen::default();
    let swept = remains::end(&world, &seen, remains.clone(), WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 0, sessions: 1, ended: remains.clone() });
    assert_eq!(*seen.ending.lock().unwrap(), remains);
    assert_eq!(seen.ledger.used(), ["secrets db to main (password)"]);
    assert_eq!(there(&started).await, 0);
    // What it waited for is free now, and it does not come.
    holder.batch_execute("COMMIT").await.unwrap();
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'waited'";
    assert_eq!(server().number(columns).await, 1);
    let swept = remains::end(&world, &Seen::default(), remains, WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 0, sessions: 1, ended: vec![] });
}

#[tokio::test]
async fn sessions_of_others_are_left_alone() {
    let (_holder, host, remains, world) = waiting("guarded").await;
    let started = session(&remains);
    let later = StartedSession { backend_start: "2026-01-01T00:00:00.000000Z".to_owned(), ..started.clone() };
    let others = server().admin().await;
    let backend: i32 = others.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    // Another login's session, whose number and start are known.
    let start = "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                 FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let backend_start: String = others.query_one(start, &[]).await.unwrap().get(0);
    let foreign = StartedSession { backend, backend_start, ..started.clone() };
    let wrong =
        [later, foreign].map(|one| Remain { step: StepId::new("test"), started: Started::DatabaseSession(one) });
    let swept = remains::end(&world, &Seen::default(), wrong.to_vec(), WITHIN).await.unwrap();
    assert_eq!(swept, Swept { programs: 0, sessions: 2, ended: vec![] });
    assert_eq!(there(&started).await, 1);
    others.query_one("SELECT 1", &[]).await.unwrap();
    end(host);
    remains::end(&world, &Seen::default(), remains, WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_stops_everything() {
    let gone = StartedSession {
        peer: "main".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        backend: 4711,
        backend_start: "2026-01-01T00:00:00.000000Z".to_owned(),
    };
    let remains = vec![Remain { step: StepId::new("test"), started: Started::DatabaseSession(gone) }];
    let ca = server().ca.display().to_string();
    let error =
        remains::end(&world_of(main_peer("1", &ca)), &Seen::default(), remains.clone(), WITHIN).await.unwrap_err();
    assert!(matches!(&error, RemainsError::Session { backend: 4711, peer, .. } if peer == "main"), "{error}");
    assert!(
        error.to_string().starts_with("session 4711 of step \"test\" at main may still be there: the server cannot"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("SELECT pg_terminate_backend(4711)"));
    let error = remains::end(&Arc::new(World::empty()), &Seen::default(), remains, WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("has no peer `main`"), "{error}");
}
