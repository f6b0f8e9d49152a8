//! How far the way to a peer goes, step by step: what a call out keeps to itself in one word, an operator
//! who looks for a fault has to know. Nothing is asked of the peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::{AddressKind, Policy};
use super::{Origin, Outbound, Rules, SetupError, tls};

/// The step that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    #[error("its name cannot be resolved: {0}")]
    Name(io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error("its address {0} is {1}")]
    Address(SocketAddr, AddressKind),
    #[error("{0} takes no connection: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("its certificate or its TLS is refused: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Setup(#[from] SetupError),
    #[error("it does not answer in time")]
    Late,
}

impl Outbound {
    /// Resolves, connects and shakes hands as a call out would.
    pub async fn probe(&self, origin: &Origin, rules: &Rules) -> Result<SocketAddr, Blocked> {
        let way = self.walk(origin, rules);
        tokio::time::timeout(PATIENCE, way)
            .await
            .map_err(|_| Blocked::Late)?
    }

    async fn walk(&self, origin: &Origin, rules: &Rules) -> Result<SocketAddr, Blocked> {
        let host = origin.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, origin.port())).await;
        let address = found.map_err(Blocked::Name)?.next();
        let address = address.ok_or(Blocked::NoAddress)?;
        Policy::new(origin, rules.networks.clone())
            .check(address.ip())
            .map_err(|kind| Blocked::Address(address, kind))?;
        let refused = |error| Blocked::Connect(address, error);
        let stream = TcpStream::connect(address).await.map_err(refused)?;
        if origin.is_https() {
            let config = tls::client_config(&self.settings, Some(&rules.trust), None, &self.clock)?;
            let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other);
            let connector = TlsConnector::from(Arc::new(config));
            let shaken = connector.connect(name.map_err(Blocked::Tls)?, stream).await;
            shaken.map_err(Blocked::Tls)?;
        }
        Ok(address)
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
