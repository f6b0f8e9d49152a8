//! Name resolution with the address rules applied to its answer, at the moment of connecting.
//!
//! One forbidden address refuses the whole answer: a public name that also points inside is an attack or a
//! mistake, and choosing the harmless half would hide it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{AddressKind, Policy};

/// Answers which addresses a host name has.
pub trait Lookup: Send + Sync {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The platform's resolver, hosts file included.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let answer = tokio::net::lookup_host((host, 0)).await?;
            Ok(answer.map(|socket| socket.ip()).collect())
        })
    }
}

/// A resolver that hands on only what the policy of its peer lets through.
pub(super) struct Checked {
    lookup: Arc<dyn Lookup>,
    policy: Arc<Policy>,
}

impl Checked {
    pub(super) fn new(lookup: Arc<dyn Lookup>, policy: Policy) -> Self {
        Self {
            lookup,
            policy: Arc::new(policy),
        }
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.lookup.lookup(name.as_str().to_owned());
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let addresses = answer.await?;
            for address in &addresses {
                policy.check(*address).map_err(AddressRefused)?;
            }
            // Port 0 stands for the port of the URL.
            let sockets = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}

/// Travels through the HTTP client's error chain, to be found again by the peer.
#[derive(Debug, thiserror::Error)]
#[error("the address is {0}")]
pub(super) struct AddressRefused(pub(super) AddressKind);
