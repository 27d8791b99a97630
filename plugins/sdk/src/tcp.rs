//! TCP connections. Capability: `tcp`.
//!
//! `std::net` works too, but cannot tell a name that is not granted from one that does not exist.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::{Error, ErrorKind};

/// Connects to the first address of `host` that answers, within `timeout` over all of them.
///
/// # Errors
///
/// Kind `denied` where the step may not look the host up or connect to it on this port: the log of the run says which line
/// would allow it. Kind `unavailable` or `timed-out` where nobody answers.
pub fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, Error> {
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let started = Instant::now();
    let mut failed = error(ErrorKind::Unavailable, format!("{place}: the name has no address"));
    for address in
        addresses(host, port).map_err(|error| Error { message: format!("{place}: {}", error.message), ..error })?
    {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(error(ErrorKind::TimedOut, format!("{place}: no connection within {timeout:?}")));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(problem) => failed = explain(&place, address, &problem),
        }
    }
    Err(failed)
}

fn explain(place: &str, address: SocketAddr, problem: &io::Error) -> Error {
    match problem.kind() {
        io::ErrorKind::PermissionDenied => error(ErrorKind::Denied, format!("tcp {place}: not granted")),
        io::ErrorKind::ConnectionRefused => {
            error(ErrorKind::Unavailable, format!("{place}: connection refused by {address}"))
        }
        io::ErrorKind::TimedOut => error(ErrorKind::TimedOut, format!("{place}: {address} does not answer")),
        _ => error(ErrorKind::Unavailable, format!("{place}: cannot connect to {address}: {problem}")),
    }
}

fn error(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, hint: None, code: None }
}

/// The addresses of a host, as WASI tells them: `std` would forget why there are none.
#[cfg(target_family = "wasm")]
fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    use std::net::IpAddr;

    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{ErrorCode, IpAddress};

    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let told = |code: ErrorCode| match code {
        ErrorCode::AccessDenied => error(ErrorKind::Denied, format!("tcp {host}: not granted")),
        ErrorCode::Timeout => error(ErrorKind::TimedOut, format!("the name server does not answer for {host}")),
        ErrorCode::InvalidArgument => error(ErrorKind::Invalid, format!("`{host}` is not a host")),
        _ => error(ErrorKind::Unavailable, format!("the name {host} was not found")),
    };
    let answers = resolve_addresses(&instance_network(), host).map_err(told)?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => addresses.push(SocketAddr::from(([a, b, c, d], port))),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                addresses.push(SocketAddr::from(([a, b, c, d, e, f, g, h], port)));
            }
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(code) => return Err(told(code)),
        }
    }
}

/// The same without a host: for native tests.
#[cfg(not(target_family = "wasm"))]
fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    use std::net::ToSocketAddrs as _;
    let found = (host, port).to_socket_addrs();
    found.map(Iterator::collect).map_err(|problem| error(ErrorKind::Unavailable, problem.to_string()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_made_or_its_absence_explained() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connected = connect("127.0.0.1", port, Duration::from_secs(5)).expect("a connection");
        assert_eq!(connected.peer_addr().expect("an address").port(), port);
        drop((listener, connected));
        let refused = connect("127.0.0.1", port, Duration::from_secs(5)).expect_err("a closed port");
        assert_eq!(refused.kind, ErrorKind::Unavailable);
        assert!(refused.message.starts_with(&format!("127.0.0.1:{port}: connection refused by ")), "{refused}");
        let late = connect("127.0.0.1", port, Duration::ZERO).expect_err("no time");
        assert_eq!(late.kind, ErrorKind::TimedOut);
    }
}
