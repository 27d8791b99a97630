//! The way in: content → zstd → age → sha256 → a partial file, and from there to its final name.
//!
//! Three threads share the work, with a few buffers between them: reading and hashing the content, compressing it, and
//! encrypting, hashing and writing what is stored.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender},
    thread,
};

use pipe_core::{digest::Digest, event::Artifact, units::ByteSize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::{
    PARTIAL,
    key::Keys,
    pieces::{Neighbour, Piece, Pieces, receive},
    problem,
};
use crate::{blocking::go_on, error::ErrorKind};

/// zstd's own default.
const LEVEL: i32 = 3;

/// Where and how to store.
#[derive(Clone)]
pub(super) struct Destination {
    /// Directory of the run's artifacts.
    pub(super) directory: PathBuf,
    /// One plain component.
    pub(super) name: String,
    /// What the content is: `.tar.zst` or `.zst`.
    pub(super) suffix: String,
    /// The granted line.
    pub(super) rule: String,
    /// What it is encrypted with, if anything.
    pub(super) keys: Keys,
    /// The most bytes of content.
    pub(super) most: u64,
}

/// A partial file that holds everything. Removed when dropped.
pub(super) struct Written {
    file: NamedTempFile,
    digest: Digest,
    bytes: u64,
    content_digest: Digest,
    /// How much content there is.
    pub(super) content_bytes: u64,
}

/// How many digits of an artifact's digest stand before its name.
const DIGITS: usize = 16;

/// Whether a file of this name is being written, or was.
pub(super) fn is_partial(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PARTIAL.as_bytes())
}

/// Whether this is the name of a whole artifact: `0123456789abcdef-NAME`.
pub(super) fn is_final(name: &OsStr) -> bool {
    let hexadecimal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let split = name.as_encoded_bytes().split_first_chunk::<DIGITS>();
    split.is_some_and(|(digits, rest)| digits.iter().all(hexadecimal) && rest.starts_with(b"-"))
}

/// Stores what `produce` writes into a partial file.
pub(super) fn write(
    destination: &Destination,
    stop: &CancellationToken,
    produce: impl FnOnce(&mut Content<'_>) -> io::Result<()>,
) -> io::Result<Written> {
    let mut file = tempfile::Builder::new().prefix(PARTIAL).rand_bytes(16).tempfile_in(&destination.directory)?;
    let (to_compressor, for_compressor) = Pieces::channel();
    let (to_sealer, for_sealer) = Pieces::channel();
    let (stored, keys) = (file.as_file_mut(), &destination.keys);
    let (produced, compressed, sealed) = thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let sealer = named("seal").spawn_scoped(scope, move || seal(&for_sealer, stored, keys))?;
        let compressor = named("compress").spawn_scoped(scope, move || compress(&for_compressor, to_sealer))?;
        let mut content =
            Content { to: Pieces::new(to_compressor), hash: Sha256::new(), bytes: 0, most: destination.most, stop };
        let produced = produce(&mut content).and_then(|()| content.finish());
        io::Result::Ok((produced, joined(compressor.join()), joined(sealer.join())))
    })?;
    // A thread whose neighbour failed fails too; the neighbour's error is the one to tell.
    let followed = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Neighbour>());
    let (produced, compressed, sealed) = match (produced, compressed, sealed) {
        (Ok(produced), Ok(()), Ok(sealed)) => return Ok(written(file, produced, sealed)),
        (produced, compressed, sealed) => (produced.err(), compressed.err(), sealed.err()),
    };
    let errors: Vec<io::Error> = [produced, compressed, sealed].into_iter().flatten().collect();
    let (consequences, causes): (Vec<_>, Vec<_>) = errors.into_iter().partition(followed);
    Err(causes.into_iter().chain(consequences).next().unwrap_or_else(|| io::Error::other(Neighbour)))
}

fn written(file: NamedTempFile, content: (Digest, u64), stored: (Digest, u64)) -> Written {
    let ((content_digest, content_bytes), (digest, bytes)) = (content, stored);
    Written { file, digest, bytes, content_digest, content_bytes }
}

impl Written {
    /// Makes the file durable under its final name.
    pub(super) fn place(self, destination: &Destination) -> io::Result<Placed> {
        self.file.as_file().sync_all()?;
        let encrypted = !destination.keys.is_empty();
        let (prefix, age) = (&self.digest.to_string()[..DIGITS], if encrypted { ".age" } else { "" });
        let location = destination.directory.join(format!("{prefix}-{}{}{age}", destination.name, destination.suffix));
        let text =
            location.to_str().ok_or_else(|| io::Error::other("the directory of the artifacts has no name in UTF-8"))?;
        let text = text.to_owned();
        let stays = location.exists();
        self.file.persist(&location).map_err(|error| error.error)?;
        let artifact = Artifact {
            digest: self.digest,
            name: destination.name.clone(),
            location: text,
            bytes: self.bytes,
            content_bytes: self.content_bytes,
            encrypted,
            content_digest: self.content_digest,
        };
        let placed = Placed { artifact, remove: (!stays).then_some(location) };
        File::open(&destination.directory)?.sync_all()?;
        Ok(placed)
    }
}

/// A file under its final name that nobody knows yet. Removed when dropped, unless the same was there before.
pub(super) struct Placed {
    artifact: Artifact,
    remove: Option<PathBuf>,
}

impl Placed {
    /// What it is, and the file to remove if that cannot be written down. From now on a file that nobody knows is the lesser
    /// evil: whether a record that is being written will be there is not known.
    pub(super) fn hand_over(mut self) -> (Artifact, Option<PathBuf>) {
        (self.artifact.clone(), self.remove.take())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(path) = self.remove.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Where a producer writes its content. Fails once the call must end.
pub(super) struct Content<'s> {
    to: Pieces,
    hash: Sha256,
    bytes: u64,
    most: u64,
    stop: &'s CancellationToken,
}

impl Content<'_> {
    /// How much was written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `source` to its end.
    pub(super) fn take(&mut self, mut source: impl Read, mut progress: impl FnMut(u64)) -> io::Result<()> {
        loop {
            go_on(self.stop)?;
            let piece = self.to.room();
            let read = match source.read(piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(());
            }
            self.hash.update(&piece[..read]);
            self.to.advance(read)?;
            self.grown(read)?;
            progress(self.bytes);
        }
    }

    /// Counts what was written. Content that is too large fails, and with it the partial file.
    fn grown(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes += bytes as u64;
        if self.bytes <= self.most {
            return Ok(());
        }
        let what = format!("the artifact holds more than {} (`limits.artifact`)", ByteSize(self.most));
        Err(problem(ErrorKind::Limit, what))
    }

    fn finish(self) -> io::Result<(Digest, u64)> {
        go_on(self.stop)?;
        self.to.end()?;
        Ok((Digest::from_bytes(self.hash.finalize().into()), self.bytes))
    }
}

impl Write for Content<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        go_on(self.stop)?;
        self.to.write_all(data)?;
        self.hash.update(data);
        self.grown(data.len())?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compress(content: &Receiver<Piece>, compressed: SyncSender<Piece>) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(Pieces::new(compressed), LEVEL)?;
    encoder.include_checksum(true)?;
    receive(content, &mut encoder)?;
    encoder.finish()?.end()
}

fn seal(compressed: &Receiver<Piece>, file: &mut File, keys: &Keys) -> io::Result<(Digest, u64)> {
    let mut stored = Stored { file, hash: Sha256::new(), bytes: 0 };
    if keys.is_empty() {
        receive(compressed, &mut stored)?;
    } else {
        let recipients = keys.recipients();
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut encrypted = encryptor.wrap_output(stored)?;
        receive(compressed, &mut encrypted)?;
        stored = encrypted.finish()?;
    }
    Ok((Digest::from_bytes(stored.hash.finalize().into()), stored.bytes))
}

/// The file, and the hash of what is in it.
struct Stored<'f> {
    file: &'f mut File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Stored<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all(data)?;
        self.hash.update(data);
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn joined<T>(result: thread::Result<io::Result<T>>) -> io::Result<T> {
    result.unwrap_or_else(|_| Err(io::Error::other("a thread of the artifact's panicked")))
}
