//! The server side of TLS. The certificate is looked up in each handshake, so that another one is shown from
//! then on and connections that are open go on: what comes from files is in [`files`], what the broker issues
//! to itself in [`own`].
//!
//! Whose client certificates are taken is the caller's to say; none is ever demanded, and what is shown is
//! always verified: sessions are not resumed, since that would skip the verification.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::attest::certificate;
use crate::domain::time::Timestamp;
use crate::outbound::tls::CertificateTime;
use crate::seams::Clock;

pub mod files;
pub mod own;

/// What one listener needs for its handshakes, and the certificate that it shows.
pub struct ServerTls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// A certificate with its key, as a handshake wants it.
struct Shown(ArcSwap<CertifiedKey>);

impl ServerTls {
    pub fn new(
        first: CertifiedKey,
        clients: Arc<dyn ClientCertVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, rustls::Error> {
        let shown = Arc::new(Shown(ArcSwap::from_pointee(first)));
        let provider = Arc::new(ring::default_provider());
        let time = Arc::new(CertificateTime(clock));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            shown,
        })
    }

    /// What a listener takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Every handshake that begins from now on is shown this one.
    pub fn show(&self, next: CertifiedKey) {
        self.shown.0.store(Arc::new(next));
    }

    /// The end of the certificate that is shown.
    pub fn expires_at(&self) -> Option<Timestamp> {
        certificate::ends(self.shown.0.load().end_entity_cert().ok()?)
    }
}

impl ResolvesServerCert for Shown {
    /// Whatever name is asked for: there is one certificate, and the client judges whether it fits.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}
