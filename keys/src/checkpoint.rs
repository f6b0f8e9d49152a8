//! Checkpoints of the audit log: Ed25519 over the note, so that whoever kept one can prove that the log
//! was changed or rolled back.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::error::CustodyError;
use crate::family::{Family, check_public, malformed};
use crate::kek::KeyEncryptionKey;
use crate::keyring::Keyring;
use crate::purpose::Purpose;
use crate::row::{KeyId, KeyRow};

/// The keys of checkpoints.
pub(crate) struct CheckpointKeys {
    signing: Ed25519KeyPair,
    pub(crate) verifying: Family<[u8; PUBLIC_LEN]>,
}

impl CheckpointKeys {
    pub(crate) fn open(kek: &KeyEncryptionKey, rows: &[KeyRow]) -> Result<Self, CustodyError> {
        let (signing, verifying) = Family::open(kek, rows, Purpose::Checkpoint, parse)?.split();
        Ok(Self { signing, verifying })
    }
}

impl Keyring {
    /// Signs `note` with the active checkpoint key; says which one that was.
    pub fn sign_checkpoint(
        &self,
        note: &[u8],
    ) -> Result<(KeyId, [u8; SIGNATURE_LEN]), CustodyError> {
        let keys = &self.0.checkpoints;
        let signature = keys.signing.sign(note);
        let signature = signature
            .as_ref()
            .try_into()
            .map_err(|_| CustodyError::SignatureLength)?;
        Ok((keys.verifying.active.id.clone(), signature))
    }

    /// The Ed25519 public key to hand to whoever verifies elsewhere; none when unknown or withdrawn.
    pub fn checkpoint_public(&self, id: &KeyId) -> Option<[u8; PUBLIC_LEN]> {
        self.0.checkpoints.verifying.find(id.as_str()).copied()
    }

    /// Whether the key `id` signed `note`; false when it is unknown or withdrawn.
    pub fn verify_checkpoint(&self, id: &KeyId, note: &[u8], signature: &[u8]) -> bool {
        self.checkpoint_public(id).is_some_and(|public| {
            UnparsedPublicKey::new(&ED25519, public)
                .verify(note, signature)
                .is_ok()
        })
    }
}

fn parse(row: &KeyRow, private: &[u8]) -> Result<(Ed25519KeyPair, [u8; PUBLIC_LEN]), CustodyError> {
    let pair = Ed25519KeyPair::from_pkcs8(private).map_err(|_| malformed(row))?;
    let public = pair.public_key().as_ref();
    check_public(row, Some(public))?;
    let public = public.try_into().map_err(|_| malformed(row))?;
    Ok((pair, public))
}

const PUBLIC_LEN: usize = 32;
const SIGNATURE_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{add, kek, of, rows};
    use crate::purpose::KeyState;

    #[test]
    fn a_checkpoint_verifies_for_its_note_and_key_only() {
        let mut rows = rows();
        let prepared = add(&mut rows, Purpose::Checkpoint, KeyState::Prepared);
        let keyring = Keyring::open(&kek(), &rows).unwrap();
        let (id, signature) = keyring.sign_checkpoint(b"size 7").unwrap();
        assert_eq!(&id, keyring.active_id(Purpose::Checkpoint));
        assert!(keyring.verify_checkpoint(&id, b"size 7", &signature));
        assert!(!keyring.verify_checkpoint(&id, b"size 8", &signature));
        assert!(!keyring.verify_checkpoint(&id, b"size 7", &signature[..63]));
        assert!(!keyring.verify_checkpoint(&prepared, b"size 7", &signature));
    }

    #[test]
    fn an_outsider_verifies_with_the_public_key_alone() {
        let keyring = Keyring::open(&kek(), &rows()).unwrap();
        let (id, signature) = keyring.sign_checkpoint(b"note").unwrap();
        let public = keyring.checkpoint_public(&id).unwrap();
        UnparsedPublicKey::new(&ED25519, public)
            .verify(b"note", &signature)
            .unwrap();
    }

    #[test]
    fn a_retired_key_still_verifies_and_a_withdrawn_one_does_not() {
        let mut rows = rows();
        let (id, signature) = Keyring::open(&kek(), &rows)
            .unwrap()
            .sign_checkpoint(b"note")
            .unwrap();
        of(&mut rows, Purpose::Checkpoint).state = KeyState::Retired;
        add(&mut rows, Purpose::Checkpoint, KeyState::Active);
        assert!(
            Keyring::open(&kek(), &rows)
                .unwrap()
                .verify_checkpoint(&id, b"note", &signature)
        );

        of(&mut rows, Purpose::Checkpoint).state = KeyState::Withdrawn;
        let withdrawn = Keyring::open(&kek(), &rows).unwrap();
        assert!(!withdrawn.verify_checkpoint(&id, b"note", &signature));
        assert_eq!(withdrawn.checkpoint_public(&id), None);
    }
}
