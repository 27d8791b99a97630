//! The way back: a stored file → sha256 → age → zstd → content, each checked against what is known of the artifact.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::OpenOptionsExt as _,
    rc::Rc,
};

use nix::fcntl::OFlag;
use pipe_core::{digest::Digest, event::Artifact};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{key::Keys, problem, progress::Progress};
use crate::{blocking::go_on, error::ErrorKind};

/// The largest window that a compressed stream may ask for, as a power of two: four times what ours need.
const LARGEST_WINDOW: u32 = 23;

/// The longest header of an encrypted file, in bytes. Else a damaged one could be read into memory whole.
const LONGEST_HEADER: u64 = 1 << 20;

/// An artifact, and what opens it.
pub(super) struct Source {
    /// What it is.
    pub(super) artifact: Artifact,
    /// Empty where it is not encrypted.
    pub(super) keys: Keys,
}

/// Hands the content to `consume`, and then makes sure that all of it was there: the stored file and the content have the
/// size and the digest that were written down when it was stored.
pub(super) fn read<T>(
    source: &Source,
    stop: &CancellationToken,
    progress: Progress,
    consume: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<T> {
    let artifact = &source.artifact;
    let stored = Stored::open(artifact)?;
    let mut content = Content {
        from: Box::new(decoder(source, stored.clone())?),
        hash: Sha256::new(),
        bytes: 0,
        most: artifact.content_bytes,
        stop,
        progress,
    };
    let result = consume(&mut content)?;
    drain(&mut content)?;
    if content.bytes != artifact.content_bytes || content.digest() != artifact.content_digest {
        return Err(damaged("its content is not what was stored"));
    }
    let mut stored = stored;
    drain(&mut stored)?;
    let (digest, bytes) = stored.finish();
    if bytes != artifact.bytes || digest != artifact.digest {
        return Err(damaged(&format!("its file has the sha256 {digest}")));
    }
    Ok(result)
}

/// Decrypts and decompresses.
fn decoder(source: &Source, stored: Stored) -> io::Result<impl Read + use<>> {
    let plain: Box<dyn Read> = if source.artifact.encrypted {
        let header = Rc::new(RefCell::new(Some(LONGEST_HEADER)));
        let bounded = Bounded { from: stored, left: Rc::clone(&header) };
        let decryptor = age::Decryptor::new_buffered(BufReader::with_capacity(64 * 1024, bounded))
            .map_err(|error| damaged(&error.to_string()))?;
        *header.borrow_mut() = None;
        let identities = source.keys.identities().iter().map(|identity| identity as &dyn age::Identity);
        Box::new(decryptor.decrypt(identities).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => {
                problem(ErrorKind::Invalid, "none of the granted secrets is the key it was encrypted with")
            }
            error => damaged(&error.to_string()),
        })?)
    } else {
        Box::new(stored)
    };
    let mut decoder = zstd::Decoder::new(plain)?;
    decoder.window_log_max(LARGEST_WINDOW)?;
    Ok(decoder)
}

/// The stored file, and the hash of what was read of it. Clones share both.
#[derive(Clone)]
struct Stored(Rc<RefCell<(File, Sha256, u64)>>);

impl Stored {
    fn open(artifact: &Artifact) -> io::Result<Self> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&artifact.location)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() != artifact.bytes {
            return Err(damaged(&format!("its file has {} bytes instead of {}", metadata.len(), artifact.bytes)));
        }
        Ok(Self(Rc::new(RefCell::new((file, Sha256::new(), 0)))))
    }

    fn finish(self) -> (Digest, u64) {
        let (_, hash, bytes) = &*self.0.borrow();
        (Digest::from_bytes(hash.clone().finalize().into()), *bytes)
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, hash, bytes) = &mut *self.0.borrow_mut();
        let read = file.read(buffer)?;
        hash.update(&buffer[..read]);
        *bytes += read as u64;
        Ok(read)
    }
}

/// Reads no more than is left, while there is a limit.
struct Bounded<R> {
    from: R,
    left: Rc<RefCell<Option<u64>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = *self.left.borrow();
        let most = left.map_or(buffer.len(), |left| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let read = self.from.read(&mut buffer[..most])?;
        *self.left.borrow_mut() = left.map(|left| left - read as u64);
        Ok(read)
    }
}

/// The content: counted, hashed, and never more than was stored.
struct Content<'s> {
    from: Box<dyn Read>,
    hash: Sha256,
    bytes: u64,
    most: u64,
    stop: &'s CancellationToken,
    progress: Progress,
}

impl Content<'_> {
    fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        go_on(self.stop)?;
        let read = self.from.read(buffer).map_err(|error| damaged(&error.to_string()))?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        if self.bytes > self.most {
            return Err(damaged("it holds more than was stored"));
        }
        self.progress.at(self.bytes);
        Ok(read)
    }
}

fn drain(from: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while from.read(&mut buffer)? > 0 {}
    Ok(())
}

fn damaged(how: &str) -> io::Error {
    problem(ErrorKind::Failed, format!("the artifact is damaged: {how}"))
}
