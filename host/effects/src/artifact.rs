//! Artifacts: backups and other files that the run keeps.
//!
//! Content goes from its producer through zstd, age and sha256 into a file in one stream; bulk bytes never pass through a
//! guest, and memory stays the same however much there is. A file gets its final name, and is made known to the run, after
//! the producer has succeeded; until then it is a partial file that goes away with the call.

mod archive;
mod capture;
mod extract;
mod key;
mod listing;
mod name;
mod pieces;
mod progress;
mod removal;
mod retrieve;
mod store;
mod verify;

use std::{fs, io, path::Path, sync::Arc};

use cap_std::fs::Dir;
use pipe_capability::{exec::restores, path::PathRequest, secret::SlotTarget, word::Word};
use pipe_core::{
    event::{Artifact, Verification},
    limits::Limit,
};

pub use self::removal::{is_there, remove, strangers};
use self::{
    key::Keys,
    progress::Progress,
    retrieve::Source,
    store::{Destination, Written},
};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
    path::{Pinned, resolve},
    process::Command,
    session::{Session, journal_failed},
};

/// How the name of a file begins that is being written.
const PARTIAL: &str = ".partial-";

/// How to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storing {
    /// Name for people, and the end of the file's name: `database.dump`.
    pub name: String,
    /// Name of the secret that holds the age identity. Needs `secrets = [{ name = "…", to = "artifacts" }]`.
    pub encrypt_with: Option<String>,
}

/// Removes what a run that was cut off left in the directory of its artifacts and did not write down: files that are half
/// written, and those that got their name at the last moment. `known` are the locations of those that it did. Nobody may be
/// running it.
///
/// # Errors
///
/// The directory cannot be read, or a file not be removed. A directory that is not there is none.
pub fn remove_unknown(directory: &Path, known: &[&Path]) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let known: Vec<_> = known.iter().filter_map(|location| location.file_name()).collect();
    for entry in entries {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let ours = store::is_partial(&name) || store::is_final(&name) && !known.contains(&name.as_os_str());
        if ours && entry.symlink_metadata()?.is_file() {
            fs::remove_file(entry)?;
        }
    }
    Ok(())
}

impl Session {
    /// Stores a tar archive of a granted directory. Capability: `artifacts` (write) and `read` of the directory.
    ///
    /// Entries stand in the order of their names' bytes, so the same directory gives the same archive. Symbolic links are
    /// stored as links and not followed.
    ///
    /// # Errors
    ///
    /// Denied; a socket, FIFO or device in the directory; a file that changes while it is read; no space.
    pub async fn archive(self: &Arc<Self>, directory: &str, storing: Storing) -> Result<Artifact, EffectError> {
        let failed = |error| effect_error(error, format_args!("cannot archive {directory}"));
        let destination = self.destination(&storing, ".tar.zst").await?;
        let (world, text) = (Arc::clone(&self.world), directory.to_owned());
        let resolving =
            self.blocking(move |_| Ok((resolve(&world.base, text), resolve(&world.base, &world.artifacts))));
        let (resolved, artifacts) = resolving.await.map_err(failed)?;
        let (rule, root) = match self.grant.read(&PathRequest { shown: directory, resolved: &resolved }) {
            Ok(rule) => (rule.to_string(), rule.resolved.clone()),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        if artifacts.starts_with(&resolved) {
            let message = format!("{directory} holds the artifacts of the run: an archive cannot contain itself");
            return Err(EffectError::new(ErrorKind::Invalid, message));
        }
        self.used_destination(&destination).await?;
        self.used(Word::Read.as_str(), directory.to_owned(), rule, false).await?;

        let mut progress = Progress::new(&self.ledger, format!("archiving {directory}"), None);
        let plan = destination.clone();
        let written = self.blocking(move |stop| {
            let granted = Dir::from_std_file(Pinned::directory(&root)?);
            let directory = archive::below(granted, &root, &resolved)?;
            store::write(&plan, stop, |content| archive::write(directory, content, |done| progress.at(done)))
        });
        let written = written.await.map_err(failed)?;
        self.keep(written, destination).await
    }

    /// Stores what a program writes to its standard output, byte for byte. Capability: `artifacts` (write) and `exec`.
    ///
    /// # Errors
    ///
    /// Denied; the program did not exit with 0, or wrote nothing: then there is no artifact, and the error holds the last
    /// lines of its standard error.
    pub async fn capture(self: &Arc<Self>, producer: Command, storing: Storing) -> Result<Artifact, EffectError> {
        let destination = self.destination(&storing, ".zst").await?;
        self.used_destination(&destination).await?;
        let written = self.captured(&producer, &destination).await?;
        self.keep(written, destination).await
    }

    /// Reads an archive back: hash, decrypt, decompress, and list to the end. It then counts as verified.
    ///
    /// # Errors
    ///
    /// Not an artifact that this step may read, not an archive, or damaged.
    pub async fn verify_archive(self: &Arc<Self>, digest: &str) -> Result<Verification, EffectError> {
        let source = self.source(digest).await?;
        let artifact = source.artifact.clone();
        let progress =
            Progress::new(&self.ledger, format!("verifying {}", artifact.name), Some(artifact.content_bytes));
        let failed = |error| effect_error(error, unreadable(&artifact));
        let work = self.blocking(move |stop| retrieve::read(&source, stop, progress, |content| listing::list(content)));
        let entries = work.await.map_err(failed)?;
        self.verified(verification(&artifact, "tar-listing".to_owned(), entries)).await
    }

    /// Reads an artifact back and hands its content to a program on standard input. It counts as verified when the program
    /// has taken all of it and exited with 0. Capability: `exec`.
    ///
    /// # Errors
    ///
    /// Not an artifact that this step may read; damaged; the program did not take all of it, or did not exit with 0.
    pub async fn verify_with(self: &Arc<Self>, digest: &str, verifier: Command) -> Result<Verification, EffectError> {
        let source = self.source(digest).await?;
        let artifact = source.artifact.clone();
        let lines = self.fed(source, &verifier).await?;
        let mut words = vec![verifier.program.as_str()];
        words.extend(verifier.arguments.first().map(String::as_str));
        let method = self.world.redactor.redact(&words.join(" ")).into_owned();
        let restored = restores(&verifier.program, verifier.arguments.iter().map(String::as_str));
        self.verified(Verification { restored, ..verification(&artifact, method, lines) }).await
    }

    /// Unpacks an archive into an empty granted directory. It then counts as verified, and as restored. Capability: `artifacts`
    /// (read) and `write` of the directory.
    ///
    /// # Errors
    ///
    /// Not an artifact that this step may read, not an archive, or damaged; a directory with something in it; an entry that
    /// leads out of the directory. The directory is emptied again.
    pub async fn extract(self: &Arc<Self>, digest: &str, directory: &str) -> Result<Verification, EffectError> {
        let source = self.source(digest).await?;
        let artifact = source.artifact.clone();
        let failed = |error| effect_error(error, format_args!("cannot unpack {} into {directory}", artifact.name));
        let (base, text) = (self.world.base.clone(), directory.to_owned());
        let resolved = self.blocking(move |_| Ok(resolve(&base, text))).await.map_err(failed)?;
        let (rule, root) = match self.grant.write(&PathRequest { shown: directory, resolved: &resolved }) {
            Ok(rule) => (rule.to_string(), rule.resolved.clone()),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        self.used(Word::Write.as_str(), directory.to_owned(), rule, true).await?;
        let progress =
            Progress::new(&self.ledger, format!("unpacking {}", artifact.name), Some(artifact.content_bytes));
        let work = self.blocking(move |stop| {
            let granted = Dir::from_std_file(Pinned::made_directory(&root)?);
            let directory = archive::below(granted, &root, &resolved)?;
            extract::into_empty(&directory, |directory| {
                retrieve::read(&source, stop, progress, |content| extract::unpack(content, directory))
            })
        });
        let entries = work.await.map_err(failed)?;
        self.verified(Verification { restored: true, ..verification(&artifact, "extract".to_owned(), entries) }).await
    }

    /// Decides where and how to store.
    async fn destination(&self, storing: &Storing, suffix: &str) -> Result<Destination, EffectError> {
        let rule = match self.grant.artifact_write() {
            Ok(rule) => rule.to_string(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let name = name::checked(&storing.name)?;
        let mut keys = Keys::default();
        if let Some(secret) = &storing.encrypt_with {
            let slot = match self.grant.secret(secret, &SlotTarget::Artifacts) {
                Ok(slot) => slot.to_string(),
                Err(denial) => return Err(self.refuse(denial).await),
            };
            keys.add(secret, slot, &self.world.secrets)?;
        }
        let (directory, most) = (self.world.artifacts.clone(), self.limits().get(Limit::Artifact));
        Ok(Destination { directory, name, suffix: suffix.to_owned(), rule, keys, most })
    }

    async fn used_destination(&self, destination: &Destination) -> Result<(), EffectError> {
        let subject = format!("write {}", destination.name);
        self.used(Word::Artifacts.as_str(), subject, destination.rule.clone(), true).await?;
        self.used_keys(&destination.keys).await
    }

    async fn used_keys(&self, keys: &Keys) -> Result<(), EffectError> {
        for (secret, slot) in keys.slots() {
            self.used(Word::Secrets.as_str(), format!("{secret} to artifacts"), slot.to_owned(), false).await?;
        }
        Ok(())
    }

    /// Gives a written file its name, and makes it known. What is not known does not stay.
    async fn keep(self: &Arc<Self>, written: Written, destination: Destination) -> Result<Artifact, EffectError> {
        let failed = |error| effect_error(error, "cannot keep the artifact");
        let placed = self.blocking(move |_| written.place(&destination)).await.map_err(failed)?;
        let (artifact, remove) = placed.hand_over();
        if let Err(error) = self.ledger.artifact_stored(artifact.clone()).await {
            if let Some(path) = remove {
                let _ = fs::remove_file(path);
            }
            return Err(journal_failed(error));
        }
        Ok(artifact)
    }

    /// Decides whether an artifact may be read, and with which keys.
    async fn source(&self, digest: &str) -> Result<Source, EffectError> {
        let invalid = |message| EffectError::new(ErrorKind::Invalid, message);
        let digest = digest.parse().map_err(|error: pipe_core::digest::NotADigest| invalid(error.to_string()))?;
        let known = self.ledger.artifact(&digest).await;
        let known = known.ok_or_else(|| invalid(format!("the run has no artifact {}", digest.short())))?;
        let rule = if known.step == self.step.name {
            "an artifact of the step's own".to_owned()
        } else {
            match self.grant.artifact_read(&known.step) {
                Ok(rule) => rule.to_string(),
                Err(denial) => return Err(self.refuse(denial).await),
            }
        };
        let mut keys = Keys::default();
        if known.artifact.encrypted {
            for slot in self.grant.secret_slots(&SlotTarget::Artifacts) {
                keys.add(&slot.name, slot.to_string(), &self.world.secrets)?;
            }
            if keys.is_empty() {
                return Err(self.no_key(&known.artifact).await);
            }
        }
        let subject = format!("read {} {}", digest.short(), known.artifact.name);
        self.used(Word::Artifacts.as_str(), subject, rule, false).await?;
        self.used_keys(&keys).await?;
        Ok(Source { artifact: known.artifact, keys })
    }

    /// The refusal for an artifact that no granted secret opens. Its hint names the secret that could.
    async fn no_key(&self, artifact: &Artifact) -> EffectError {
        let candidate = self.world.secrets.0.keys().find(|name| Keys::could_be(name, &self.world.secrets));
        match candidate.and_then(|name| self.grant.secret(name, &SlotTarget::Artifacts).err()) {
            Some(denial) => self.refuse(denial).await,
            None => {
                let message = format!("{} is encrypted, and no secret of the run is an age identity", artifact.name);
                EffectError::new(ErrorKind::Invalid, message)
            }
        }
    }

    async fn verified(&self, verification: Verification) -> Result<Verification, EffectError> {
        self.ledger.artifact_verified(verification.clone()).await.map_err(journal_failed)?;
        Ok(verification)
    }
}

fn verification(artifact: &Artifact, method: String, entries: u64) -> Verification {
    Verification { digest: artifact.digest, method, content_bytes: artifact.content_bytes, entries, restored: false }
}

/// What to say before the reason why an artifact cannot be read back.
fn unreadable(artifact: &Artifact) -> String {
    format!("the artifact {} ({}) cannot be read back", artifact.name, artifact.digest.short())
}

/// An error of ours on its way through an I/O trait.
fn problem(kind: ErrorKind, message: impl Into<String>) -> io::Error {
    io::Error::other(EffectError::new(kind, message))
}
