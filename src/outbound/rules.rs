//! What one peer is allowed and given: its networks, its trust, its cap, its credential.

use std::fmt;

use http::HeaderValue;
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
    pub bearer: Option<Bearer>,
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
            bearer: None,
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

/// A bearer token for the peer (RFC 6750). Shown nowhere: not in `Debug`, not in an error.
#[derive(Clone)]
pub struct Bearer(HeaderValue);

/// The text is not a token: empty, or with characters that no header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bearer token is empty or holds characters that cannot be sent")]
pub struct BearerError;

impl Bearer {
    /// Takes the token as it is; a trailing line break from a file must be cut off before.
    pub fn new(token: &Secret) -> Result<Self, BearerError> {
        let token = token.expose_str().ok_or(BearerError)?;
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BearerError);
        }
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut value = HeaderValue::from_str(&text).map_err(|_| BearerError)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_never_shown() {
        let bearer = Bearer::new(&Secret::from("hunter2".to_owned())).unwrap();
        let rules = Rules {
            bearer: Some(bearer),
            ..Rules::json()
        };
        assert!(!format!("{rules:?}").contains("hunter2"));
    }

    #[test]
    fn a_bearer_cannot_smuggle_a_header() {
        for text in ["", "a\r\nx: y", "a b", "a\n"] {
            let answer = Bearer::new(&Secret::from(text.to_owned())).map(|_| ());
            assert_eq!(answer, Err(BearerError), "{text:?}");
        }
    }
}
