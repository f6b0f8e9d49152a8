//! What the tests share: repeatable randomness and a full set of rows.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{Context, SHA256};

use crate::certificate::Pki;
use crate::entropy::{Entropy, SystemEntropy};
use crate::kek::KeyEncryptionKey;
use crate::purpose::{KeyState, Purpose};
use crate::row::{KeyId, KeyRow, Maker};

/// The same bytes for the same seed.
pub(crate) struct TestEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl TestEntropy {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
        }
    }
}

impl Entropy for TestEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let mut context = Context::new(&SHA256);
            context.update(&self.seed.to_be_bytes());
            context.update(&self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            let block = context.finish();
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}

/// The key that wraps [`rows`].
pub(crate) fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::generate(&TestEntropy::seeded(1))
}

/// What the authorities of [`rows`] are called.
pub(crate) fn pki() -> Pki {
    Pki {
        trust_domain: "example.org".to_owned(),
        lists: "https://writ.example/pki/crl".to_owned(),
    }
}

/// When [`rows`] were made.
pub(crate) const MADE_AT: i64 = 1_700_000_000_000_000;

/// One active row per purpose, different ones at each call.
pub(crate) fn rows() -> Vec<KeyRow> {
    let mut rows = Vec::new();
    for purpose in Purpose::ALL {
        add(&mut rows, purpose, KeyState::Active);
    }
    rows
}

/// Appends another row.
pub(crate) fn add(rows: &mut Vec<KeyRow>, purpose: Purpose, state: KeyState) -> KeyId {
    let maker = Maker {
        kek: &kek(),
        pki: &pki(),
        entropy: &SystemEntropy,
    };
    let row = maker.make(purpose, state, MADE_AT, rows).unwrap();
    let id = row.id.clone();
    rows.push(row);
    id
}

/// The oldest row of a purpose.
pub(crate) fn of(rows: &mut [KeyRow], purpose: Purpose) -> &mut KeyRow {
    rows.iter_mut().find(|row| row.purpose == purpose).unwrap()
}
