//! The key-encryption key: everything else is wrapped by it, so it is the one secret that an operator
//! guards.
//!
//! Its 32 bytes are used for nothing directly. What wraps rows and what makes the check value are
//! derived from them under different labels (HKDF-Expand, RFC 5869 §2.3; the source is uniformly
//! random, so §3.3 lets the extract step go), so that publishing a check value tells nothing.

use std::fmt;

use ring::error::Unspecified;
use ring::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::aead::{AEAD_KEY_LEN, AeadKey};
use crate::entropy::Entropy;

/// Bytes of a key-encryption key.
pub(crate) const KEK_LEN: usize = 32;

/// Wraps every other key. See [`KeyEncryptionKey::read_file`] for how it is supplied.
pub struct KeyEncryptionKey {
    // Boxed, so that moving the value leaves no copies on the stack.
    source: Box<Zeroizing<[u8; KEK_LEN]>>,
}

impl KeyEncryptionKey {
    /// Makes a key from `entropy`.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut source = Box::new(Zeroizing::new([0; KEK_LEN]));
        entropy.fill(source.as_mut_slice());
        Self { source }
    }

    /// Identifies the key without telling it. Stored with the database and compared at every start, so
    /// that the wrong key stops the start and not the first use.
    pub fn check_value(&self) -> CheckValue {
        let derived = self.derive(CHECK_LABEL);
        let mut value = [0; CheckValue::LEN];
        for (to, from) in value.iter_mut().zip(derived.iter()) {
            *to = *from;
        }
        CheckValue(value)
    }

    pub(crate) fn from_source(source: Box<Zeroizing<[u8; KEK_LEN]>>) -> Self {
        Self { source }
    }

    pub(crate) fn source(&self) -> &[u8; KEK_LEN] {
        &self.source
    }

    /// Seals `private` for the row that `place` names.
    pub(crate) fn wrap(
        &self,
        place: &[u8],
        private: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, Unspecified> {
        self.wrapping_key()?.seal(place, private, entropy)
    }

    /// Opens what [`KeyEncryptionKey::wrap`] made for the same `place`.
    pub(crate) fn unwrap_row(
        &self,
        place: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        self.wrapping_key()?.open(place, wrapped)
    }

    fn wrapping_key(&self) -> Result<AeadKey, Unspecified> {
        AeadKey::new(self.derive(WRAP_LABEL).as_slice())
    }

    /// The first block of HKDF-Expand with SHA-256.
    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; AEAD_KEY_LEN]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.source.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(label);
        context.update(&[1]);
        let mut derived = Zeroizing::new([0; AEAD_KEY_LEN]);
        derived.copy_from_slice(context.sign().as_ref());
        derived
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEncryptionKey").finish_non_exhaustive()
    }
}

/// Tells one key-encryption key from another, and nothing about either. Not a secret.
#[derive(Clone, Copy)]
pub struct CheckValue([u8; Self::LEN]);

impl CheckValue {
    /// Bytes of a check value.
    pub const LEN: usize = 16;

    /// A stored check value.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for CheckValue {
    /// Takes the same time wherever the values differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for CheckValue {}

impl fmt::Debug for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckValue({})", hex::encode(self.0))
    }
}

// Labels are part of format 1 of the key: another label makes every stored row unreadable.
const WRAP_LABEL: &[u8] = b"writ-kek-1|wrap";
const CHECK_LABEL: &[u8] = b"writ-kek-1|check";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::TestEntropy;

    #[test]
    fn the_check_value_tells_keys_apart_and_is_stable() {
        let one = KeyEncryptionKey::generate(&TestEntropy::seeded(1));
        let same = KeyEncryptionKey::generate(&TestEntropy::seeded(1));
        let other = KeyEncryptionKey::generate(&TestEntropy::seeded(2));
        assert_eq!(one.check_value(), same.check_value());
        assert_ne!(one.check_value(), other.check_value());
        assert_eq!(
            CheckValue::from_bytes(*one.check_value().as_bytes()),
            one.check_value()
        );
    }

    #[test]
    fn the_check_value_is_not_part_of_the_wrapping_key() {
        let kek = KeyEncryptionKey::generate(&TestEntropy::seeded(1));
        let wrapping = kek.derive(WRAP_LABEL);
        assert!(
            !wrapping
                .windows(16)
                .any(|part| part == kek.check_value().as_bytes())
        );
        assert!(
            !kek.source()
                .windows(16)
                .any(|part| part == kek.check_value().as_bytes())
        );
    }

    #[test]
    fn a_wrapped_row_opens_only_with_its_key_and_in_its_place() {
        let kek = KeyEncryptionKey::generate(&TestEntropy::seeded(1));
        let other = KeyEncryptionKey::generate(&TestEntropy::seeded(2));
        let wrapped = kek
            .wrap(b"here", b"private", &TestEntropy::seeded(3))
            .unwrap();
        assert_eq!(
            kek.unwrap_row(b"here", &wrapped).unwrap().as_slice(),
            b"private"
        );
        assert_eq!(kek.unwrap_row(b"there", &wrapped).unwrap_err(), Unspecified);
        assert_eq!(
            other.unwrap_row(b"here", &wrapped).unwrap_err(),
            Unspecified
        );
        assert_eq!(
            kek.unwrap_row(b"here", &wrapped[..11]).unwrap_err(),
            Unspecified
        );
    }
}
