//! A program within its fence, against the same program bare.

use std::{
    fs,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use pipe_capability::{exec::ExecRule, grant::Grant};
use pipe_core::id::StepId;
use pipe_effects::{
    process::{Command, Exit},
    session::Session,
    world::World,
};

use crate::{Row, call::Counting, quantile};

const PROGRAM: &str = "/bin/true";
const STARTS: usize = 200;

/// In turn, so that whatever else the machine does falls on both.
pub(crate) fn measure() -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let base = state.path().canonicalize().expect("it exists");
    let artifacts = base.join("artifacts");
    fs::create_dir(&artifacts).expect("it is empty");
    let supervisor = vec![env!("CARGO_BIN_EXE_pipe").into(), "__confine".into()];
    let world = Arc::new(World { base, artifacts, supervisor, ..World::empty() });
    let rule = |ports: Vec<u16>| ExecRule { program: PROGRAM.to_owned(), ports, ..ExecRule::default() };
    let session = |ports| {
        let grant = Grant { exec: vec![rule(ports)], ..Grant::default() };
        let ledger = Arc::new(Counting::default());
        Arc::new(Session::new(StepId::new("bench"), Arc::new(grant), Arc::clone(&world), ledger))
    };
    let (alone, connected) = (session(Vec::new()), session(vec![443]));
    let (mut bare, mut without_network, mut with_port) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        bare.push(timed(|| runtime.block_on(start_bare())));
        without_network.push(timed(|| runtime.block_on(start(&alone))));
        with_port.push(timed(|| runtime.block_on(start(&connected))));
    }
    let bare = quantile(bare, 0.5);
    let row = |what: &str, taken: Vec<Duration>| {
        let median = quantile(taken, 0.5);
        let more = median.saturating_sub(bare);
        Row {
            what: format!("a program within its fence, {what}, against the same bare"),
            target: "<= +1 ms",
            measured: format!("+{:.2} ms ({:.2} ms)", more.as_secs_f64() * 1e3, median.as_secs_f64() * 1e3),
            met: Some(more <= Duration::from_millis(1)),
        }
    };
    vec![row("no network", without_network), row("one port", with_port)]
}

async fn start(session: &Arc<Session>) {
    let command = Command { program: PROGRAM.to_owned(), arguments: Vec::new() };
    let mut child = session.start(command).await.expect("it starts");
    while child.read().await.expect("its output").is_some() {}
    assert_eq!(child.wait().await.expect("its end"), Exit::Code(0));
}

async fn start_bare() {
    let mut command = tokio::process::Command::new(PROGRAM);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.expect("it starts");
    assert!(output.status.success());
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}
