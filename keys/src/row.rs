//! A key as the store keeps it: public facts, and private bytes that only the key-encryption key opens.
//!
//! The wrapping is bound to purpose and id, so that a row cannot be renamed, nor a key be passed off as
//! one of another purpose. The state is not part of it: moving a key through its life rewraps nothing.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use zeroize::Zeroizing;

use crate::aead::AEAD_KEY_LEN;
use crate::certificate::Pki;
use crate::entropy::{Entropy, ring_random};
use crate::error::CustodyError;
use crate::kek::KeyEncryptionKey;
use crate::purpose::{IllegalTransition, KeyState, Purpose};

/// Names a key; the `kid` of tokens. 12 random bytes in base64url.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; ID_BYTES];
        entropy.fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidKeyId;

    fn try_from(text: String) -> Result<Self, InvalidKeyId> {
        match URL_SAFE_NO_PAD.decode(&text) {
            Ok(bytes) if bytes.len() == ID_BYTES => Ok(Self(text)),
            Ok(_) | Err(_) => Err(InvalidKeyId),
        }
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// The text is not 12 bytes in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 16 base64url characters")]
pub struct InvalidKeyId;

/// One key as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name.
    pub id: KeyId,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made, in UTC microseconds.
    pub created_at: i64,
    /// When its state last changed, in UTC microseconds.
    pub changed_at: i64,
    /// The private bytes under the key-encryption key.
    pub wrapped: Vec<u8>,
    /// The public half: an uncompressed P-256 point or an Ed25519 key; of an authority its certificate
    /// in DER; none for symmetric keys.
    pub public: Option<Vec<u8>>,
}

impl KeyRow {
    /// The row after a move to `next` at `now` (UTC microseconds).
    pub fn moved_to(self, next: KeyState, now: i64) -> Result<Self, IllegalTransition> {
        let state = self.state.moved_to(next)?;
        let changed_at = if state == self.state {
            self.changed_at
        } else {
            now
        };
        Ok(Self {
            state,
            changed_at,
            ..self
        })
    }

    /// The private bytes.
    pub(crate) fn open(&self, kek: &KeyEncryptionKey) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        kek.unwrap_row(&place(self.purpose, &self.id), &self.wrapped)
            .map_err(|_| CustodyError::RowDoesNotOpen {
                id: self.id.clone(),
            })
    }
}

impl fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRow")
            .field("id", &self.id)
            .field("purpose", &self.purpose)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .field("changed_at", &self.changed_at)
            .finish_non_exhaustive()
    }
}

/// What keys are made with.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// What wraps them.
    pub kek: &'a KeyEncryptionKey,
    /// What authorities are called and where they publish.
    pub pki: &'a Pki,
    /// Where everything random but key pairs comes from; those are made of ring's own randomness.
    pub entropy: &'a dyn Entropy,
}

impl Maker<'_> {
    /// Makes a key for `purpose` at `now` (UTC microseconds) and wraps it. The active root among
    /// `known` signs a new intermediate.
    pub fn make(
        &self,
        purpose: Purpose,
        state: KeyState,
        now: i64,
        known: &[KeyRow],
    ) -> Result<KeyRow, CustodyError> {
        let failed = |_| CustodyError::Generation { purpose };
        let id = KeyId::random(self.entropy);
        let (private, public) = match purpose {
            Purpose::AccessToken | Purpose::JwtSvid => {
                let (private, public) = p256().map_err(failed)?;
                (private, Some(public))
            }
            Purpose::CaRoot | Purpose::CaIntermediate => {
                let (private, _) = p256().map_err(failed)?;
                let certificate = self.certificate(purpose, &id, &private, now, known)?;
                (private, Some(certificate))
            }
            Purpose::Checkpoint => {
                let (private, public) = ed25519().map_err(failed)?;
                (private, Some(public))
            }
            Purpose::RowMac | Purpose::Handle | Purpose::Cursor => {
                (symmetric::<MAC_KEY_LEN>(self.entropy), None)
            }
            Purpose::Secret => (symmetric::<AEAD_KEY_LEN>(self.entropy), None),
        };
        let wrapped = self
            .kek
            .wrap(&place(purpose, &id), &private, self.entropy)
            .map_err(failed)?;
        Ok(KeyRow {
            id,
            purpose,
            state,
            created_at: now,
            changed_at: now,
            wrapped,
            public,
        })
    }
}

type Private = Zeroizing<Vec<u8>>;

fn p256() -> Result<(Private, Vec<u8>), ring::error::Unspecified> {
    let random = ring_random();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
    let private = Zeroizing::new(document.as_ref().to_vec());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &random)?;
    Ok((private, pair.public_key().as_ref().to_vec()))
}

fn ed25519() -> Result<(Private, Vec<u8>), ring::error::Unspecified> {
    let document = Ed25519KeyPair::generate_pkcs8(&ring_random())?;
    let private = Zeroizing::new(document.as_ref().to_vec());
    let pair = Ed25519KeyPair::from_pkcs8(&private)?;
    Ok((private, pair.public_key().as_ref().to_vec()))
}

fn symmetric<const LEN: usize>(entropy: &dyn Entropy) -> Private {
    let mut bytes = Zeroizing::new(vec![0; LEN]);
    entropy.fill(&mut bytes);
    bytes
}

/// What a wrapping is bound to. An id holds no `|`, so no two rows share a place.
fn place(purpose: Purpose, id: &KeyId) -> Vec<u8> {
    format!("writ-key|1|{purpose}|{id}").into_bytes()
}

/// Bytes of an HMAC key: as many as the hash has (RFC 2104 §3).
pub(crate) const MAC_KEY_LEN: usize = 32;

const ID_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TestEntropy, kek, rows};

    fn row(purpose: Purpose) -> KeyRow {
        rows()
            .into_iter()
            .find(|row| row.purpose == purpose)
            .unwrap()
    }

    #[test]
    fn a_row_moved_to_another_id_or_purpose_does_not_open() {
        let handle = row(Purpose::Handle);
        assert_eq!(handle.open(&kek()).unwrap().len(), MAC_KEY_LEN);

        let renamed = KeyRow {
            id: "AAAAAAAAAAAAAAAA".parse().unwrap(),
            ..handle.clone()
        };
        let refused = renamed.open(&kek()).unwrap_err();
        assert_eq!(refused.code(), "key_does_not_open");
        assert!(refused.to_string().contains("AAAAAAAAAAAAAAAA"));

        let repurposed = KeyRow {
            purpose: Purpose::RowMac,
            ..handle
        };
        assert_eq!(
            repurposed.open(&kek()).unwrap_err().code(),
            "key_does_not_open"
        );
    }

    #[test]
    fn a_row_of_another_installation_does_not_open() {
        let foreign = KeyEncryptionKey::generate(&TestEntropy::seeded(2));
        let refused = row(Purpose::Secret).open(&foreign).unwrap_err();
        assert_eq!(refused.code(), "key_does_not_open");
    }

    #[test]
    fn a_state_change_keeps_the_key_readable_and_is_dated_once() {
        let made = row(Purpose::RowMac);
        let at = made.created_at;
        let retired = made.moved_to(KeyState::Retired, at + 6).unwrap();
        assert_eq!((retired.created_at, retired.changed_at), (at, at + 6));
        assert_eq!(retired.open(&kek()).unwrap().len(), MAC_KEY_LEN);
        let withdrawn = retired.moved_to(KeyState::Withdrawn, at + 7).unwrap();
        let again = withdrawn
            .clone()
            .moved_to(KeyState::Withdrawn, at + 8)
            .unwrap();
        assert_eq!(again, withdrawn);
        let refused = withdrawn.moved_to(KeyState::Active, at + 9).unwrap_err();
        assert_eq!(refused.to, KeyState::Active);
    }

    #[test]
    fn a_key_id_is_sixteen_base64url_characters_and_nothing_else() {
        let id = row(Purpose::Secret).id;
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<KeyId>(&json).unwrap(), id);
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAA|",
            "AAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(InvalidKeyId), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_private_bytes() {
        for purpose in Purpose::ALL {
            let row = row(purpose);
            let shown = format!("{row:?}");
            assert!(shown.contains(row.id.as_str()));
            assert!(!shown.contains("wrapped"), "{shown}");
        }
    }
}
