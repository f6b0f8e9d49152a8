//! What one peer is allowed and given: its networks, its trust, its cap, its credential.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::certificate::ClientCertificate;
use super::error::{OutboundError, Rule};
use crate::domain::secret::Secret;

/// The rules of one peer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Networks beyond the public ones that the origin's name may resolve into.
    pub networks: Vec<IpNet>,
    pub trust: Trust,
    pub shown: Shown,
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
            shown: Shown::Nothing,
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

/// What the peer knows this side by: sent with every request, or shown in the handshake.
#[derive(Clone, Debug)]
pub enum Shown {
    Nothing,
    Certificate(ClientCertificate),
    This(Credential),
    /// What the slot holds at that moment. While it holds nothing, nothing is sent at all.
    Held(Slot),
}

impl Shown {
    /// Puts what is shown into a request.
    ///
    /// # Errors
    /// There is nothing to show yet.
    pub(super) fn put(&self, headers: &mut HeaderMap) -> Result<(), OutboundError> {
        match self {
            Self::Nothing | Self::Certificate(_) => {}
            Self::This(credential) => credential.put(headers),
            Self::Held(slot) => slot
                .0
                .load()
                .as_deref()
                .ok_or(OutboundError::Refused(Rule::NoCredential))?
                .put(headers),
        }
        Ok(())
    }

    pub(super) fn certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::Certificate(certificate) => Some(certificate),
            Self::Nothing | Self::This(_) | Self::Held(_) => None,
        }
    }
}

/// A credential that is replaced while the server runs. Clones are the same slot.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<ArcSwapOption<Credential>>);

impl Slot {
    pub fn hold(&self, credential: Option<Credential>) {
        self.0.store(credential.map(Arc::new));
    }
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

/// How a peer is shown a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 6750. A token is taken as it is; a trailing line break from a file must be cut off before.
    Bearer,
    /// Behind a word of the vendor's own.
    Word(String),
    /// RFC 7617 §2: the token is `user:password`.
    Basic,
    /// Alone in a header of the vendor's own.
    Header(HeaderName),
}

impl Form {
    /// The token in this form.
    ///
    /// # Errors
    /// No header can carry it.
    pub fn of(&self, token: &Secret) -> Result<Credential, CredentialError> {
        match self {
            Self::Bearer => Credential::bearer(token),
            Self::Word(word) => Credential::word(word, token),
            Self::Basic => Credential::basic(token),
            Self::Header(name) => Credential::of(name.clone(), plain(token)?),
        }
    }
}

impl Credential {
    pub fn bearer(token: &Secret) -> Result<Self, CredentialError> {
        Self::word("Bearer", token)
    }

    fn word(word: &str, token: &Secret) -> Result<Self, CredentialError> {
        let text = Zeroizing::new(format!("{word} {}", plain(token)?));
        Self::of(header::AUTHORIZATION, &text)
    }

    fn basic(pair: &Secret) -> Result<Self, CredentialError> {
        let encoded = Zeroizing::new(STANDARD.encode(plain(pair)?));
        let text = Zeroizing::new(format!("Basic {}", encoded.as_str()));
        Self::of(header::AUTHORIZATION, &text)
    }

    fn of(header: HeaderName, text: &str) -> Result<Self, CredentialError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| CredentialError)?;
        value.set_sensitive(true);
        Ok(Self { header, value })
    }

    /// Puts it into a request, in place of whatever the caller put there.
    fn put(&self, headers: &mut HeaderMap) {
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
            shown: Shown::This(credential.clone()),
            ..Rules::json()
        };
        assert!(!format!("{rules:?}").contains("hunter2"));
        let slot = Slot::default();
        slot.hold(Some(credential));
        assert!(!format!("{:?}", Shown::Held(slot)).contains("hunter2"));
    }

    #[test]
    fn a_credential_cannot_smuggle_a_header() {
        for text in ["", "a\r\nx: y", "a b", "a\n"] {
            let token = Secret::from(text.to_owned());
            let own = HeaderName::from_static("private-token");
            for form in [Form::Bearer, Form::Basic, Form::Header(own)] {
                let made = form.of(&token).map(|_| ());
                assert_eq!(made, Err(CredentialError), "{form:?} {text:?}");
            }
        }
    }
}
