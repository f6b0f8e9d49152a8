//! What one peer is allowed and given: its networks, its trust, its cap, its credential.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// The rules of one peer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Networks beyond the public ones that the origin's name may resolve into.
    pub networks: Vec<IpNet>,
    pub trust: Trust,
    /// Sent with every request, when present.
    pub credential: Option<Credential>,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    pub content: Content,
}

impl Rules {
    /// JSON from a public address, under the platform's trust, up to 256 KiB.
    pub fn json() -> Self {
        Self {
            networks: Vec::new(),
            trust: Trust::Platform,
            credential: None,
            max_body: 256 * 1024,
            content: Content::Json,
        }
    }
}

/// Which certificate authorities may vouch for the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    Platform,
    /// The platform's, and those in this PEM text.
    PlatformAnd(Vec<u8>),
    /// Those in this PEM text alone: the tighter choice for a peer with its own authority, as a cluster has.
    Only(Vec<u8>),
}

/// What a successful answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/json` or a type with the `+json` suffix (RFC 6839 §3.1).
    Json,
    Any,
}

/// What the peer knows the broker by, in the header that it looks for it in. Shown nowhere: not in
/// `Debug`, not in an error.
#[derive(Clone)]
pub struct Credential {
    header: HeaderName,
    value: HeaderValue,
}

/// The text is not a token: empty, or with characters that no header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is empty or holds characters that cannot be sent")]
pub struct CredentialError;

impl Credential {
    /// A bearer token (RFC 6750). It is taken as it is; a trailing line break from a file must be cut
    /// off before.
    pub fn bearer(token: &Secret) -> Result<Self, CredentialError> {
        Self::scheme("Bearer", token)
    }

    /// A token behind a word of the vendor's own.
    pub fn scheme(word: &str, token: &Secret) -> Result<Self, CredentialError> {
        let text = Zeroizing::new(format!("{word} {}", plain(token)?));
        Self::of(header::AUTHORIZATION, &text)
    }

    /// `user:password` (RFC 7617 §2).
    pub fn basic(pair: &Secret) -> Result<Self, CredentialError> {
        let encoded = Zeroizing::new(STANDARD.encode(plain(pair)?));
        let text = Zeroizing::new(format!("Basic {}", encoded.as_str()));
        Self::of(header::AUTHORIZATION, &text)
    }

    /// A token in a header of the vendor's own.
    pub fn in_header(name: HeaderName, token: &Secret) -> Result<Self, CredentialError> {
        Self::of(name, plain(token)?)
    }

    fn of(header: HeaderName, text: &str) -> Result<Self, CredentialError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| CredentialError)?;
        value.set_sensitive(true);
        Ok(Self { header, value })
    }

    /// Puts it into a request, in place of whatever the caller put there.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(self.header.clone(), self.value.clone());
    }
}

fn plain(token: &Secret) -> Result<&str, CredentialError> {
    let fit = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    token.expose_str().filter(fit).ok_or(CredentialError)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, hidden)", self.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_never_shown() {
        let credential = Credential::bearer(&Secret::from("hunter2".to_owned())).unwrap();
        let rules = Rules {
            credential: Some(credential),
            ..Rules::json()
        };
        assert!(!format!("{rules:?}").contains("hunter2"));
    }

    #[test]
    fn a_credential_cannot_smuggle_a_header() {
        for text in ["", "a\r\nx: y", "a b", "a\n"] {
            let token = Secret::from(text.to_owned());
            let own = HeaderName::from_static("private-token");
            for made in [
                Credential::bearer(&token),
                Credential::basic(&token),
                Credential::in_header(own, &token),
            ] {
                assert_eq!(made.map(|_| ()), Err(CredentialError), "{text:?}");
            }
        }
    }
}
