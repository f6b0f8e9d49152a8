//! When to renew, and when to ask again. Pure: the time and the dice are given.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::seams::Entropy;

/// A number from 0 to 1, so that jobs which start together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dice(f64);

/// The wait between tries that got no answer: twice as long each time, up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Dice {
    pub(super) fn roll(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        Self(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
    }
}

/// When a token is renewed: at the time the broker named, or up to a fifth of it sooner.
pub(super) fn due(issued: Timestamp, renew_after: Duration, dice: Dice) -> Timestamp {
    issued.plus(renew_after.mul_f64(1.0 - dice.0 / 5.0))
}

impl Backoff {
    /// How long to wait now: at least what the broker asked for.
    pub(super) fn next(&mut self, retry_after: Option<Duration>, dice: Dice) -> Duration {
        let whole = FIRST
            .saturating_mul(1 << self.tries.min(MOST_DOUBLINGS))
            .min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let own = whole.mul_f64(0.5 + dice.0 / 2.0);
        let asked = retry_after.unwrap_or_default().min(LONGEST_ASKED);
        if asked > own {
            // Whoever was told the same time does not come back at the same instant.
            asked + FIRST.mul_f64(dice.0)
        } else {
            own
        }
    }
}

const FIRST: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u32 = 6;
const LONGEST: Duration = Duration::from_secs(30);
/// A `Retry-After` is the broker's to say, and a proxy's mistake is not followed for ever.
const LONGEST_ASKED: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Dice = Dice(0.0);
    const HIGH: Dice = Dice(1.0);

    #[test]
    fn a_token_is_renewed_no_later_than_at_half_of_its_life() {
        let issued = Timestamp::EPOCH;
        let half = Duration::from_secs(150);
        assert_eq!(due(issued, half, LOW), issued.plus(half));
        assert_eq!(due(issued, half, HIGH), issued.plus(Duration::from_mins(2)));
    }

    #[test]
    fn tries_come_less_and_less_often_but_never_stop() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next(None, HIGH).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        let mut backoff = Backoff { tries: u32::MAX };
        assert_eq!(backoff.next(None, LOW), Duration::from_secs(15));
    }

    #[test]
    fn the_broker_is_left_alone_for_as_long_as_it_asked() {
        for dice in [LOW, HIGH] {
            let wait = Backoff::default().next(Some(Duration::from_secs(20)), dice);
            assert!((20..=21).contains(&wait.as_secs()), "{wait:?}");
        }
        let wait = Backoff::default().next(Some(Duration::from_hours(9)), LOW);
        assert_eq!(wait, LONGEST_ASKED);
    }
}
