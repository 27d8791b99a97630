//! Connections without a host: for native tests.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::ErrorKind;

pub(super) type Stream = TcpStream;

pub(super) fn addresses(host: &str) -> Result<Vec<IpAddr>, (ErrorKind, String)> {
    let found = (host, 0).to_socket_addrs().map_err(|error| (ErrorKind::Unavailable, error.to_string()))?;
    Ok(found.map(|address| address.ip()).collect())
}

pub(super) fn connect(peer: SocketAddr, limit: Duration) -> Result<Stream, (ErrorKind, String)> {
    TcpStream::connect_timeout(&peer, limit).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => (ErrorKind::Unavailable, format!("connection refused by {peer}")),
        io::ErrorKind::TimedOut => (ErrorKind::TimedOut, format!("{peer} does not answer")),
        _ => (ErrorKind::Unavailable, format!("cannot connect to {peer}: {error}")),
    })
}
