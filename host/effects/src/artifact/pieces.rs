//! Data on its way from one thread to the next.

use std::{
    io::{self, Write},
    mem,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

/// Size of one buffer, in bytes.
const SIZE: usize = 256 * 1024;

/// How many buffers wait between two threads.
const WAITING: usize = 3;

/// What goes from one thread to the next. A sender that goes away without the end has failed.
pub(super) enum Piece {
    /// Some of it.
    Data(Vec<u8>),
    /// There is no more.
    End,
}

/// Another thread of the same work failed.
#[derive(Debug, thiserror::Error)]
#[error("the work was given up")]
pub(super) struct Neighbour;

/// Collects data into pieces and hands them to the next thread.
pub(super) struct Pieces {
    to: SyncSender<Piece>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Pieces {
    /// A channel between two threads.
    pub(super) fn channel() -> (SyncSender<Piece>, Receiver<Piece>) {
        sync_channel(WAITING)
    }

    /// Collects for `to`.
    pub(super) fn new(to: SyncSender<Piece>) -> Self {
        Self { to, buffer: vec![0; SIZE], filled: 0 }
    }

    /// Where the next data goes. Never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// `count` bytes of the room are filled.
    pub(super) fn advance(&mut self, count: usize) -> io::Result<()> {
        self.filled += count;
        if self.filled == SIZE { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let mut piece = mem::replace(&mut self.buffer, vec![0; SIZE]);
        piece.truncate(mem::take(&mut self.filled));
        self.to.send(Piece::Data(piece)).map_err(|_| io::Error::other(Neighbour))
    }

    /// Hands over the rest, and the end.
    pub(super) fn end(mut self) -> io::Result<()> {
        if self.filled > 0 {
            self.send()?;
        }
        self.to.send(Piece::End).map_err(|_| io::Error::other(Neighbour))
    }
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.room();
        let count = room.len().min(data.len());
        room[..count].copy_from_slice(&data[..count]);
        self.advance(count)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes everything that comes `from` another thread.
pub(super) fn receive(from: &Receiver<Piece>, to: &mut impl Write) -> io::Result<()> {
    loop {
        match from.recv() {
            Ok(Piece::Data(data)) => to.write_all(&data)?,
            Ok(Piece::End) => return Ok(()),
            Err(_) => return Err(io::Error::other(Neighbour)),
        }
    }
}
