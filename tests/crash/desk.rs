//! The server of the scene: takes slips, and remembers which key each came with.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What was handed in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slip {
    pub(crate) path: String,
    pub(crate) key: String,
}

/// A desk on a port of its own.
pub(crate) struct Desk {
    pub(crate) port: u16,
    slips: Arc<Mutex<Vec<Slip>>>,
}

impl Desk {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let slips = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&slips);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever is killed in the middle has handed in nothing.
                let _ = take(stream, &taken);
            }
        });
        Self { port, slips }
    }

    /// Everything so far, as often as it came.
    pub(crate) fn slips(&self) -> Vec<Slip> {
        self.slips.lock().unwrap().clone()
    }

    /// Puts everything back to what it was.
    pub(crate) fn remember(&self, slips: Vec<Slip>) {
        *self.slips.lock().unwrap() = slips;
    }
}

fn take(stream: TcpStream, slips: &Mutex<Vec<Slip>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    if head.ends_with("\r\n\r\n") {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut keys = lines.filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let key = keys.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default();
        slips.lock().unwrap().push(Slip { path, key });
    }
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
}
