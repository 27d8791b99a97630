#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#[path = "support/place.rs"]
mod place;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;
use crate::place::*;
use age::secrecy::ExposeSecret as _;
use pipe_capability::{artifact::ArtifactRule, grant::Grant, path::PathRule};
use pipe_effects::artifact::Storing;
use std::time::Instant;
#[tokio::test(flavor = "multi_thread")]
async fn measure() {
    let place = Place::new();
    let mut world = place.world();
    let identity = age::x25519::Identity::generate();
    add_secret(&mut world, "backup", identity.to_string().expose_secret());
    std::fs::write("/tmp/measure.key", identity.to_string().expose_secret()).unwrap();
    let session = place.session_in(
        Grant {
            read: vec![PathRule::new("/tmp/measure", "/tmp/measure")],
            secrets: vec![artifact_slot("backup")],
            exec: vec![exec_rule("true", &[]), exec_rule("sh", &["-c", "*"]), exec_rule("cat", &[])],
            artifacts: vec![ArtifactRule::Write],
            ..Grant::default()
        },
        world,
    );
    for _ in 0..2 {
        let at = Instant::now();
        let bare = || {
            std::process::Command::new("/usr/bin/true").status().unwrap();
        };
        for _ in 0..200 {
            bare();
        }
        let b = at.elapsed() / 200;
        let at = Instant::now();
        for _ in 0..200 {
            run(&session, command("true", &[])).await.unwrap();
        }
        println!("bare {b:?} supervised {:?}", at.elapsed() / 200);
    }
    for _ in 0..2 {
        let at = Instant::now();
        let a = session
            .archive("/tmp/measure", Storing { name: "m".into(), encrypt_with: Some("backup".into()) })
            .await
            .unwrap();
        println!("archive {:?} {} -> {}", at.elapsed(), a.content_bytes, a.bytes);
        println!(
            "{}",
            std::fs::read_to_string("/proc/self/status")
                .unwrap()
                .lines()
                .filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS"))
                .collect::<Vec<_>>()
                .join(" ")
        );
        let at = Instant::now();
        session.verify_archive(&a.digest.to_string()).await.unwrap();
        println!("verify {:?}", at.elapsed());
        let at = Instant::now();
        session.verify_with(&a.digest.to_string(), shell("cat >/dev/null")).await.unwrap();
        println!("verify_with {:?}", at.elapsed());
        let at = Instant::now();
        session
            .capture(
                shell("tar cf - -C /tmp/measure ."),
                Storing { name: "c".into(), encrypt_with: Some("backup".into()) },
            )
            .await
            .unwrap();
        println!("capture {:?}", at.elapsed());
        std::process::Command::new("sync").status().unwrap();
        let at = Instant::now();
        std::process::Command::new("sh").args(["-c", "tar cf - -C /tmp/measure . | zstd -q -3 | age -e -i /tmp/measure.key > /tmp/measure.out; sync /tmp/measure.out"]).status().unwrap();
        println!("tar|zstd|age {:?}", at.elapsed());
    }
}
