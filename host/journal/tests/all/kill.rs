//! What was acknowledged survives SIGKILL, whenever it comes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use pipe_core::{event::EventKind, id::StepId, redact::Redactor};
use pipe_journal::{Durability::*, Journal};

use crate::sample::{logged, run, used};

const DIRECTORY: &str = "PIPE_JOURNAL_KILL_TEST";
const ROUNDS: u32 = 20;

/// Writes until it is killed, and says what was acknowledged: `acked SEQ NUMBER`.
#[tokio::test]
#[ignore = "the child of the test below"]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let journal = Journal::open(Path::new(&directory), Redactor::default()).unwrap();
    let run = run(std::process::id() & 0xFF_FFFF);
    let mut stdout = std::io::stdout();
    for number in 0_u64.. {
        journal.append_soon(&run, &[used(number)]).unwrap();
        let last = if number % 5 == 4 {
            let data = number.to_be_bytes();
            journal.save_receipt(&run, &StepId::new("a"), "k", &data, "s").await.unwrap().appended.last_seq
        } else {
            let kinds = vec![used(number), logged(&number.to_string())];
            journal.append(&run, kinds, Durable).await.unwrap().unwrap().last_seq
        };
        writeln!(stdout, "acked {last} {number}").unwrap();
        stdout.flush().unwrap();
    }
}

fn spawn(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The acknowledgements of a child that is dead. The last line may be cut off.
fn acknowledged(child: &mut Child) -> Vec<(u64, u64)> {
    let mut acks = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split_once("acked ").map_or("", |(_, ack)| ack).split(' ').map(str::parse);
        if let (Some(Ok(seq)), Some(Ok(number))) = (words.next(), words.next()) {
            acks.push((seq, number));
        }
    }
    acks
}

#[test]
fn nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (mut total, mut last_entries) = (0, 0);
    for round in 0..ROUNDS {
        // Every other round has two writers on the same journal.
        let mut children: Vec<_> = (0..=round % 2).map(|_| spawn(directory.path())).collect();
        // Some die while they open it, most while they write.
        thread::sleep(Duration::from_micros(u64::from(random(round)) % 60_000));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let Ok(reader) = Journal::open_read_only(directory.path()) else { continue };
        let verified = reader.verify(None).unwrap();
        assert!(verified.entries >= last_entries, "entries went away");
        last_entries = verified.entries;
        for child in &mut children {
            let run = run(child.id() & 0xFF_FFFF);
            let acks = acknowledged(child);
            total += acks.len();
            let events = reader.events(&run).unwrap();
            for (seq, number) in &acks {
                let at = events.iter().position(|event| event.seq == *seq).expect("an acknowledged event is there");
                let last = events[at].event.known().unwrap();
                let first = if number % 5 == 4 {
                    assert!(matches!(last, EventKind::CheckpointSaved { .. }), "{last:?}");
                    at - 1
                } else {
                    assert_eq!(*last, logged(&number.to_string()));
                    at - 2
                };
                assert_eq!(*events[first].event.known().unwrap(), used(*number), "what could wait came before");
            }
            if let Some((_, number)) = acks.iter().rev().find(|(_, number)| number % 5 == 4) {
                let receipts = reader.receipts(&run, &StepId::new("a")).unwrap();
                let saved = u64::from_be_bytes(receipts[0].data.as_slice().try_into().unwrap());
                assert!(saved >= *number);
            }
        }
    }
    assert!(total > 100, "only {total} acknowledgements in all rounds");
    // It is still a journal that can be written.
    let journal = Journal::open(directory.path(), Redactor::default()).unwrap();
    journal.append_soon(&run(1), &[used(1)]).unwrap();
    drop(journal);
    assert_eq!(Journal::open_read_only(directory.path()).unwrap().verify(None).unwrap().entries, last_entries + 1);
}

/// A random number without a dependency.
fn random(round: u32) -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(round) as u32
}
