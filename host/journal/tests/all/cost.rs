//! What it costs. `cargo test -p pipe-journal --release -- --ignored cost --nocapture`

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use pipe_core::redact::Redactor;
use pipe_journal::{Durability::*, Journal};

use crate::sample::{finished, journal, run, started, used};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn say(what: &str, times: Vec<Duration>) {
    let mut sorted = times.clone();
    sorted.sort();
    println!("{what:<44} median {:>10.1?}  p99 {:>10.1?}", median(times), sorted[sorted.len() * 99 / 100]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints measurements"]
async fn cost() {
    let (directory, journal) = journal();
    // In turn, so that both meet the same other load. A log is mostly written over, not extended.
    let file = File::create(directory.path().join("bare")).unwrap();
    file.write_all_at(&[7; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (mut bare, mut times) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let begun = Instant::now();
        file.write_all_at(&[7; 12_288], number % 64 * 12_288).unwrap();
        file.sync_data().unwrap();
        bare.push(begun.elapsed());
        let begun = Instant::now();
        journal.append(&run(1), vec![used(number)], Durable).await.unwrap();
        times.push(begun.elapsed());
    }
    say("bare write of 3 pages and fdatasync", bare);
    say("durable append of one event", times);
    let mut times = Vec::new();
    for number in 0..2_000 {
        let begun = Instant::now();
        journal.append_soon(&run(1), &[used(number)]).unwrap();
        times.push(begun.elapsed());
    }
    say("append of one event that may wait", times);
    let begun = Instant::now();
    journal.flush().await.unwrap();
    println!("flush of what waits {:?}", begun.elapsed());
    let begun = Instant::now();
    let journal = std::sync::Arc::new(journal);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let journal = std::sync::Arc::clone(&journal);
            tokio::spawn(async move {
                for number in 0..50 {
                    journal.append(&run(task), vec![used(number)], Durable).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("64 tasks, 50 durable appends each: {:?} an append", begun.elapsed() / 3_200);
    let begun = Instant::now();
    let verified = journal.verify(None).await.unwrap();
    println!("verify {} entries {:?}", verified.entries, begun.elapsed());
    journal.close().await.unwrap();

    let state = directory.path().join("state");
    let (mut opens, mut works, mut closes, mut reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..200 {
        let begun = Instant::now();
        let journal = Journal::open(&state, Redactor::default()).unwrap();
        opens.push(begun.elapsed());
        let begun = Instant::now();
        journal.append(&run(1_000 + number), vec![started("hms", "production")], Durable).await.unwrap();
        for step in 0..12 {
            journal.append(&run(1_000 + number), vec![used(step), used(step)], Durable).await.unwrap();
        }
        let end = vec![finished(pipe_core::event::Outcome::Succeeded, None)];
        journal.append(&run(1_000 + number), end, Durable).await.unwrap();
        works.push(begun.elapsed());
        let begun = Instant::now();
        journal.close().await.unwrap();
        closes.push(begun.elapsed());
        let begun = Instant::now();
        Journal::open_read_only(&state).unwrap();
        reads.push(begun.elapsed());
    }
    say("open", opens);
    say("a run of 14 durable appends", works);
    say("close", closes);
    say("open to read only", reads);
}
