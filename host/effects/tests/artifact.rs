//! Artifacts from producer to file and back, and everything that must not become one.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/place.rs"]
mod place;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::Path,
    process::Command as StdCommand,
    sync::Arc,
    time::Duration,
};

use age::secrecy::ExposeSecret as _;
use pipe_capability::{artifact::ArtifactRule, grant::Grant};
use pipe_core::{
    digest::Digest,
    event::Artifact,
    id::StepId,
    limits::{Limit, Limits},
};
use pipe_effects::{
    artifact::{Storing, remove_unknown},
    error::ErrorKind,
    ledger::KnownArtifact,
    session::Session,
    world::World,
};

use crate::{
    place::{Place, add_secret, alive, artifact_slot, command, eventually, exec_rule, mark, shell},
    recording_ledger::RecordingLedger,
};

fn plain(name: &str) -> Storing {
    Storing { name: name.to_owned(), encrypt_with: None }
}

fn sealed(name: &str) -> Storing {
    Storing { encrypt_with: Some("backup".to_owned()), ..plain(name) }
}

/// A grant of everything that these tests do below the base.
fn grant(place: &Place) -> Grant {
    Grant {
        read: vec![place.path_rule("in")],
        write: vec![place.path_rule("out")],
        secrets: vec![artifact_slot("backup")],
        exec: vec![exec_rule("sh", &["-c", "*"]), exec_rule("cat", &[]), exec_rule("pg_dump", &["**"])],
        artifacts: vec![ArtifactRule::Write],
        ..Grant::default()
    }
}

/// A world with an age identity in the secret `backup`.
fn world(place: &Place) -> (World, String) {
    let identity = age::x25519::Identity::generate();
    let text = format!("# public key: {}\n{}\n", identity.to_public(), identity.to_string().expose_secret());
    let mut world = place.world();
    add_secret(&mut world, "backup", &text);
    (world, text)
}

fn session(place: &Place) -> Arc<Session> {
    place.session_in(grant(place), world(place).0)
}

/// Files, empty and large and with odd names, links, and an empty directory.
fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("sub/deep")).unwrap();
    fs::create_dir(directory.join("empty")).unwrap();
    fs::write(directory.join("zero"), "").unwrap();
    fs::write(directory.join("block"), vec![7; 512]).unwrap();
    fs::write(directory.join("sub/größe 🗄.txt"), "unicode\n").unwrap();
    fs::write(directory.join(OsStr::from_bytes(b"sub/not-utf8-\xff")), "bytes").unwrap();
    fs::write(directory.join(format!("sub/deep/{}", "long".repeat(50))), "a name of 200 bytes").unwrap();
    let noise: Vec<u8> = (0..3_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(directory.join("sub/large.bin"), noise).unwrap();
    fs::write(directory.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(directory.join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("sub/large.bin", directory.join("link")).unwrap();
    symlink("../run.sh", directory.join("sub/up")).unwrap();
    symlink("no/where", directory.join("dangling")).unwrap();
    symlink("x".repeat(150), directory.join("long-link")).unwrap();
}

fn directories(place: &Place) {
    fs::create_dir(place.base.join("in")).unwrap();
    fs::create_dir(place.base.join("out")).unwrap();
}

/// Two trees differ in nothing that an archive keeps.
fn assert_same(one: &Path, other: &Path) {
    let compared = StdCommand::new("diff").args(["-r", "--no-dereference"]).args([one, other]).output().unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
}

fn sha256(path: &str) -> Digest {
    Digest::of(&fs::read(path).unwrap())
}

#[tokio::test]
async fn a_directory_comes_back_bit_by_bit() {
    for storing in [plain("files"), sealed("files")] {
        let place = Place::new();
        directories(&place);
        fill(&place.base.join("in"));
        let session = session(&place);
        let encrypted = storing.encrypt_with.is_some();
        let stored = session.archive("in", storing).await.unwrap();
        assert_eq!(stored.encrypted, encrypted);
        assert_eq!(sha256(&stored.location), stored.digest);
        assert_eq!(fs::metadata(&stored.location).unwrap().len(), stored.bytes);
        assert_eq!(fs::metadata(&stored.location).unwrap().permissions().mode() & 0o777, 0o600);
        let suffix = if encrypted { "files.tar.zst.age" } else { "files.tar.zst" };
        assert_eq!(place.artifact_files(), [format!("{}-{suffix}", &stored.digest.to_string()[..16])]);
        assert_eq!(place.ledger.records().stored, std::slice::from_ref(&stored));

        let digest = stored.digest.to_string();
        let verified = session.verify_archive(&digest).await.unwrap();
        assert_eq!((verified.method.as_str(), verified.entries), ("tar-listing", 14));
        assert_eq!(verified.content_bytes, stored.content_bytes);
        assert_eq!(place.ledger.records().verified, [verified]);

        let extracted = session.extract(&digest, "out").await.unwrap();
        assert_eq!(extracted.entries, 14);
        assert_same(&place.base.join("in"), &place.base.join("out"));
        let mode = fs::metadata(place.base.join("out/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o750);
        assert_eq!(fs::read_link(place.base.join("out/sub/up")).unwrap(), Path::new("../run.sh"));
        let restored: Vec<bool> = place.ledger.records().verified.iter().map(|one| one.restored).collect();
        assert_eq!(restored, [false, true], "what was unpacked was restored");
        let again = session.extract(&digest, "out").await.unwrap_err();
        assert!(again.message.contains("not empty"), "{}", again.message);
        session.close().await;
    }
}

#[tokio::test]
async fn the_same_directory_gives_the_same_archive() {
    let place = Place::new();
    directories(&place);
    fill(&place.base.join("in"));
    let session = session(&place);
    let one = session.archive("in", plain("a")).await.unwrap();
    let other = session.archive("in", plain("a")).await.unwrap();
    assert_eq!(one, other);
    assert_eq!(place.artifact_files().len(), 1);
    let used = place.ledger.used_lines();
    assert_eq!(used[..2], ["artifacts write a", "read in"]);
    assert!(place.ledger.records().uses[0].effect);
}

#[tokio::test]
async fn age_zstd_and_tar_read_what_was_stored() {
    let place = Place::new();
    directories(&place);
    fill(&place.base.join("in"));
    let (world, identity) = world(&place);
    let session = place.session_in(grant(&place), world);
    let stored = session.archive("in", sealed("files")).await.unwrap();
    let key = place.base.join("key");
    fs::write(&key, identity).unwrap();
    let pipeline = format!(
        "set -e; cd {}; age -d -i {} {} > t.zst; zstd -q -d t.zst -o t.tar; tar -tf t.tar | wc -l; sha256sum t.tar; tar -xf t.tar -C out",
        place.base.display(),
        key.display(),
        stored.location
    );
    let read = StdCommand::new("sh").args(["-c", &pipeline]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(text.starts_with("14\n") && text.contains(&stored.content_digest.to_string()), "{text}");
    assert_same(&place.base.join("in"), &place.base.join("out"));
}

#[tokio::test]
async fn output_is_captured_exactly_even_where_it_holds_a_secret() {
    let place = Place::new();
    let (mut world, _) = world(&place);
    add_secret(&mut world, "db", "hunter2hunter2");
    let session = place.session_in(grant(&place), world);
    let script = "printf 'a hunter2hunter2 \\000\\377'; head -c 1000000 /dev/zero; echo told hunter2hunter2 >&2";
    let stored = session.capture(shell(script), sealed("database.dump")).await.unwrap();
    let mut content = b"a hunter2hunter2 \0\xff".to_vec();
    content.resize(content.len() + 1_000_000, 0);
    assert_eq!((stored.content_bytes, stored.content_digest), (content.len() as u64, Digest::of(&content)));
    assert!(stored.location.ends_with("-database.dump.zst.age"), "{}", stored.location);
    assert_eq!(place.ledger.records().lines[0].1, "told [secret]");
    let verified = session.verify_with(&stored.digest.to_string(), shell("wc -c; echo second")).await.unwrap();
    assert_eq!((verified.method.as_str(), verified.entries), ("sh -c", 2));
    let no_archive = session.verify_archive(&stored.digest.to_string()).await.unwrap_err();
    assert!(no_archive.message.contains("cannot be read back"), "{}", no_archive.message);
    session.close().await;
}

#[tokio::test]
async fn a_producer_that_fails_leaves_nothing() {
    let place = Place::new();
    let session = session(&place);
    let script = |script: &str| session.capture(shell(script), sealed("x"));
    let failed = script("echo data; for n in $(seq 20); do echo line $n >&2; done; exit 3").await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Failed);
    assert!(failed.message.starts_with("sh exited with 3: line 11 | line 12"), "{}", failed.message);
    let killed = script("echo data; kill -9 $$").await.unwrap_err();
    assert!(killed.message.contains("signal 9"), "{}", killed.message);
    let empty = script("echo nothing to say >&2").await.unwrap_err();
    assert!(empty.message.contains("wrote nothing: nothing to say"), "{}", empty.message);
    // The classic: a dump of a server that is not there.
    let dump = command("pg_dump", &["-F", "c", "-h", "127.0.0.1", "-p", "9", "-w", "hms"]);
    let dead = session.capture(dump, sealed("x")).await.unwrap_err();
    assert!(
        dead.message.contains("connection to server") || dead.message.contains("not installed"),
        "{}",
        dead.message
    );
    let denied = session.capture(command("pg_dumpall", &[]), sealed("x")).await.unwrap_err();
    assert_eq!(denied.kind, ErrorKind::Denied);
    assert_eq!(place.artifact_files(), Vec::<String>::new());
    assert!(place.ledger.records().stored.is_empty());
}

#[tokio::test]
async fn a_producer_that_is_cancelled_leaves_nothing() {
    let (place, mark) = (Place::new(), mark(10));
    let session = session(&place);
    let capturing = {
        let (session, mark) = (session.clone(), mark.clone());
        tokio::spawn(async move { session.capture(shell(&format!("yes {mark}")), sealed("x")).await })
    };
    eventually("data is written", || place.artifact_files().len() == 1 && !alive(&mark).is_empty()).await;
    session.close().await;
    assert_eq!(alive(&mark), Vec::<u32>::new());
    assert_eq!(place.artifact_files(), Vec::<String>::new());
    assert_eq!(capturing.await.unwrap().unwrap_err().kind, ErrorKind::TimedOut);

    let session = self::session(&place);
    let capturing = {
        let (session, mark) = (session.clone(), mark.clone());
        tokio::spawn(async move { session.capture(shell(&format!("yes {mark}")), sealed("x")).await })
    };
    eventually("data is written", || !alive(&mark).is_empty()).await;
    capturing.abort();
    eventually("nothing is left", || alive(&mark).is_empty() && place.artifact_files().is_empty()).await;
}

#[tokio::test]
async fn an_artifact_that_cannot_be_written_down_does_not_stay() {
    let mut place = Place::new();
    directories(&place);
    place.ledger = Arc::new(RecordingLedger::full("backup"));
    let failed = session(&place).archive("in", plain("x")).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Unavailable);
    assert_eq!(place.artifact_files(), Vec::<String>::new());
}

#[tokio::test]
async fn special_files_are_refused_at_once() {
    let place = Place::new();
    directories(&place);
    fs::create_dir(place.base.join("in/sub")).unwrap();
    nix::unistd::mkfifo(&place.base.join("in/sub/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let session = session(&place);
    let refused = tokio::time::timeout(Duration::from_secs(5), session.archive("in", plain("x"))).await.unwrap();
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("sub/pipe is a FIFO"), "{}", refused.message);
    fs::remove_file(place.base.join("in/sub/pipe")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(place.base.join("in/socket")).unwrap();
    let refused = session.archive("in", plain("x")).await.unwrap_err();
    assert!(refused.message.contains("socket is a socket"), "{}", refused.message);
    assert_eq!(place.artifact_files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_grows_is_an_error() {
    let place = Place::new();
    directories(&place);
    let path = place.base.join("in/log");
    fs::write(&path, vec![1; 64 << 20]).unwrap();
    let mut growing = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let done = done.clone();
        std::thread::spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                growing.write_all(&[2; 16]).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let result = session(&place).archive("in", plain("x")).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(result.unwrap_err().message.contains("log changed while it was read"));
    assert_eq!(place.artifact_files(), Vec::<String>::new());
}

/// Changes one byte of a file.
fn flip(path: &str, at: u64) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_never_verified() {
    for storing in [plain("x"), sealed("x")] {
        let place = Place::new();
        directories(&place);
        fill(&place.base.join("in"));
        let session = session(&place);
        let stored = session.archive("in", storing).await.unwrap();
        let digest = stored.digest.to_string();
        let sound = fs::read(&stored.location).unwrap();
        for at in [0, 30, stored.bytes / 2, stored.bytes - 1] {
            flip(&stored.location, at);
            assert!(session.verify_archive(&digest).await.is_err(), "byte {at}");
            assert!(session.verify_with(&digest, command("cat", &[])).await.is_err(), "byte {at}");
            assert!(session.extract(&digest, "out").await.is_err(), "byte {at}");
            assert_eq!(fs::read_dir(place.base.join("out")).unwrap().count(), 0, "something was left, byte {at}");
            flip(&stored.location, at);
        }
        for kept in [0, 100, stored.bytes - 1] {
            fs::write(&stored.location, &sound[..usize::try_from(kept).unwrap()]).unwrap();
            assert!(session.verify_archive(&digest).await.is_err(), "{kept} bytes");
        }
        let mut longer = sound.clone();
        longer.push(0);
        fs::write(&stored.location, &longer).unwrap();
        assert!(session.verify_archive(&digest).await.is_err());
        fs::remove_file(&stored.location).unwrap();
        assert!(session.verify_archive(&digest).await.is_err());
        fs::write(&stored.location, &sound).unwrap();
        assert_eq!(place.ledger.records().verified, []);
        session.verify_archive(&digest).await.unwrap();
    }
}

#[tokio::test]
async fn more_content_than_was_stored_is_an_error() {
    let place = Place::new();
    directories(&place);
    // A bomb: 256 MiB of nothing in a few kilobytes, known as one mebibyte.
    let bomb = zstd::encode_all(std::io::repeat(0).take(256 << 20), 3).unwrap();
    let location = place.artifacts.join("bomb");
    fs::write(&location, &bomb).unwrap();
    let artifact = Artifact {
        digest: Digest::of(&bomb),
        name: "bomb".into(),
        location: location.to_str().unwrap().to_owned(),
        bytes: bomb.len() as u64,
        content_bytes: 1 << 20,
        encrypted: false,
        content_digest: Digest::of(b""),
    };
    place.ledger.records().known.push(KnownArtifact { step: "backup".into(), artifact: artifact.clone() });
    let session = session(&place);
    let error = session.verify_with(&artifact.digest.to_string(), command("cat", &[])).await.unwrap_err();
    assert!(error.message.contains("more than was stored"), "{}", error.message);
    assert!(session.verify_archive(&artifact.digest.to_string()).await.is_err());
}

#[tokio::test]
async fn a_verifier_must_take_everything() {
    let place = Place::new();
    let session = session(&place);
    for bytes in [20, 5_000_000] {
        let stored = session.capture(shell(&format!("head -c {bytes} /dev/urandom")), sealed("x")).await.unwrap();
        let digest = stored.digest.to_string();
        for script in ["exit 0", "head -c 10", "exec <&-; sleep 0.1"] {
            let error = session.verify_with(&digest, shell(script)).await.unwrap_err();
            assert!(error.message.contains("without having read all"), "{script}: {}", error.message);
        }
        let error = session.verify_with(&digest, shell("cat >/dev/null; echo bad dump >&2; exit 1")).await.unwrap_err();
        assert_eq!(error.message, "sh exited with 1: bad dump");
        assert_eq!(place.ledger.records().verified, []);
        let verified = session.verify_with(&digest, shell("cat >/dev/null; printf 'a\\nb\\nc'")).await.unwrap();
        assert_eq!(verified.entries, 3);
        place.ledger.records().verified.clear();
    }
    // One that never reads is ended with the call.
    let stored = session.capture(shell("head -c 5000000 /dev/urandom"), plain("x")).await.unwrap();
    let mark = mark(11);
    let verifying = {
        let (session, mark) = (session.clone(), mark.clone());
        tokio::spawn(
            async move { session.verify_with(&stored.digest.to_string(), shell(&format!("sleep {mark}"))).await },
        )
    };
    eventually("the verifier runs", || !alive(&mark).is_empty()).await;
    session.close().await;
    assert_eq!(verifying.await.unwrap().unwrap_err().kind, ErrorKind::TimedOut);
    assert_eq!(alive(&mark), Vec::<u32>::new());
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let place = Place::new();
    directories(&place);
    fs::create_dir(place.base.join("other")).unwrap();
    symlink(place.base.join("other"), place.base.join("in/out")).unwrap();
    let session = session(&place);
    for directory in ["other", "in/../other", "in/out", "/etc"] {
        let denied = session.archive(directory, plain("x")).await.unwrap_err();
        assert_eq!(denied.kind, ErrorKind::Denied, "{directory}");
        assert!(denied.hint.unwrap().starts_with("allow.read = ["));
    }
    let stored = session.archive("in", sealed("x")).await.unwrap();
    let digest = stored.digest.to_string();
    assert_eq!(session.extract(&digest, "in").await.unwrap_err().kind, ErrorKind::Denied);

    let nothing = place.session_in(Grant { read: vec![place.path_rule("in")], ..Grant::default() }, world(&place).0);
    let denied = nothing.archive("in", plain("x")).await.unwrap_err();
    assert_eq!(denied.hint.as_deref(), Some(r#"allow.artifacts = ["write"]"#));
    let denied = nothing.verify_archive(&digest).await.unwrap_err();
    assert_eq!(denied.kind, ErrorKind::Denied);
    assert!(denied.hint.unwrap().contains("backup"), "{}", denied.message);
    let writer = Grant { artifacts: vec![ArtifactRule::Write], ..Grant::default() };
    let denied = place.session_in(writer, world(&place).0).capture(shell("true"), sealed("x")).await.unwrap_err();
    assert!(denied.hint.unwrap().starts_with("allow.secrets = ["), "{}", denied.message);

    let unknown = session.verify_archive(&Digest::of(b"?").to_string()).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::Invalid);
    assert_eq!(session.verify_archive("?").await.unwrap_err().kind, ErrorKind::Invalid);
    // Another key does not open it.
    let other_key = self::session(&place).verify_archive(&digest).await.unwrap_err();
    assert!(other_key.message.contains("none of the granted secrets"), "{}", other_key.message);
}

#[tokio::test]
async fn an_artifact_of_another_step_needs_a_grant() {
    let place = Place::new();
    directories(&place);
    let session = session(&place);
    let stored = session.archive("in", plain("x")).await.unwrap();
    let digest = stored.digest.to_string();
    let mut place = place;
    let ledger = RecordingLedger::new("restore");
    ledger.records().known.push(KnownArtifact { step: "backup".into(), artifact: stored });
    place.ledger = Arc::new(ledger);
    let restore = |grant| {
        let step = pipe_core::id::StepId::new("restore");
        Session::new(step, Arc::new(grant), Arc::new(place.world()), place.ledger.clone())
    };
    let denied = Arc::new(restore(Grant::default())).verify_archive(&digest).await.unwrap_err();
    assert_eq!(denied.hint.as_deref(), Some(r#"allow.artifacts = ["read backup"]"#));
    let grant = Grant { artifacts: vec![ArtifactRule::Read("backup".into())], ..Grant::default() };
    Arc::new(restore(grant)).verify_archive(&digest).await.unwrap();
}

#[tokio::test]
async fn an_artifact_that_is_too_large_leaves_nothing() {
    let place = Place::new();
    directories(&place);
    fs::write(place.base.join("in/large"), vec![7; 200_000]).unwrap();
    let limited = || {
        let (step, world) = (StepId::new("backup"), Arc::new(world(&place).0));
        let session = Session::new(step, Arc::new(grant(&place)), world, place.ledger.clone());
        Arc::new(session.limited(Limits::default().with(Limit::Artifact, 100_000)))
    };
    let archived = limited().archive("in", plain("files")).await;
    let captured = limited().capture(shell("yes"), plain("dump")).await;
    for stored in [archived, captured] {
        let error = stored.unwrap_err();
        assert!(error.message.contains("the artifact holds more than 97.7 KiB (`limits.artifact`)"), "{error}");
        assert_eq!(place.artifact_files(), Vec::<String>::new());
    }
}

#[test]
fn what_was_not_written_down_is_removed_and_nothing_else() {
    let place = Place::new();
    let known = "0123456789abcdef-files.tar.zst";
    for name in [".partial-0123456789abcdef", known, "0123456789abcdee-files.tar.zst.age", "0123-files", ".other"] {
        fs::write(place.artifacts.join(name), "").unwrap();
    }
    symlink(".other", place.artifacts.join(".partial-link")).unwrap();
    // The state directory may have been moved since.
    remove_unknown(&place.artifacts, &[&Path::new("/elsewhere").join(known)]).unwrap();
    let mut left = place.artifact_files();
    left.sort();
    assert_eq!(left, [".other", ".partial-link", "0123-files", known]);
    remove_unknown(&place.base.join("none"), &[]).unwrap();
}
