//! All arithmetic of lifetimes. A credential never outlives the profile's ceiling, its parent, the
//! task's deadline or the key that signs it; this is the one place that computes the minimum.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// How far a foreign clock may be ahead of or behind ours. It is added where somebody else's time
/// is judged (`exp`, `nbf`, `iat` of evidence and proofs), never to what we issue.
pub const SKEW: Duration = Duration::from_secs(5);

/// How long before it was made a certificate is valid, for verifiers whose clocks are behind ours: they
/// allow for no skew of their own.
pub const BACKDATED: Duration = Duration::from_secs(10);

/// From when until when something is valid; `until` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    from: Timestamp,
    until: Timestamp,
}

impl Validity {
    /// Valid from `now` for at most `ttl`, and never past any of `ends`. `None` when nothing of it
    /// is left: a credential that is born dead is not issued.
    ///
    /// Both ends are whole seconds, so that a token and its row cannot disagree.
    pub fn clamp(now: Timestamp, ttl: Duration, ends: &[Timestamp]) -> Option<Self> {
        let wanted = now.plus(ttl);
        let until = ends
            .iter()
            .copied()
            .fold(wanted, Timestamp::min)
            .whole_seconds();
        let from = now.whole_seconds();
        (until > now).then_some(Self { from, until })
    }

    pub const fn from(self) -> Timestamp {
        self.from
    }

    pub const fn until(self) -> Timestamp {
        self.until
    }

    /// What is left at `now`, in whole seconds: the `expires_in` of RFC 6749 §5.1.
    pub fn seconds_left(self, now: Timestamp) -> u64 {
        self.until.since(now.whole_seconds()).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a38_nothing_outlives_any_of_its_ends(
            now in 0..4_000_000_000_000_000_i64,
            ttl in 0..100_000_u64,
            ends in proptest::collection::vec(0..4_000_000_000_000_000_i64, 0..5),
        ) {
            let now = Timestamp::from_micros(now);
            let ends: Vec<_> = ends.into_iter().map(Timestamp::from_micros).collect();
            if let Some(validity) = Validity::clamp(now, Duration::from_secs(ttl), &ends) {
                prop_assert!(validity.until() > now);
                prop_assert!(validity.until() <= now.plus(Duration::from_secs(ttl)));
                for end in ends {
                    prop_assert!(validity.until() <= end);
                }
            }
        }
    }

    #[test]
    fn a_credential_that_would_be_born_dead_does_not_exist() {
        let now = Timestamp::from_micros(10_000_000);
        assert_eq!(Validity::clamp(now, Duration::from_mins(1), &[now]), None);
        assert_eq!(Validity::clamp(now, Duration::ZERO, &[]), None);
    }
}
