//! HMAC-SHA256: rows that the database must not change unnoticed, renewal handles, and cursors.
//!
//! A made value carries no key id, so checking tries every key that was not withdrawn.

use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::error::CustodyError;
use crate::family::{Family, check_public, malformed};
use crate::keyring::Keyring;
use crate::row::{KeyRow, MAC_KEY_LEN};

/// Bytes of a MAC.
const MAC_LEN: usize = 32;

/// A key that authenticates.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

impl Keyring {
    /// Authenticates a row's parts. Each part counts with its length, so that nothing can be moved from
    /// one to its neighbour.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        self.0.row_mac.active.key.mac(parts)
    }

    /// Whether `mac` was made by [`Keyring::mac`] over the same parts, by any key not withdrawn.
    pub fn verify_mac(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        made_by_any(&self.0.row_mac, parts, mac)
    }

    /// The renewal handle of a session: derived, so that a lost answer can be asked for again.
    pub fn handle_mac(&self, session: &[u8]) -> [u8; MAC_LEN] {
        self.0.handle.active.key.mac(&[session])
    }

    /// Whether `mac` is the handle of `session`, made by any key not withdrawn.
    pub fn verify_handle(&self, session: &[u8], mac: &[u8]) -> bool {
        made_by_any(&self.0.handle, &[session], mac)
    }

    /// Authenticates the place where a list goes on, with everything that it belongs to.
    pub fn cursor_mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        self.0.cursor.active.key.mac(parts)
    }

    /// Whether `mac` was made by [`Keyring::cursor_mac`] over the same parts, by any key not withdrawn.
    pub fn verify_cursor(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        made_by_any(&self.0.cursor, parts, mac)
    }
}

pub(crate) fn parse_mac_key(row: &KeyRow, private: &[u8]) -> Result<MacKey, CustodyError> {
    check_public(row, None)?;
    if private.len() != MAC_KEY_LEN {
        return Err(malformed(row));
    }
    Ok(MacKey(hmac::Key::new(hmac::HMAC_SHA256, private)))
}

/// Compares in constant time; which key matched may show, and is no secret.
fn made_by_any(keys: &Family<MacKey>, parts: &[&[u8]], mac: &[u8]) -> bool {
    keys.all().any(|held| held.key.mac(parts).ct_eq(mac).into())
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{add, kek, of, rows};
    use crate::keyring::Keyring;
    use crate::purpose::{KeyState, Purpose};

    #[test]
    fn nothing_can_be_moved_between_parts() {
        let keyring = Keyring::open(&kek(), &rows()).unwrap();
        let mac = keyring.mac(&[b"task", b"open"]);
        assert!(keyring.verify_mac(&[b"task", b"open"], &mac));
        let others: [&[&[u8]]; 6] = [
            &[b"taskopen"],
            &[b"tas", b"kopen"],
            &[b"open", b"task"],
            &[b"task", b"open", b""],
            &[b"task"],
            &[],
        ];
        for parts in others {
            assert!(!keyring.verify_mac(parts, &mac), "{parts:?}");
        }
        assert!(!keyring.verify_mac(&[b"task", b"open"], &mac[..31]));
        assert!(!keyring.verify_mac(&[b"task", b"open"], &[]));
    }

    #[test]
    fn a_handle_is_stable_and_of_its_session_only() {
        let keyring = Keyring::open(&kek(), &rows()).unwrap();
        let handle = keyring.handle_mac(b"session-1");
        assert_eq!(handle, keyring.handle_mac(b"session-1"));
        assert!(keyring.verify_handle(b"session-1", &handle));
        assert!(!keyring.verify_handle(b"session-2", &handle));
        assert!(
            !keyring.verify_mac(&[b"session-1"], &handle),
            "a handle is no row's MAC"
        );
    }

    #[test]
    fn rotation_keeps_what_was_made_and_withdrawal_ends_it() {
        type Make = fn(&Keyring) -> [u8; 32];
        type Verify = fn(&Keyring, &[u8]) -> bool;
        let cases: [(Purpose, Make, Verify); 3] = [
            (
                Purpose::RowMac,
                |ring| ring.mac(&[b"one"]),
                |ring, mac| ring.verify_mac(&[b"one"], mac),
            ),
            (
                Purpose::Handle,
                |ring| ring.handle_mac(b"one"),
                |ring, mac| ring.verify_handle(b"one", mac),
            ),
            (
                Purpose::Cursor,
                |ring| ring.cursor_mac(&[b"one"]),
                |ring, mac| ring.verify_cursor(&[b"one"], mac),
            ),
        ];
        for (purpose, make, verify) in cases {
            let mut rows = rows();
            let made = make(&Keyring::open(&kek(), &rows).unwrap());
            of(&mut rows, purpose).state = KeyState::Retired;
            add(&mut rows, purpose, KeyState::Active);
            assert!(verify(&Keyring::open(&kek(), &rows).unwrap(), &made));
            of(&mut rows, purpose).state = KeyState::Withdrawn;
            assert!(!verify(&Keyring::open(&kek(), &rows).unwrap(), &made));
        }
    }

    #[test]
    fn a_key_that_another_replica_activated_already_is_believed() {
        let mut rows = rows();
        add(&mut rows, Purpose::RowMac, KeyState::Prepared);
        let mut ahead = rows.clone();
        of(&mut ahead, Purpose::RowMac).state = KeyState::Retired;
        for row in &mut ahead {
            if row.state == KeyState::Prepared {
                row.state = KeyState::Active;
            }
        }
        let mac = Keyring::open(&kek(), &ahead).unwrap().mac(&[b"row"]);
        assert!(
            Keyring::open(&kek(), &rows)
                .unwrap()
                .verify_mac(&[b"row"], &mac)
        );
    }
}
