//! What a key is for, and where it stands in its life.
//!
//! One key per purpose: what is signed for one can never be taken for another. A key moves
//! prepared → active → retired, and from anywhere to withdrawn; nothing moves back.

use std::fmt;
use std::str::FromStr;

/// What a key may be used for, and thereby its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Signs access tokens: ECDSA P-256.
    AccessToken,
    /// Signs JWT-SVIDs: ECDSA P-256.
    JwtSvid,
    /// Signs intermediate authorities and says which are withdrawn: ECDSA P-256.
    CaRoot,
    /// Signs X.509-SVIDs and says which are revoked: ECDSA P-256.
    CaIntermediate,
    /// Signs checkpoints of the audit log: Ed25519.
    Checkpoint,
    /// Authenticates rows of the database: HMAC-SHA256.
    RowMac,
    /// Derives renewal handles from session ids: HMAC-SHA256.
    Handle,
    /// Wraps the data keys of sealed secrets: AES-256-GCM.
    Secret,
    /// Authenticates the places where lists go on: HMAC-SHA256.
    Cursor,
}

impl Purpose {
    /// Every purpose; a keyring needs one active key for each. A root comes before what it signs.
    pub const ALL: [Self; 9] = [
        Self::AccessToken,
        Self::JwtSvid,
        Self::CaRoot,
        Self::CaIntermediate,
        Self::Checkpoint,
        Self::RowMac,
        Self::Handle,
        Self::Secret,
        Self::Cursor,
    ];

    /// The stored name. Part of what a wrapped key is bound to: never change one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::JwtSvid => "jwt_svid",
            Self::CaRoot => "ca_root",
            Self::CaIntermediate => "ca_intermediate",
            Self::Checkpoint => "checkpoint",
            Self::RowMac => "row_mac",
            Self::Handle => "handle",
            Self::Secret => "secret",
            Self::Cursor => "cursor",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "key purpose",
                word: word.to_owned(),
            })
    }
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyState {
    /// Published, not yet used: verifiers learn it before the first signature.
    Prepared,
    /// The one that signs and seals.
    Active,
    /// Signs no more; what it signed still verifies, what it sealed still opens.
    Retired,
    /// Compromised or finished: good for nothing, at once.
    Withdrawn,
}

impl KeyState {
    /// Every state, in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Prepared, Self::Active, Self::Retired, Self::Withdrawn];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state after a move to `next`. Withdrawing again changes nothing and is allowed, so that a
    /// repeated withdrawal does not look like a failed one.
    pub fn moved_to(self, next: Self) -> Result<Self, IllegalTransition> {
        match (self, next) {
            (Self::Prepared, Self::Active)
            | (Self::Active, Self::Retired)
            | (Self::Prepared | Self::Active | Self::Retired | Self::Withdrawn, Self::Withdrawn) => {
                Ok(next)
            }
            (Self::Prepared, Self::Prepared | Self::Retired)
            | (Self::Active, Self::Prepared | Self::Active)
            | (Self::Retired | Self::Withdrawn, Self::Prepared | Self::Active | Self::Retired) => {
                Err(IllegalTransition {
                    from: self,
                    to: next,
                })
            }
        }
    }

    /// Whether what the key made is still believed. A prepared key counts: another replica may have
    /// activated it before this one read the rows again.
    pub fn is_trusted(self) -> bool {
        match self {
            Self::Prepared | Self::Active | Self::Retired => true,
            Self::Withdrawn => false,
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "key state",
                word: word.to_owned(),
            })
    }
}

/// A move that a key's life does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key cannot go from {from} to {to}")]
pub struct IllegalTransition {
    /// Where the key stands.
    pub from: KeyState,
    /// Where it was to go.
    pub to: KeyState,
}

/// A stored word that names nothing known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {what}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_moves_back() {
        use KeyState::{Active, Prepared, Retired, Withdrawn};
        let allowed: Vec<(KeyState, KeyState)> = KeyState::ALL
            .into_iter()
            .flat_map(|from| KeyState::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.moved_to(*to) == Ok(*to))
            .collect();
        assert_eq!(
            allowed,
            [
                (Prepared, Active),
                (Prepared, Withdrawn),
                (Active, Retired),
                (Active, Withdrawn),
                (Retired, Withdrawn),
                (Withdrawn, Withdrawn),
            ]
        );
        assert_eq!(
            Withdrawn.moved_to(Active),
            Err(IllegalTransition {
                from: Withdrawn,
                to: Active
            })
        );
    }

    #[test]
    fn stored_words_read_back_and_others_are_refused() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
        }
        for state in KeyState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        let refused = "Active".parse::<KeyState>().unwrap_err();
        assert_eq!(refused.to_string(), "\"Active\" is no key state");
        let refused = "signing".parse::<Purpose>().unwrap_err();
        assert_eq!(refused.to_string(), "\"signing\" is no key purpose");
    }
}
