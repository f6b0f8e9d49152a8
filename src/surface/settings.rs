//! Where the broker listens, and which resource servers may ask about tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use crate::domain::grant::Audience;
use crate::domain::host::Host;
use crate::domain::identity::SpiffeId;
use crate::domain::name::ServerName;
use crate::domain::place::Place;
use crate::surface::http::proxies::Proxies;

/// The listeners.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    pub address: SocketAddr,
    /// Without it the address is loopback and spoken to in plain HTTP.
    pub tls: Option<TlsSource>,
    pub proxies: Proxies,
    /// The listener of `/livez`, `/readyz` and `/metrics`.
    pub metrics: Option<SocketAddr>,
    pub admin: Option<AdminSocket>,
    /// How long requests under way may take once told to stop.
    pub drain: Duration,
    pub max_connections: usize,
}

/// Where a listener's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    Files(TlsPaths),
    /// From the broker itself, for these hosts.
    Issued(Vec<Host>),
}

/// The server's certificate chain and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The socket of local operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    pub path: PathBuf,
    /// Users beside root and the server's own that are operators.
    pub uids: BTreeSet<u32>,
}

/// The listener of operators who are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorListener {
    pub address: SocketAddr,
    /// Without it the address is loopback and spoken to in plain HTTP.
    pub tls: Option<TlsSource>,
    pub proxies: Proxies,
}

/// A service that verifies tokens by asking the broker.
#[derive(Debug, Clone)]
pub struct ResourceServer {
    pub name: ServerName,
    /// It sees tokens for these audiences and no others.
    pub audiences: BTreeSet<Audience>,
    /// It may show the secret of this digest; and, or, the certificate of this workload.
    pub secret: Option<SecretDigest>,
    pub workload: Option<SpiffeId>,
    /// Where it stands.
    pub place: Place,
}

/// The plain SHA-256 of a generated secret. Good only for secrets with at least 128 bits of
/// randomness: a digest does not protect a password.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

/// The text is not a SHA-256 digest. It is not repeated: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 lower-case hexadecimal digits")]
pub struct BadDigest;

impl SecretDigest {
    /// Whether this is the digest of `secret`, in constant time.
    pub fn matches(&self, secret: &[u8]) -> bool {
        let shown = ring::digest::digest(&ring::digest::SHA256, secret);
        self.0.as_slice().ct_eq(shown.as_ref()).into()
    }
}

impl FromStr for SecretDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            Ok(()) | Err(_) => Err(BadDigest),
        }
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches_its_digest() {
        // The digest that FIPS 180-2 appendix B.1 gives for "abc".
        let digest: SecretDigest =
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
                .parse()
                .unwrap();
        assert!(digest.matches(b"abc"));
        assert!(!digest.matches(b"abd"));
        assert!(!format!("{digest:?}").contains("ba78"));
    }

    #[test]
    fn a_secret_in_place_of_its_digest_is_refused_and_not_repeated() {
        let refused = "canary-5d1f".parse::<SecretDigest>().unwrap_err();
        assert!(!refused.to_string().contains("canary"));
    }
}
