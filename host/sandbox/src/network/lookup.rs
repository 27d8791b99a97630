//! `wasi:sockets/ip-name-lookup`: only names that the grant names, asked once, answered with what may be connected to.

#![expect(unreachable_pub, reason = "partly generated; WASI documents every item")]

use std::{net::IpAddr, sync::Arc, vec};

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::{
    DynPollable, Pollable, SocketResult,
    bindings::sockets::network::{IpAddress, Network as NetworkHandle},
    subscribe,
};

use self::generated::wasi::sockets::ip_name_lookup;
use super::{Network, NetworkView, told};
use crate::state::State;

/// wasmtime's own bindings fix the type of the answers, and nobody else can make one.
mod generated {
    wasmtime::component::bindgen!({
        inline: "
            package pipe:lookup;

            world lookup {
                import wasi:sockets/ip-name-lookup@0.2.12;
            }

            package wasi:io@0.2.12 {
                interface error {
                    resource error;
                }

                interface poll {
                    resource pollable;
                }
            }

            package wasi:sockets@0.2.12 {
                interface network {
                    @unstable(feature = network-error-code)
                    use wasi:io/error@0.2.12.{error};

                    resource network;

                    enum error-code {
                        unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout,
                        concurrency-conflict, not-in-progress, would-block, invalid-state, new-socket-limit,
                        address-not-bindable, address-in-use, remote-unreachable, connection-refused, connection-reset,
                        connection-aborted, datagram-too-large, name-unresolvable, temporary-resolver-failure,
                        permanent-resolver-failure,
                    }

                    type ipv4-address = tuple<u8, u8, u8, u8>;
                    type ipv6-address = tuple<u16, u16, u16, u16, u16, u16, u16, u16>;

                    variant ip-address {
                        ipv4(ipv4-address),
                        ipv6(ipv6-address),
                    }

                    @unstable(feature = network-error-code)
                    network-error-code: func(err: borrow<error>) -> option<error-code>;
                }

                interface ip-name-lookup {
                    use wasi:io/poll@0.2.12.{pollable};
                    use network.{network, error-code, ip-address};

                    resource resolve-address-stream {
                        resolve-next-address: func() -> result<option<ip-address>, error-code>;
                        subscribe: func() -> pollable;
                    }

                    resolve-addresses: func(network: borrow<network>, name: string)
                        -> result<resolve-address-stream, error-code>;
                }
            }
        ",
        imports: {
            "wasi:sockets/ip-name-lookup.resolve-addresses": async | trappable,
            default: trappable,
        },
        trappable_error_type: { "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError },
        with: {
            "wasi:io/error.error": wasmtime::Error,
            "wasi:io/poll.pollable": wasmtime_wasi::p2::DynPollable,
            "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": super::Answers,
        },
    });
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<State, Network>(linker, State::network)
}

/// The addresses of a name, all of them there from the beginning.
pub struct Answers(vec::IntoIter<IpAddr>);

#[async_trait::async_trait]
impl Pollable for Answers {
    async fn ready(&mut self) {}
}

impl ip_name_lookup::Host for NetworkView<'_> {
    async fn resolve_addresses(
        &mut self,
        network: Resource<NetworkHandle>,
        name: String,
    ) -> SocketResult<Resource<Answers>> {
        self.inner.table.get(&network)?;
        let session = Arc::clone(self.session);
        let addresses = session.tcp_lookup(&name).await.map_err(|error| told(&error))?;
        Ok(self.inner.table.push(Answers(addresses.into_iter()))?)
    }
}

impl ip_name_lookup::HostResolveAddressStream for NetworkView<'_> {
    fn resolve_next_address(&mut self, answers: Resource<Answers>) -> SocketResult<Option<IpAddress>> {
        Ok(self.inner.table.get_mut(&answers)?.0.next().map(IpAddress::from))
    }

    fn subscribe(&mut self, answers: Resource<Answers>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.inner.table, answers)
    }

    fn drop(&mut self, answers: Resource<Answers>) -> wasmtime::Result<()> {
        self.inner.table.delete(answers)?;
        Ok(())
    }
}
