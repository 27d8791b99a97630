//! TCP connections. Capability: `tcp`.
//!
//! `std::net` works too, but in a component it cannot tell what is not granted from what is not there, and loses the reason
//! of a connection that fails while it is waited for with a limit.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasi;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

#[cfg(not(target_family = "wasm"))]
use native as system;
#[cfg(target_family = "wasm")]
use wasi as system;

use crate::{Error, ErrorKind};

/// A connection. Closed when it is dropped.
pub struct Connection {
    stream: system::Stream,
    peer: SocketAddr,
}

impl Connection {
    /// The address that answered.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Connects to the first address of `host` that answers, within `timeout` over all of them.
///
/// # Errors
///
/// Kind `denied` where the step may not look the host up or connect to it on this port: the log of the run says which line
/// would allow it. Kind `unavailable` or `timed-out` where nobody answers, `limit` where too many sockets are open.
pub fn connect(host: &str, port: u16, timeout: Duration) -> Result<Connection, Error> {
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let started = Instant::now();
    let mut failed = error(ErrorKind::Unavailable, format!("{place}: the name {host} has no address"));
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => system::addresses(host).map_err(|(kind, what)| explain(&place, kind, &what))?,
    };
    for address in addresses {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(error(ErrorKind::TimedOut, format!("{place}: no connection within {timeout:?}")));
        }
        let peer = SocketAddr::new(address, port);
        match system::connect(peer, left) {
            Ok(stream) => return Ok(Connection { stream, peer }),
            Err((kind, what)) => failed = explain(&place, kind, &what),
        }
    }
    Err(failed)
}

fn explain(place: &str, kind: ErrorKind, what: &str) -> Error {
    match kind {
        ErrorKind::Denied => error(kind, format!("tcp {place}: not granted")),
        _ => error(kind, format!("{place}: {what}")),
    }
}

fn error(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, hint: None, code: None }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_connection_is_made_or_its_absence_explained() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = thread::spawn(move || listener.accept().and_then(|(mut stream, _)| stream.write_all(b"hello")));
        let mut connection = connect("127.0.0.1", port, Duration::from_secs(5)).expect("a connection");
        let mut said = String::new();
        connection.read_to_string(&mut said).expect("words");
        assert_eq!((said.as_str(), connection.peer().port()), ("hello", port));
        server.join().expect("a server").expect("a client");

        let refused = connect("127.0.0.1", port, Duration::from_secs(5)).err().expect("a closed port");
        assert_eq!(refused.kind, ErrorKind::Unavailable);
        assert_eq!(refused.message, format!("127.0.0.1:{port}: connection refused by 127.0.0.1:{port}"));
        let late = connect("127.0.0.1", port, Duration::ZERO).err().expect("no time");
        assert_eq!(late.kind, ErrorKind::TimedOut);
    }
}
