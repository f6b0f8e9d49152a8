//! Ids of everything that has a row. Each is a version 7 UUID (RFC 9562 §5.7): time-ordered, because the
//! order of primary keys decides how fast rows are written. In text an id carries its type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{Builder, Uuid};

use crate::domain::time::Timestamp;
use crate::seams::Entropy;

/// The tenant. It leads every key; one realm exists until more are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Realm(u16);

impl Realm {
    pub const DEFAULT: Self = Self(1);

    pub const fn number(self) -> u16 {
        self.0
    }

    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }
}

/// The text is not an id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: expected `{prefix}` and 32 hexadecimal digits")]
pub struct BadId {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// An id of this moment.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy))
            }

            /// When it was made, to the millisecond.
            pub fn made_at(&self) -> Timestamp {
                made_at(&self.0)
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text, $prefix)
                    .map(Self)
                    .ok_or(BadId { kind: stringify!($name), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One task: what may be done, and why.
    TaskId,
    "task_"
);
id!(
    /// One instance at work in one task, under one identity.
    LineageId,
    "lin_"
);
id!(
    /// One key, or none, at work in a lineage.
    SessionId,
    "ses_"
);
id!(
    /// One credential that was handed out; the `jti` of a token.
    CredentialId,
    "cred_"
);
id!(
    /// One use of an action, reserved: what a workload calls its permit.
    ReservationId,
    "permit_"
);
id!(
    /// One atomic change of the ledger.
    ChangeId,
    "chg_"
);

fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// RFC 9562 §5.7: the first 48 bits are milliseconds.
fn made_at(id: &Uuid) -> Timestamp {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
    Timestamp::from_micros(millis.saturating_mul(1_000))
}

fn parse_hex(text: &str, prefix: &str) -> Option<Uuid> {
    let hex = text.strip_prefix(prefix)?;
    let canonical = hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| Uuid::try_parse(hex).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;

    impl Entropy for Ones {
        fn fill(&self, out: &mut [u8]) {
            out.fill(1);
        }
    }

    #[test]
    fn an_id_survives_its_text_and_refuses_another_types() {
        let id = TaskId::new(Timestamp::from_micros(1_700_000_000_000_000), &Ones);
        assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
        id.to_string().parse::<LineageId>().unwrap_err();
    }

    #[test]
    fn one_id_has_one_spelling() {
        let text = TaskId::new(Timestamp::EPOCH, &Ones).to_string();
        text.to_uppercase().parse::<TaskId>().unwrap_err();
        format!("{text} ").parse::<TaskId>().unwrap_err();
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let early = TaskId::new(Timestamp::from_micros(1_000), &Ones);
        let late = TaskId::new(Timestamp::from_micros(2_000), &Ones);
        assert!(early < late);
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        let at = Timestamp::from_micros(1_700_000_000_123_456);
        let made = TaskId::new(at, &Ones).made_at();
        assert_eq!(made, Timestamp::from_micros(1_700_000_000_123_000));
    }
}
