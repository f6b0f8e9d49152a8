//! Cursors: where a list goes on. What a caller brings back counts only if it was made here, for the
//! same list, the same filter and the same operator; so nobody can point a query at a place of his own.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use writ_keys::Keyring;

use crate::domain::ids::Realm;

/// The text that says where a list goes on. Nothing is known of it until its place opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

/// The text has not the form of a cursor, or was not made for this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of this list: begin again without one")]
pub struct BadCursor;

/// What a cursor belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub realm: Realm,
    pub list: &'a str,
    /// What the list is narrowed to, in full.
    pub filter: &'a str,
    /// Who asks.
    pub by: &'a str,
}

impl Place<'_> {
    /// The cursor behind the item with this key.
    pub fn seal(&self, keys: &Keyring, last: &str) -> Cursor {
        let mut bytes = last.as_bytes().to_vec();
        bytes.extend_from_slice(&self.mac(keys, last));
        Cursor(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The key of the last item that was seen.
    pub fn open(&self, keys: &Keyring, cursor: &Cursor) -> Result<String, BadCursor> {
        let mut bytes = URL_SAFE_NO_PAD.decode(&cursor.0).map_err(|_| BadCursor)?;
        let at = bytes.len().checked_sub(MAC_LEN).ok_or(BadCursor)?;
        let mac = bytes.split_off(at);
        let last = String::from_utf8(bytes).map_err(|_| BadCursor)?;
        self.is_mac(keys, &last, &mac)
            .then_some(last)
            .ok_or(BadCursor)
    }

    fn mac(&self, keys: &Keyring, last: &str) -> [u8; MAC_LEN] {
        keys.cursor_mac(&self.parts(&self.realm.number().to_be_bytes(), last))
    }

    fn is_mac(&self, keys: &Keyring, last: &str, mac: &[u8]) -> bool {
        keys.verify_cursor(&self.parts(&self.realm.number().to_be_bytes(), last), mac)
    }

    fn parts<'a>(&'a self, realm: &'a [u8], last: &'a str) -> [&'a [u8]; 5] {
        let Self {
            list, filter, by, ..
        } = self;
        [
            realm,
            list.as_bytes(),
            filter.as_bytes(),
            by.as_bytes(),
            last.as_bytes(),
        ]
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Cursor {
    type Error = BadCursor;

    fn try_from(text: String) -> Result<Self, BadCursor> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        fits.then_some(Self(text)).ok_or(BadCursor)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const MAC_LEN: usize = 32;

/// Longer than that of the longest key of any list.
const LONGEST: usize = 1_024;

#[cfg(test)]
mod tests {
    use writ_keys::{KeyEncryptionKey, Maker, Pki, SystemEntropy};

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::mint::rings::first_keys;

    fn keyring() -> Keyring {
        let kek = &KeyEncryptionKey::generate(&SystemEntropy);
        let pki = &Pki {
            trust_domain: "test.example".to_owned(),
            lists: "http://test.example/pki/crl".to_owned(),
        };
        let entropy = &SystemEntropy;
        let maker = Maker { kek, pki, entropy };
        let now = Timestamp::from_micros(1_772_344_800_000_000);
        Keyring::open(kek, &first_keys(&[], maker, now).unwrap()).unwrap()
    }

    const PLACE: Place<'_> = Place {
        realm: Realm::DEFAULT,
        list: "tasks",
        filter: "profile='deploy'",
        by: "uid:1000 (alice)",
    };

    #[test]
    fn a64_a_cursor_is_good_for_its_list_filter_realm_and_operator_alone() {
        let keys = keyring();
        let cursor = PLACE.seal(&keys, "task_1");
        assert_eq!(PLACE.open(&keys, &cursor).as_deref(), Ok("task_1"));
        let others = [
            Place {
                realm: Realm::from_number(2),
                ..PLACE
            },
            Place {
                list: "secrets",
                ..PLACE
            },
            Place {
                filter: "",
                ..PLACE
            },
            Place {
                by: "uid:1001 (bob)",
                ..PLACE
            },
            // Nothing can be moved from one part to its neighbour.
            Place {
                list: "tasksprofile='deploy'",
                filter: "",
                ..PLACE
            },
        ];
        for other in others {
            assert_eq!(other.open(&keys, &cursor), Err(BadCursor), "{other:?}");
        }
    }

    #[test]
    fn a_key_of_another_purpose_makes_none() {
        let keys = keyring();
        let last = "task_1";
        for mac in [
            keys.mac(&[last.as_bytes()]),
            keys.handle_mac(last.as_bytes()),
        ] {
            let bytes = [last.as_bytes(), &mac].concat();
            let forged: Cursor = URL_SAFE_NO_PAD.encode(bytes).parse().unwrap();
            assert_eq!(PLACE.open(&keys, &forged), Err(BadCursor));
        }
    }

    #[test]
    fn a_text_of_another_form_is_none() {
        let long = "x".repeat(LONGEST + 1);
        for bad in ["", "a b", "a=", "a/b", "a+b", "\u{e9}", "a\n", &long] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad:?}");
        }
    }
}
