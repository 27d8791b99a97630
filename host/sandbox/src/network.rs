//! `wasi:sockets`: names through the session, addresses that the session has let pass, and nothing that listens.
//!
//! wasmtime moves the bytes. Before it binds or connects it asks the check made here, which asks the session; names never
//! reach its own resolver.

mod delegate;
mod lookup;
mod stream;

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use pipe_effects::{
    error::{EffectError, ErrorKind},
    session::Session,
    tcp::MOST_SOCKETS,
};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::{
    WasiCtxBuilder,
    p2::{
        SocketError, SocketResult, TcpSocket, UdpSocket,
        bindings::sockets::{
            network::{ErrorCode, IpAddressFamily},
            tcp, tcp_create_socket, udp_create_socket,
        },
    },
    sockets::{SocketAddrUse, WasiSocketsCtxView},
};

use crate::state::State;

/// The sockets of a Store, as linked functions see them.
pub(crate) struct NetworkView<'a> {
    pub(crate) session: &'a Arc<Session>,
    /// How many sockets are open.
    pub(crate) open: &'a mut usize,
    pub(crate) inner: WasiSocketsCtxView<'a>,
}

/// Marks the interfaces that are linked to [`NetworkView`].
pub(crate) struct Network;

impl HasData for Network {
    type Data<'a> = NetworkView<'a>;
}

/// Links what goes through the session, in the place of wasmtime's own.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    lookup::add_to_linker(linker)?;
    tcp::add_to_linker::<State, Network>(linker, State::network)?;
    tcp_create_socket::add_to_linker::<State, Network>(linker, State::network)?;
    udp_create_socket::add_to_linker::<State, Network>(linker, State::network)
}

/// Has every address of a Store checked by its session.
pub(crate) fn check_addresses(builder: &mut WasiCtxBuilder, session: &Arc<Session>) {
    let session = Arc::clone(session);
    builder.allow_tcp(true).allow_udp(false).allow_ip_name_lookup(false);
    builder.socket_addr_check(move |address, what| {
        let session = Arc::clone(&session);
        // A task of its own, since the check must be more than what the session's futures are. It ends with the session.
        let tracked = session.operations().clone();
        let asked = tracked.spawn(async move { may(&session, address, what).await });
        let answer: Pin<Box<dyn Future<Output = bool> + Send + Sync>> =
            Box::pin(async move { asked.await.unwrap_or(false) });
        answer
    });
}

async fn may(session: &Session, address: SocketAddr, what: SocketAddrUse) -> bool {
    let refused = match what {
        SocketAddrUse::TcpConnect => return session.tcp_connect(address).await.is_ok(),
        // What the system does by itself before it connects.
        SocketAddrUse::TcpBind if address.port() == 0 && is_wildcard(address.ip()) => return true,
        SocketAddrUse::TcpBind => format!("bind {address}"),
        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => "listen".to_owned(),
        SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => format!("udp {address}"),
    };
    session.tcp_never(&refused).await;
    false
}

fn is_wildcard(address: IpAddr) -> bool {
    address.to_canonical().is_unspecified()
}

impl tcp_create_socket::Host for NetworkView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        if *self.open >= MOST_SOCKETS {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let socket = tcp_create_socket::Host::create_tcp_socket(&mut self.inner, family)?;
        *self.open += 1;
        Ok(socket)
    }
}

impl udp_create_socket::Host for NetworkView<'_> {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(told(&self.session.tcp_never("udp").await))
    }
}

/// The error code that a guest sees. Why it was refused stands in the log of the run.
fn told(error: &EffectError) -> SocketError {
    let code = match error.kind {
        ErrorKind::Denied => ErrorCode::AccessDenied,
        ErrorKind::Invalid => ErrorCode::InvalidArgument,
        ErrorKind::Unavailable => ErrorCode::NameUnresolvable,
        ErrorKind::TimedOut => ErrorCode::Timeout,
        ErrorKind::Limit => ErrorCode::NewSocketLimit,
        ErrorKind::Failed => ErrorCode::Unknown,
    };
    code.into()
}
