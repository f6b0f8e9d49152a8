//! AES-256-GCM with a random nonce in front: `nonce (12) | ciphertext | tag (16)`.
//!
//! Every ciphertext is bound to a place, given as associated data. Random nonces bound a key to 2^32
//! sealings (NIST SP 800-38D §8.3); key-encryption and wrapping keys stay far below, data keys seal once.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Bytes of an AES-256 key.
pub(crate) const AEAD_KEY_LEN: usize = 32;

/// A key that seals and opens.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Refuses anything but [`AEAD_KEY_LEN`] bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self(LessSafeKey::new(UnboundKey::new(
            &AES_256_GCM,
            bytes,
        )?)))
    }

    /// Seals `plain` so that it opens only with the same `place`.
    pub(crate) fn seal(
        &self,
        place: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        // Room for everything at once: growing would leave a copy of the plaintext behind.
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, body) = sealed.split_at_mut(NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(place), body)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`AeadKey::seal`] made for the same `place`.
    pub(crate) fn open(
        &self,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(place), &mut plain)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}
