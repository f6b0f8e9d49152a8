//! Secrets at rest: each under its own data key, the data key under the wrapping key of its purpose, both
//! bound to the place where the secret is stored. Rotating the wrapping key touches no ciphertext.

use std::fmt;

use zeroize::Zeroizing;

use crate::aead::{AEAD_KEY_LEN, AeadKey};
use crate::entropy::Entropy;
use crate::error::CustodyError;
use crate::family::{check_public, malformed};
use crate::keyring::Keyring;
use crate::purpose::Purpose;
use crate::row::{KeyId, KeyRow};

/// The longest secret that is sealed as one.
pub const SECRET_MAX_BYTES: usize = 1 << 20;

/// A sealed secret as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that wraps the data key.
    pub key_id: KeyId,
    /// The data key under it.
    pub wrapped: Vec<u8>,
    /// The secret under the data key.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Seals `plain`, at most [`SECRET_MAX_BYTES`], so that it opens only with the same `place`: the
    /// identity of the row it is stored in, version included, in an unambiguous encoding.
    pub fn seal(
        &self,
        place: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Sealed, CustodyError> {
        if plain.len() > SECRET_MAX_BYTES {
            let (bytes, limit) = (plain.len(), SECRET_MAX_BYTES);
            return Err(CustodyError::SecretTooLarge { bytes, limit });
        }
        let failed = |_| CustodyError::Generation {
            purpose: Purpose::Secret,
        };
        let mut data_key = Zeroizing::new([0; AEAD_KEY_LEN]);
        entropy.fill(data_key.as_mut_slice());
        let sealed = AeadKey::new(data_key.as_slice())
            .and_then(|key| key.seal(&bound(SECRET_LABEL, place), plain, entropy))
            .map_err(failed)?;
        let active = &self.0.secret.active;
        let wrapped = active
            .key
            .seal(&bound(DATA_KEY_LABEL, place), data_key.as_slice(), entropy)
            .map_err(failed)?;
        Ok(Sealed {
            key_id: active.id.clone(),
            wrapped,
            sealed,
        })
    }

    /// Opens what [`Keyring::seal`] made for the same `place`, unless its key was withdrawn.
    pub fn open_sealed(
        &self,
        place: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let id = &sealed.key_id;
        let wrapping = self
            .0
            .secret
            .find(id.as_str())
            .ok_or_else(|| CustodyError::UnknownKey { id: id.clone() })?;
        wrapping
            .open(&bound(DATA_KEY_LABEL, place), &sealed.wrapped)
            .and_then(|data_key| AeadKey::new(&data_key))
            .and_then(|data_key| data_key.open(&bound(SECRET_LABEL, place), &sealed.sealed))
            .map_err(|_| CustodyError::SealedDoesNotOpen { id: id.clone() })
    }
}

pub(crate) fn parse_secret_key(row: &KeyRow, private: &[u8]) -> Result<AeadKey, CustodyError> {
    check_public(row, None)?;
    AeadKey::new(private).map_err(|_| malformed(row))
}

fn bound(label: &[u8], place: &[u8]) -> Vec<u8> {
    [label, place].concat()
}

// Neither label is a prefix of the other.
const DATA_KEY_LABEL: &[u8] = b"writ-data-key|1|";
const SECRET_LABEL: &[u8] = b"writ-secret|1|";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TestEntropy, add, kek, of, rows};
    use crate::purpose::KeyState;

    fn sealed() -> (Keyring, Sealed) {
        let keyring = Keyring::open(&kek(), &rows()).unwrap();
        let sealed = keyring
            .seal(b"default/db/1", b"hunter2", &TestEntropy::seeded(5))
            .unwrap();
        (keyring, sealed)
    }

    #[test]
    fn a_secret_opens_in_its_place_and_in_no_other() {
        let (keyring, sealed) = sealed();
        assert_eq!(
            keyring
                .open_sealed(b"default/db/1", &sealed)
                .unwrap()
                .as_slice(),
            b"hunter2"
        );
        let refused = keyring.open_sealed(b"default/db/2", &sealed).unwrap_err();
        assert_eq!(refused.code(), "sealed_does_not_open");
    }

    #[test]
    fn ciphertext_and_data_key_of_two_secrets_do_not_mix() {
        let (keyring, one) = sealed();
        let other = keyring
            .seal(b"default/db/1", b"other", &TestEntropy::seeded(6))
            .unwrap();
        let mixed = Sealed {
            wrapped: other.wrapped,
            ..one
        };
        let refused = keyring.open_sealed(b"default/db/1", &mixed).unwrap_err();
        assert_eq!(refused.code(), "sealed_does_not_open");
    }

    #[test]
    fn a_changed_or_cut_byte_is_found() {
        let (keyring, good) = sealed();
        for at in 0..good.sealed.len() {
            let mut bad = good.clone();
            bad.sealed[at] ^= 1;
            let refused = keyring.open_sealed(b"default/db/1", &bad).unwrap_err();
            assert_eq!(refused.code(), "sealed_does_not_open");
            bad.sealed.truncate(at);
            let refused = keyring.open_sealed(b"default/db/1", &bad).unwrap_err();
            assert_eq!(refused.code(), "sealed_does_not_open");
        }
    }

    #[test]
    fn a_retired_key_still_opens_and_a_withdrawn_one_does_not() {
        let mut rows = rows();
        let keyring = Keyring::open(&kek(), &rows).unwrap();
        let sealed = keyring
            .seal(b"place", b"plain", &TestEntropy::seeded(5))
            .unwrap();
        of(&mut rows, Purpose::Secret).state = KeyState::Retired;
        let active = add(&mut rows, Purpose::Secret, KeyState::Active);
        let rotated = Keyring::open(&kek(), &rows).unwrap();
        assert_eq!(
            rotated.open_sealed(b"place", &sealed).unwrap().as_slice(),
            b"plain"
        );
        let anew = rotated
            .seal(b"place", b"plain", &TestEntropy::seeded(6))
            .unwrap();
        assert_eq!(anew.key_id, active);

        of(&mut rows, Purpose::Secret).state = KeyState::Withdrawn;
        let withdrawn = Keyring::open(&kek(), &rows).unwrap();
        let refused = withdrawn.open_sealed(b"place", &sealed).unwrap_err();
        assert_eq!(refused.code(), "key_unknown");
    }

    #[test]
    fn a_secret_beyond_the_limit_is_refused() {
        let keyring = Keyring::open(&kek(), &rows()).unwrap();
        let entropy = TestEntropy::seeded(5);
        let largest = vec![7; SECRET_MAX_BYTES];
        let sealed = keyring.seal(b"place", &largest, &entropy).unwrap();
        assert_eq!(*keyring.open_sealed(b"place", &sealed).unwrap(), largest);
        let refused = keyring
            .seal(b"place", &vec![7; SECRET_MAX_BYTES + 1], &entropy)
            .unwrap_err();
        assert_eq!(refused.code(), "secret_too_large");
    }
}
