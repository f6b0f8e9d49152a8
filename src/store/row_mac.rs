//! What a store asks of whoever keeps the row key. A store computes and checks a code over every row
//! that decides something, so that a row written past the server is found when it is read; the key
//! itself it never sees.

use writ_keys::Keyring;

/// Authenticates rows. Two lists of parts have the same code only if they are the same list.
pub trait RowMac: Send + Sync {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Whether `mac` is the code of these parts, compared in constant time.
    fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool;
}

impl RowMac for Keyring {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        Self::mac(self, parts)
    }

    fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.verify_mac(parts, mac)
    }
}

impl RowMac for crate::mint::rings::SharedRing {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.load().mac(parts)
    }

    fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.0.load().verify_mac(parts, mac)
    }
}
