//! Who is at the other end, as the transport knows it. Every request carries one as an extension.
//!
//! Nothing in a request can change it. Whom a listed proxy speaks for is known here where it says so before the
//! first request ([`super::proxy_header`]), and decides nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::surface::socket::Caller;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Without TLS.
    Tcp {
        addr: SocketAddr,
        /// Whose connection the listed proxy at `addr` forwards.
        behind: Option<IpAddr>,
    },
    /// The certificates are the client's chain, end entity first, verified against the configured roots and
    /// its key proven; empty when the client showed none.
    Tls {
        addr: SocketAddr,
        behind: Option<IpAddr>,
        certificates: Arc<[CertificateDer<'static>]>,
    },
    /// A process on this machine, in the kernel's words at the time it connected.
    Unix(Caller),
}

impl Peer {
    /// The socket's other end: the proxy, where there is one.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { addr, .. } | Self::Tls { addr, .. } => Some(*addr),
            Self::Unix(_) => None,
        }
    }

    /// Whose connection it is: of whom a listed proxy speaks for, or of the socket's other end.
    pub(super) fn client(&self) -> Option<IpAddr> {
        let near = self.addr()?.ip().to_canonical();
        match self {
            Self::Tcp { behind, .. } | Self::Tls { behind, .. } => Some(behind.unwrap_or(near)),
            Self::Unix(_) => None,
        }
    }

    /// The user of a local process; nobody on the network has one.
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Tcp { .. } | Self::Tls { .. } => None,
            Self::Unix(caller) => Some(caller.uid),
        }
    }

    /// The client's verified chain; empty when there is none.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::Tls { certificates, .. } => certificates,
            Self::Tcp { .. } | Self::Unix(_) => &[],
        }
    }
}
