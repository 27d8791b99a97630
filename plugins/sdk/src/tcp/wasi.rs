//! Connections through `wasi:sockets`, whose error codes say what `std` forgets.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::ErrorKind;

/// The two streams go before their socket.
pub(super) struct Stream {
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
}

impl Stream {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A read of nothing would wait for something.
        if buffer.is_empty() { Ok(0) } else { Read::read(&mut self.input, buffer) }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.output, bytes)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.output)
    }
}

pub(super) fn addresses(host: &str) -> Result<Vec<IpAddr>, (ErrorKind, String)> {
    let told = |code: ErrorCode| match code {
        ErrorCode::AccessDenied => (ErrorKind::Denied, String::new()),
        ErrorCode::Timeout => (ErrorKind::TimedOut, format!("the name server does not answer for {host}")),
        ErrorCode::InvalidArgument => (ErrorKind::Invalid, format!("`{host}` is not a host")),
        _ => (ErrorKind::Unavailable, format!("the name {host} was not found")),
    };
    let answers = resolve_addresses(&instance_network(), host).map_err(told)?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => addresses.push(IpAddr::from([a, b, c, d])),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                addresses.push(IpAddr::from([a, b, c, d, e, f, g, h]));
            }
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(code) => return Err(told(code)),
        }
    }
}

pub(super) fn connect(peer: SocketAddr, limit: Duration) -> Result<Stream, (ErrorKind, String)> {
    let told = |code: ErrorCode| match code {
        ErrorCode::AccessDenied => (ErrorKind::Denied, String::new()),
        ErrorCode::ConnectionRefused => (ErrorKind::Unavailable, format!("connection refused by {peer}")),
        ErrorCode::RemoteUnreachable => (ErrorKind::Unavailable, format!("no route to {peer}")),
        ErrorCode::Timeout => (ErrorKind::TimedOut, format!("{peer} does not answer")),
        ErrorCode::NewSocketLimit => (ErrorKind::Limit, "too many sockets are open".to_owned()),
        other => (ErrorKind::Unavailable, format!("cannot connect to {peer}: {other}")),
    };
    let (family, remote) = match peer {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            let address = Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            let address = (a, b, c, d, e, f, g, h);
            let address = Ipv6SocketAddress { port: v6.port(), flow_info: 0, address, scope_id: v6.scope_id() };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    };
    let socket = create_tcp_socket(family).map_err(told)?;
    socket.start_connect(&instance_network(), remote).map_err(told)?;
    let late = subscribe_duration(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => return Ok(Stream { input, output, _socket: socket }),
            Err(ErrorCode::WouldBlock) => {}
            Err(code) => return Err(told(code)),
        }
        if late.ready() {
            return Err(told(ErrorCode::Timeout));
        }
        poll(&[&socket.subscribe(), &late]);
    }
}
