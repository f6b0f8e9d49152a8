//! Client certificates: those that this broker's own authorities signed, and no others. None is demanded.
//!
//! A handshake proves the key, the chain and the time. Whether the certificate was revoked is asked at each
//! use of it, since a connection outlives its handshake.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::broker::Broker;

/// Believes what the broker's roots vouch for, as they are at the moment of the handshake: a root that was
/// prepared counts from then on, one that was withdrawn counts no more.
pub struct OwnClients {
    broker: Arc<Broker>,
    provider: Arc<CryptoProvider>,
}

impl OwnClients {
    pub fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            provider: Arc::new(ring::default_provider()),
        }
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut store = RootCertStore::empty();
        for (_, der) in self.broker.minter.keys.load().roots() {
            store.add(CertificateDer::from(der.to_vec()))?;
        }
        Ok(store)
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ClientCertVerifier for OwnClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: the roots change while this is served, and a client here has one certificate at most.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let (roots, provider) = (Arc::new(self.roots()?), Arc::clone(&self.provider));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|why| rustls::Error::General(why.to_string()))?;
        verifier.verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

impl fmt::Debug for OwnClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnClients")
    }
}
