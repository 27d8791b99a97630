//! The one way out to the network: resolve once, check every address, connect to nothing else.
//!
//! HTTP, TCP, TLS, SQL and mail all come through here. **A name is resolved once a session**, so that no answer can change
//! between the check and the connection, or between two requests of one call.

pub(crate) mod failure;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
    time::Duration,
};

use async_trait::async_trait;
use ipnet::IpNet;
use pipe_capability::address::{self, AddressRefused};
use tokio::{
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    error::EffectError,
    http::MOST_REQUESTS,
    session::Session,
    sql::MOST_CONNECTIONS,
    tcp::Answers,
    tls::{Trust, Trusted},
};

/// The most addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 64;

/// What a session has resolved, the roots it has read, and how much more it may open.
pub(crate) struct Egress {
    pins: Mutex<HashMap<String, Pin>>,
    /// One permit for each HTTP connection.
    pub(crate) requests: Arc<Semaphore>,
    /// One permit for each SQL connection.
    pub(crate) databases: Arc<Semaphore>,
    /// Messages that were sent.
    pub(crate) messages: AtomicU32,
    /// Certificate authorities and client certificates that were read.
    pub(crate) trusted: tokio::sync::Mutex<HashMap<Trust, Arc<Trusted>>>,
    /// What lookups of the guest led to.
    pub(crate) answers: Answers,
    /// Who knows the addresses of names.
    pub(crate) resolver: Box<dyn Resolver>,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            pins: Mutex::default(),
            requests: Arc::new(Semaphore::new(MOST_REQUESTS)),
            databases: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            messages: AtomicU32::new(0),
            trusted: tokio::sync::Mutex::default(),
            answers: Answers::default(),
            resolver: Box::new(System),
        }
    }
}

/// Knows the addresses of names. Tests have one that changes its mind.
#[async_trait]
pub(crate) trait Resolver: Send + Sync {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of this machine.
struct System;

#[async_trait]
impl Resolver for System {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

type Pin = Arc<OnceCell<Vec<IpAddr>>>;

/// A host and a port, and what to call them.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The peer's name, or nothing for a host that is no peer.
    pub(crate) peer: Option<String>,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

impl std::fmt::Display for Endpoint {
    /// `k8s (kube.hms.internal:6443)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "{peer} ({})", self.place()),
            None => f.write_str(&self.place()),
        }
    }
}

impl Endpoint {
    /// `host:port`, with brackets around an IPv6 address.
    pub(crate) fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no address to connect to.
pub(crate) enum Unresolved {
    /// The name leads to addresses that no rule allows.
    Refused(AddressRefused),
    /// There is no answer.
    Failed(EffectError),
}

impl Session {
    /// The addresses of `endpoint` that `allowed` lets pass. Asks the resolver once a session and host.
    pub(crate) async fn resolve(
        &self,
        endpoint: &Endpoint,
        allowed: &[IpNet],
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, Unresolved> {
        let pin = {
            let mut pins = self.egress.pins.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pins.entry(endpoint.host.clone()).or_default())
        };
        let asked = self.until_cancelled(async { pin.get_or_try_init(|| self.lookup(endpoint, limit)).await });
        let addresses = asked.await.map_err(Unresolved::Failed)?;
        let mut refused = None;
        let mut passed = Vec::new();
        for &address in addresses {
            match address::check(address, allowed) {
                Ok(()) => passed.push(SocketAddr::new(address, endpoint.port)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(refused) if passed.is_empty() => Err(Unresolved::Refused(refused)),
            _ => Ok(passed),
        }
    }

    async fn lookup(&self, endpoint: &Endpoint, limit: Duration) -> Result<Vec<IpAddr>, EffectError> {
        if let Ok(address) = endpoint.host.parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let asked = timeout(limit, self.egress.resolver.addresses(&endpoint.host)).await;
        let found = asked.map_err(|_| failure::lookup_timed_out(endpoint, limit))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map_err(|error| failure::not_found(endpoint, &error))?.into_iter().take(MOST_ADDRESSES) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(failure::no_address(endpoint)) } else { Ok(addresses) }
    }
}

/// Connects to the first of `addresses` that answers. Each has its share of `limit`.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, EffectError> {
    let deadline = Instant::now() + limit;
    let mut failed = failure::no_address(endpoint);
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Only latency is lost where it cannot be set.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = failure::connect(endpoint, *address, &error),
            Err(_) => failed = failure::connect_timed_out(endpoint, limit),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests;
