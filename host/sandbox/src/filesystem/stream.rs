//! A file as a stream of bytes: counted, and with nothing in flight.
//!
//! A piece is read or written when it is asked for, on the thread of the call: files are regular ones, so that nothing is
//! waited for but the disk, and a piece is small. What the guest was told to be written is written, and what it was not told
//! does not happen after its call has ended.

use std::{fs, io, os::unix::fs::FileExt as _, sync::Arc};

use bytes::{Bytes, BytesMut};
use pipe_effects::{error::EffectError, session::Session};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use wasmtime_wasi::{
    async_trait,
    filesystem::File,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

/// The most bytes that one call reads or writes.
const PIECE: usize = 64 << 10;

/// Reads a file from a place on.
pub(super) struct FileReader {
    file: Arc<fs::File>,
    position: u64,
    session: Arc<Session>,
}

impl FileReader {
    pub(super) fn new(file: &File, position: u64, session: &Arc<Session>) -> Self {
        Self { file: Arc::clone(&file.file), position, session: Arc::clone(session) }
    }
}

#[async_trait]
impl InputStream for FileReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut piece = BytesMut::zeroed(size.min(PIECE));
        let read = again(|| self.file.read_at(&mut piece, self.position))?;
        if read == 0 {
            return Err(StreamError::Closed);
        }
        self.session.received(read as u64).map_err(over)?;
        self.position += read as u64;
        piece.truncate(read);
        Ok(piece.freeze())
    }
}

#[async_trait]
impl Pollable for FileReader {
    async fn ready(&mut self) {}
}

/// Writes a file from a place on, or always at its end.
pub(super) struct FileWriter {
    file: Arc<fs::File>,
    /// Nothing: at the end, wherever that is by then.
    position: Option<u64>,
    session: Arc<Session>,
}

impl FileWriter {
    pub(super) fn new(file: &File, position: Option<u64>, session: &Arc<Session>) -> Self {
        Self { file: Arc::clone(&file.file), position, session: Arc::clone(session) }
    }

    /// Writes some of `data`, and says how much.
    fn write_some(&self, data: &[u8]) -> io::Result<usize> {
        match self.position {
            Some(position) => self.file.write_at(data, position),
            None => append(&self.file, data),
        }
    }
}

#[async_trait]
impl OutputStream for FileWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > PIECE {
            return Err(StreamError::trap("more was written than the stream takes at once"));
        }
        self.session.sent(bytes.len() as u64).map_err(over)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let written = again(|| self.write_some(rest))?;
            if written == 0 {
                return Err(StreamError::LastOperationFailed(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            rest = rest.get(written..).unwrap_or_default();
            self.position = self.position.map(|position| position + written as u64);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[async_trait]
impl Pollable for FileWriter {
    async fn ready(&mut self) {}
}

/// Writes at the end of a file, in one step with finding it.
fn append(file: &fs::File, data: &[u8]) -> io::Result<usize> {
    match pwritev2(file, &[io::IoSlice::new(data)], 0, ReadWriteFlags::APPEND) {
        // A file system that does not know how: the end may move between the two.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => file.write_at(data, file.metadata()?.len()),
        written => Ok(written?),
    }
}

/// Does it again where a signal came in between.
fn again(mut operation: impl FnMut() -> io::Result<usize>) -> StreamResult<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| StreamError::LastOperationFailed(error.into())),
        }
    }
}

/// The call is ended: this is the last that the guest hears.
fn over(error: EffectError) -> StreamError {
    StreamError::LastOperationFailed(io::Error::other(error).into())
}
