//! The opened keys of one purpose: exactly one active, the others still believed.
//!
//! Withdrawn rows are not opened at all, so their private bytes never reach memory again.

use crate::error::CustodyError;
use crate::kek::KeyEncryptionKey;
use crate::purpose::{KeyState, Purpose};
use crate::row::{KeyId, KeyRow};

/// One opened key.
pub(crate) struct Held<K> {
    pub(crate) id: KeyId,
    pub(crate) key: K,
}

/// All opened keys of a purpose.
pub(crate) struct Family<K> {
    pub(crate) active: Held<K>,
    others: Vec<Held<K>>,
}

/// Makes a key from its row and its private bytes.
pub(crate) type Parse<K> = fn(&KeyRow, &[u8]) -> Result<K, CustodyError>;

impl<K> Family<K> {
    /// Opens the rows of `purpose`. Refuses none or several active ones, and any row that does not open.
    pub(crate) fn open(
        kek: &KeyEncryptionKey,
        rows: &[KeyRow],
        purpose: Purpose,
        parse: Parse<K>,
    ) -> Result<Self, CustodyError> {
        let mut active = None;
        let mut others = Vec::new();
        for row in rows
            .iter()
            .filter(|row| row.purpose == purpose && row.state.is_trusted())
        {
            let held = Held {
                id: row.id.clone(),
                key: parse(row, &row.open(kek)?)?,
            };
            if row.state != KeyState::Active {
                others.push(held);
            } else if active.replace(held).is_some() {
                return Err(CustodyError::SeveralActiveKeys { purpose });
            }
        }
        let active = active.ok_or(CustodyError::NoActiveKey { purpose })?;
        Ok(Self { active, others })
    }

    /// Keeps the active key and those of the others that `keep` names.
    pub(crate) fn retain_others(&mut self, keep: impl Fn(&K) -> bool) {
        self.others.retain(|held| keep(&held.key));
    }

    /// The active key first, then the others.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Held<K>> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// The key of this name, unless it is unknown or withdrawn.
    pub(crate) fn find(&self, id: &str) -> Option<&K> {
        self.all()
            .find(|held| held.id.as_str() == id)
            .map(|held| &held.key)
    }
}

impl<S, V> Family<(S, V)> {
    /// Keeps the active private half and every public one; the other private halves are dropped.
    pub(crate) fn split(self) -> (S, Family<V>) {
        let public = |held: Held<(S, V)>| Held {
            id: held.id,
            key: held.key.1,
        };
        let (signing, verifying) = self.active.key;
        let active = Held {
            id: self.active.id,
            key: verifying,
        };
        (
            signing,
            Family {
                active,
                others: self.others.into_iter().map(public).collect(),
            },
        )
    }
}

/// Refuses a row whose public column is not `derived`: what is published must be what signs.
pub(crate) fn check_public(row: &KeyRow, derived: Option<&[u8]>) -> Result<(), CustodyError> {
    if row.public.as_deref() == derived {
        Ok(())
    } else {
        Err(CustodyError::RowPublicDiffers { id: row.id.clone() })
    }
}

/// Private bytes that are no key of their purpose.
pub(crate) fn malformed(row: &KeyRow) -> CustodyError {
    CustodyError::RowMalformed {
        id: row.id.clone(),
        purpose: row.purpose,
    }
}
