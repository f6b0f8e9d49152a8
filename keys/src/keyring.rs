//! The opened keys of an installation, immutable: when rows change, another keyring takes its place, so
//! that no decision is made half with the old keys and half with the new.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::aead::AeadKey;
use crate::authority::Authorities;
use crate::certificate;
use crate::checkpoint::CheckpointKeys;
use crate::error::CustodyError;
use crate::family::Family;
use crate::jose;
use crate::kek::KeyEncryptionKey;
use crate::mac::{MacKey, parse_mac_key};
use crate::purpose::{KeyState, Purpose};
use crate::row::{KeyId, KeyRow};
use crate::seal::parse_secret_key;
use crate::tokens::TokenKeys;

/// Signs, verifies, authenticates and seals. Clones share the keys.
#[derive(Clone)]
pub struct Keyring(pub(crate) Arc<Opened>);

/// What a keyring holds, by purpose.
pub(crate) struct Opened {
    pub(crate) tokens: TokenKeys,
    pub(crate) svids: TokenKeys,
    pub(crate) authorities: Authorities,
    pub(crate) checkpoints: CheckpointKeys,
    pub(crate) row_mac: Family<MacKey>,
    pub(crate) handle: Family<MacKey>,
    pub(crate) secret: Family<AeadKey>,
    pub(crate) cursor: Family<MacKey>,
    listed: Vec<Listed>,
}

struct Listed {
    id: KeyId,
    purpose: Purpose,
    state: KeyState,
    created_at: i64,
    /// The bare public key, of whatever kind.
    public: Option<Vec<u8>>,
}

impl Keyring {
    /// Opens `rows`. Every purpose needs exactly one active row; a row that does not unwrap is an error
    /// naming it, so that a damaged key is found at the start and not when it is needed. Withdrawn rows
    /// are listed and not opened.
    pub fn open(kek: &KeyEncryptionKey, rows: &[KeyRow]) -> Result<Self, CustodyError> {
        jose::ensure_installed()?;
        if rows.len() > MAX_ROWS {
            return Err(CustodyError::TooManyKeys {
                count: rows.len(),
                limit: MAX_ROWS,
            });
        }
        refuse_duplicates(rows)?;
        let listed = rows
            .iter()
            .map(|row| Listed {
                id: row.id.clone(),
                purpose: row.purpose,
                state: row.state,
                created_at: row.created_at,
                public: bare_public(row),
            })
            .collect();
        Ok(Self(Arc::new(Opened {
            tokens: TokenKeys::open(kek, rows, Purpose::AccessToken)?,
            svids: TokenKeys::open(kek, rows, Purpose::JwtSvid)?,
            authorities: Authorities::open(kek, rows)?,
            checkpoints: CheckpointKeys::open(kek, rows)?,
            row_mac: Family::open(kek, rows, Purpose::RowMac, parse_mac_key)?,
            handle: Family::open(kek, rows, Purpose::Handle, parse_mac_key)?,
            secret: Family::open(kek, rows, Purpose::Secret, parse_secret_key)?,
            cursor: Family::open(kek, rows, Purpose::Cursor, parse_mac_key)?,
            listed,
        })))
    }

    /// The key that signs or seals for `purpose`.
    pub fn active_id(&self, purpose: Purpose) -> &KeyId {
        match purpose {
            Purpose::AccessToken => &self.0.tokens.verifying.active.id,
            Purpose::JwtSvid => &self.0.svids.verifying.active.id,
            Purpose::CaRoot => &self.0.authorities.roots.active.id,
            Purpose::CaIntermediate => &self.0.authorities.intermediates.active.id,
            Purpose::Checkpoint => &self.0.checkpoints.verifying.active.id,
            Purpose::RowMac => &self.0.row_mac.active.id,
            Purpose::Handle => &self.0.handle.active.id,
            Purpose::Secret => &self.0.secret.active.id,
            Purpose::Cursor => &self.0.cursor.active.id,
        }
    }

    /// Every key with its purpose, state and time of making (UTC microseconds), withdrawn ones too.
    pub fn describe(&self) -> impl Iterator<Item = (&KeyId, Purpose, KeyState, i64)> {
        self.0
            .listed
            .iter()
            .map(|key| (&key.id, key.purpose, key.state, key.created_at))
    }

    /// Whether a public key, as its bit string in a certificate, is one that the broker has or had:
    /// nobody else is certified for it.
    pub fn owns(&self, public: &[u8]) -> bool {
        self.0
            .listed
            .iter()
            .any(|key| key.public.as_deref() == Some(public))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.describe()
                    .map(|(id, purpose, state, _)| format!("{purpose} {state} {id}")),
            )
            .finish()
    }
}

fn bare_public(row: &KeyRow) -> Option<Vec<u8>> {
    let public = row.public.as_deref()?;
    match row.purpose {
        Purpose::CaRoot | Purpose::CaIntermediate => certificate::bare_key(public),
        Purpose::AccessToken
        | Purpose::JwtSvid
        | Purpose::Checkpoint
        | Purpose::RowMac
        | Purpose::Handle
        | Purpose::Secret
        | Purpose::Cursor => Some(public.to_vec()),
    }
}

fn refuse_duplicates(rows: &[KeyRow]) -> Result<(), CustodyError> {
    let mut seen = BTreeSet::new();
    match rows.iter().find(|row| !seen.insert(&row.id)) {
        Some(row) => Err(CustodyError::DuplicateId { id: row.id.clone() }),
        None => Ok(()),
    }
}

// A year of daily rotation of every purpose fits.
const MAX_ROWS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TestEntropy, add, kek, of, rows};

    fn refusal(rows: &[KeyRow]) -> CustodyError {
        Keyring::open(&kek(), rows).unwrap_err()
    }

    #[test]
    fn every_purpose_needs_exactly_one_active_key() {
        for purpose in Purpose::ALL {
            let mut missing = rows();
            missing.retain(|row| row.purpose != purpose);
            assert_eq!(refusal(&missing).code(), "key_none_active");

            let mut retired = rows();
            of(&mut retired, purpose).state = KeyState::Retired;
            assert_eq!(refusal(&retired).code(), "key_none_active");

            let mut several = rows();
            add(&mut several, purpose, KeyState::Active);
            let refused = refusal(&several);
            assert_eq!(refused.code(), "key_several_active");
            assert!(refused.to_string().contains(purpose.as_str()));
        }
    }

    #[test]
    fn a_damaged_row_is_named_unless_it_is_withdrawn() {
        for state in KeyState::ALL {
            let mut rows = rows();
            let id = add(&mut rows, Purpose::Handle, KeyState::Prepared);
            let damaged = rows.iter_mut().find(|row| row.id == id).unwrap();
            damaged.state = state;
            damaged.wrapped.truncate(20);
            match state {
                KeyState::Withdrawn => {
                    let keyring = Keyring::open(&kek(), &rows).unwrap();
                    assert!(keyring.describe().any(|(listed, _, _, _)| *listed == id));
                }
                KeyState::Prepared | KeyState::Active | KeyState::Retired => {
                    let refused = refusal(&rows);
                    assert_eq!(refused.code(), "key_does_not_open");
                    assert!(refused.to_string().contains(id.as_str()));
                }
            }
        }
    }

    #[test]
    fn a_public_column_that_was_exchanged_is_found() {
        for purpose in Purpose::ALL {
            let mut rows = rows();
            let mut others = rows.clone();
            add(&mut others, purpose, KeyState::Active);
            let exchanged = of(&mut rows, purpose);
            exchanged.public = match purpose {
                Purpose::AccessToken
                | Purpose::JwtSvid
                | Purpose::CaRoot
                | Purpose::CaIntermediate
                | Purpose::Checkpoint => others.pop().unwrap().public,
                Purpose::RowMac | Purpose::Handle | Purpose::Secret | Purpose::Cursor => {
                    Some(vec![4; 65])
                }
            };
            assert_eq!(refusal(&rows).code(), "key_public_differs");
        }
    }

    #[test]
    fn two_rows_with_one_id_and_too_many_rows_are_refused() {
        let mut rows = rows();
        rows.extend_from_within(..1);
        assert_eq!(refusal(&rows).code(), "key_duplicate");
        let many = vec![rows[0].clone(); MAX_ROWS + 1];
        assert_eq!(refusal(&many).code(), "key_too_many");
    }

    #[test]
    fn the_active_key_and_the_list_are_told_and_debug_shows_nothing_else() {
        let rows = rows();
        let keyring = Keyring::open(&kek(), &rows).unwrap();
        for row in &rows {
            assert_eq!(keyring.active_id(row.purpose), &row.id);
        }
        assert_eq!(keyring.describe().count(), rows.len());
        let (id, purpose) = (&rows[0].id, rows[0].purpose);
        assert!(format!("{keyring:?}").starts_with(&format!("[\"{purpose} active {id}\"")));
    }

    #[test]
    fn debug_of_every_type_shows_no_private_bytes() {
        let (kek, rows) = (kek(), rows());
        let keyring = Keyring::open(&kek, &rows).unwrap();
        let sealed = keyring
            .seal(b"place", b"plain canary", &TestEntropy::seeded(5))
            .unwrap();
        let shown = format!(
            "{kek:?} {:?} {rows:?} {keyring:?} {sealed:?}",
            kek.check_value()
        );
        let mut private = vec![kek.source().to_vec(), b"plain canary".to_vec()];
        private.extend(rows.iter().map(|row| row.open(&kek).unwrap().to_vec()));
        for bytes in private {
            // Any eight bytes of a secret, in each way in which bytes are commonly shown.
            for part in bytes.windows(8) {
                let decimal = format!("{part:?}");
                assert!(!shown.contains(decimal.trim_matches(['[', ']'])));
                assert!(!shown.contains(&hex::encode(part)));
                assert!(!shown.contains(&String::from_utf8_lossy(part).into_owned()));
            }
        }
    }
}
