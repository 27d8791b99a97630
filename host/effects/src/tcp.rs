//! TCP on behalf of a guest: looking names up, and whether an address may be connected to.
//!
//! The guest has sockets of its own and moves its bytes itself; what it may move them to is decided here. **A name is looked
//! up once a session**, by the resolver that HTTP and SQL use too, and only an address that it led to may be connected to.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pipe_capability::{denial::Denial, word::Word};
use url::Host;

use crate::{
    egress::{Endpoint, Unresolved},
    error::EffectError,
    session::Session,
};

/// The most sockets that one session may have open at once.
pub const MOST_SOCKETS: usize = 32;

/// How long a lookup may take.
const LOOKUP: Duration = Duration::from_secs(10);

/// Which names led to which address.
#[derive(Default)]
pub(crate) struct Answers {
    names: Mutex<HashMap<IpAddr, Vec<Host>>>,
}

impl Session {
    /// The addresses of a name, for a guest that wants to connect to one of them. Asks the resolver once a session and name.
    ///
    /// # Errors
    ///
    /// `Denied` where no rule of `tcp` names it, or it leads to no address that a rule of it allows; `Unavailable` where there
    /// is no answer.
    pub async fn tcp_lookup(&self, name: &str) -> Result<Vec<IpAddr>, EffectError> {
        let asked = match self.grant.tcp_name(name) {
            Ok(asked) => asked,
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let endpoint = asked.rule.endpoint();
        self.used(Word::Tcp.as_str(), asked.host.to_string(), asked.rule.to_string(), false).await?;
        let endpoint = Endpoint { peer: None, host: endpoint.bare_host(), port: endpoint.port };
        let addresses = match self.resolve(&endpoint, &asked.addresses, LOOKUP).await {
            Ok(addresses) => addresses,
            Err(Unresolved::Failed(error)) => return Err(error),
            Err(Unresolved::Refused(refused)) => {
                return Err(self.refuse(self.grant.tcp_name_address(&asked, &refused)).await);
            }
        };
        let mut names = self.egress.answers.names.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.ip().to_canonical()).collect();
        for address in &addresses {
            let names = names.entry(*address).or_default();
            if !names.contains(&asked.host) {
                names.push(asked.host.clone());
            }
        }
        Ok(addresses)
    }

    /// Writes down that an address is about to be connected to. The guest connects once this has returned.
    ///
    /// # Errors
    ///
    /// `Denied` where no rule of `tcp` names it or a name that led to it; the record cannot be written, or the session has been
    /// cancelled: then nobody may connect.
    pub async fn tcp_connect(&self, to: SocketAddr) -> Result<(), EffectError> {
        let names = {
            let names = self.egress.answers.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&to.ip().to_canonical()).cloned().unwrap_or_default()
        };
        match self.grant.tcp(to, &names) {
            Ok(rule) => {
                let (subject, rule) = (rule.endpoint().to_string(), rule.to_string());
                self.used(Word::Tcp.as_str(), subject, rule, true).await
            }
            Err(denial) => Err(self.refuse(denial).await),
        }
    }

    /// Refuses something that no rule ever grants: to listen, to bind an address, to send datagrams.
    pub async fn tcp_never(&self, what: &str) -> EffectError {
        self.refuse(Denial::new(Word::Tcp, what, "a plugin only ever opens TCP connections to others")).await
    }
}
