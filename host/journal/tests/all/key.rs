//! The key beside the journal.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    thread,
};

use pipe_core::{digest::Digest, proof::ProofKey};
use pipe_journal::{Journal, JournalError};

use crate::sample::journal;

fn proof(key: Result<ProofKey, JournalError>) -> Digest {
    key.unwrap().of("sql", b"SELECT 1")
}

#[tokio::test]
async fn it_is_made_once_for_this_user_alone() {
    let (directory, journal) = journal();
    let state = directory.path().join("state");
    let reader = Journal::open_read_only(&state).unwrap();
    assert!(matches!(reader.proof_key(), Err(JournalError::NoKey { .. })), "reading makes nothing");
    let first = proof(journal.proof_key());
    assert_eq!(proof(journal.proof_key()), first);
    assert_eq!(proof(reader.proof_key()), first);
    let metadata = fs::metadata(state.join("audit.key")).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.len(), metadata.nlink()), (0o600, 32, 1));
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    let (_other, other) = crate::sample::journal();
    assert_ne!(proof(other.proof_key()), first, "nobody else's");
}

#[tokio::test]
async fn all_that_come_at_once_get_the_same() {
    let (_directory, journal) = journal();
    let proofs: Vec<Digest> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| proof(journal.proof_key()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(proofs.iter().all(|proof| *proof == proofs[0]), "{proofs:?}");
}

#[tokio::test]
async fn one_that_is_not_as_it_was_made_is_not_used() {
    let (directory, journal) = journal();
    let path = directory.path().join("state/audit.key");
    proof(journal.proof_key());
    let key = fs::read(&path).unwrap();
    let told = |says: &str| {
        let error = journal.proof_key().unwrap_err();
        assert!(matches!(error, JournalError::Key { .. }), "{error:?}");
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    told("others than this user can read it");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for wrong in [&key[..31], &[&key[..], b"x"].concat(), b""] {
        fs::write(&path, wrong).unwrap();
        told("it does not hold 32 bytes");
    }
    fs::remove_file(&path).unwrap();
    symlink(directory.path().join("elsewhere"), &path).unwrap();
    fs::write(directory.path().join("elsewhere"), &key).unwrap();
    told("audit.key");
}
