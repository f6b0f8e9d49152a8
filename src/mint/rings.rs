//! The keys in force, as the parts of the broker that need them know them: the store, which
//! authenticates its rows, and the sequencer, which signs checkpoints. Whoever swaps the ring swaps
//! it for all of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use writ_keys::{CustodyError, KeyRow, KeyState, Keyring, Maker, Purpose};

use crate::domain::time::Timestamp;
use crate::ledger::checkpoint::{CannotSign, CheckpointSigner, NoteSignature};

/// The ring that is in force at each moment.
pub struct SharedRing(pub Arc<ArcSwap<Keyring>>);

impl CheckpointSigner for SharedRing {
    fn sign(&self, note: &[u8]) -> Result<NoteSignature, CannotSign> {
        let ring = self.0.load();
        let (id, bytes) = ring
            .sign_checkpoint(note)
            .map_err(|e| CannotSign(e.to_string()))?;
        let ed25519 = ring
            .checkpoint_public(&id)
            .ok_or_else(|| CannotSign("the key has no public half".to_owned()))?;
        Ok(NoteSignature { ed25519, bytes })
    }

    fn public_keys(&self) -> Vec<[u8; 32]> {
        let ring = self.0.load();
        let of_purpose = ring
            .describe()
            .filter(|(_, purpose, _, _)| *purpose == Purpose::Checkpoint);
        of_purpose
            .filter_map(|(id, ..)| ring.checkpoint_public(id))
            .collect()
    }
}

/// The first keys of each purpose that has none among `known`: all of them in a new database. Active at
/// once, because nobody can have cached an older set.
pub fn first_keys(
    known: &[KeyRow],
    maker: Maker<'_>,
    now: Timestamp,
) -> Result<Vec<KeyRow>, CustodyError> {
    let mut rows = known.to_vec();
    for purpose in Purpose::ALL {
        if rows.iter().all(|row| row.purpose != purpose) {
            rows.push(maker.make(purpose, KeyState::Active, now.micros(), &rows)?);
        }
    }
    Ok(rows.split_off(known.len()))
}
