//! Sockets and handshakes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, tcp, tls};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::done;

type Attempt = Result<Report, Failure>;

const PATIENCE: Duration = Duration::from_secs(10);

fn open(place: &str) -> Result<tcp::Connection, Failure> {
    let (host, port) = place.rsplit_once(':').ok_or_else(|| Failure::settings("a host and a port"))?;
    let port = port.parse().map_err(|_| Failure::settings("a port"))?;
    Ok(tcp::connect(host.trim_start_matches('[').trim_end_matches(']'), port, PATIENCE)?)
}

pub(crate) fn connect(place: &str) -> Attempt {
    hello(open(place)?)
}

pub(crate) fn connect_through_std(place: &str) -> Attempt {
    hello(TcpStream::connect(place)?)
}

fn hello(mut stream: impl Read + Write) -> Attempt {
    stream.write_all(b"hello")?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    done(String::from_utf8_lossy(&reply))
}

fn refused(code: ErrorCode) -> Failure {
    match code {
        ErrorCode::AccessDenied => Failure::denied("not granted"),
        ErrorCode::InvalidArgument => Failure::denied("no such thing"),
        other => Failure::other(other.to_string()),
    }
}

fn answers(name: &str) -> Result<usize, Failure> {
    let answers = resolve_addresses(&instance_network(), name).map_err(refused)?;
    let mut count = 0;
    while answers.resolve_next_address().map_err(refused)?.is_some() {
        count += 1;
    }
    Ok(count)
}

pub(crate) fn look_up(name: &str) -> Attempt {
    done(answers(name)?)
}

pub(crate) fn connect_elsewhere(name: &str, to: &str) -> Attempt {
    if answers(name)? == 0 {
        return Err(Failure::other("no answers"));
    }
    connect(to)
}

/// A socket that is bound to `place`.
fn bound(place: &str) -> Result<TcpSocket, Failure> {
    let address: SocketAddr = place.parse().map_err(|_| Failure::settings("an address"))?;
    let SocketAddr::V4(v4) = address else { return Err(Failure::settings("an IPv4 address")) };
    let [a, b, c, d] = v4.ip().octets();
    let local = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) });
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(refused)?;
    socket.start_bind(&instance_network(), local).map_err(refused)?;
    socket.finish_bind().map_err(refused)?;
    Ok(socket)
}

pub(crate) fn bind(place: &str) -> Attempt {
    bound(place)?;
    done("bound")
}

pub(crate) fn listen(place: &str) -> Attempt {
    let socket = bound(place)?;
    socket.start_listen().map_err(refused)?;
    socket.finish_listen().map_err(refused)?;
    done("listening")
}

pub(crate) fn send_datagram(to: &str) -> Attempt {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(b"hello", to)?;
    done("sent")
}

pub(crate) fn keep(place: &str) -> Attempt {
    let mut kept = Vec::new();
    while let Ok(stream) = open(place) {
        kept.push(stream);
    }
    done(kept.len())
}

pub(crate) fn flood(place: &str) -> Attempt {
    let mut stream = open(place)?;
    let (piece, mut back) = (vec![7; 65_536], vec![0; 65_536]);
    let mut moved = 0;
    while stream.write_all(&piece).is_ok() {
        moved += piece.len();
        if stream.read_exact(&mut back).is_err() {
            break;
        }
        moved += back.len();
    }
    done(moved)
}

pub(crate) fn wait(place: &str) -> Attempt {
    let mut stream = open(place)?;
    stream.read_exact(&mut [0])?;
    done("something came")
}

pub(crate) fn shake_hands(server: &str) -> Attempt {
    let shown = tls::handshake(server)?;
    let subject = shown.chain.first().map(|own| own.subject.clone()).unwrap_or_default();
    let verified = shown.verified.err().unwrap_or_else(|| "verified".into());
    done(format!("{} {subject} {verified}", shown.protocol_version))
}
