//! The functions of a socket. wasmtime does them all; its own check asks the session before anything is bound or connected.

use std::{mem, sync::Arc};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, SocketError, SocketResult, TcpSocket,
    bindings::sockets::{
        network::{self, ErrorCode, HostNetwork, IpAddressFamily, IpSocketAddress, Network},
        tcp::{self, HostTcpSocket, ShutdownType},
    },
    pipe::{ClosedInputStream, ClosedOutputStream},
};

use super::{
    NetworkView,
    stream::{CountedInput, CountedOutput},
};

impl network::Host for NetworkView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.network_error_code(error)
    }
}

impl HostNetwork for NetworkView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.inner, network)
    }
}

impl tcp::Host for NetworkView<'_> {}

/// Functions that decide nothing and send nothing.
macro_rules! delegated {
    ($($function:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $function(&mut self, socket: Resource<TcpSocket>, $($argument: $type),*) -> $result {
            self.inner.$function(socket, $($argument),*)
        })*
    };
}

impl HostTcpSocket for NetworkView<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.inner.start_bind(socket, network, address).await
    }

    async fn start_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        self.inner.start_listen(socket).await
    }

    fn finish_connect(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let (input, output) = self.inner.finish_connect(socket)?;
        let counted = self.inner.table.get_mut(&input)?;
        let inner = mem::replace(counted, Box::new(ClosedInputStream));
        *counted = Box::new(CountedInput { session: Arc::clone(self.session), inner });
        let counted = self.inner.table.get_mut(&output)?;
        let inner = mem::replace(counted, Box::new(ClosedOutputStream));
        *counted = Box::new(CountedOutput { session: Arc::clone(self.session), inner });
        Ok((input, output))
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        HostTcpSocket::drop(&mut self.inner, socket)?;
        *self.open = self.open.saturating_sub(1);
        Ok(())
    }

    delegated! {
        finish_bind() -> SocketResult<()>;
        start_connect(network: Resource<Network>, address: IpSocketAddress) -> SocketResult<()>;
        finish_listen() -> SocketResult<()>;
        accept() -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)>;
        local_address() -> SocketResult<IpSocketAddress>;
        remote_address() -> SocketResult<IpSocketAddress>;
        is_listening() -> wasmtime::Result<bool>;
        address_family() -> wasmtime::Result<IpAddressFamily>;
        set_listen_backlog_size(value: u64) -> SocketResult<()>;
        keep_alive_enabled() -> SocketResult<bool>;
        set_keep_alive_enabled(value: bool) -> SocketResult<()>;
        keep_alive_idle_time() -> SocketResult<u64>;
        set_keep_alive_idle_time(value: u64) -> SocketResult<()>;
        keep_alive_interval() -> SocketResult<u64>;
        set_keep_alive_interval(value: u64) -> SocketResult<()>;
        keep_alive_count() -> SocketResult<u32>;
        set_keep_alive_count(value: u32) -> SocketResult<()>;
        hop_limit() -> SocketResult<u8>;
        set_hop_limit(value: u8) -> SocketResult<()>;
        receive_buffer_size() -> SocketResult<u64>;
        set_receive_buffer_size(value: u64) -> SocketResult<()>;
        send_buffer_size() -> SocketResult<u64>;
        set_send_buffer_size(value: u64) -> SocketResult<()>;
        subscribe() -> wasmtime::Result<Resource<DynPollable>>;
        shutdown(how: ShutdownType) -> SocketResult<()>;
    }
}
