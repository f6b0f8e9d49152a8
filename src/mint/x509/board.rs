//! What is published of revoked certificates, and how far the publishing has come: a certificate that was revoked
//! here is taken by whoever reads the lists until they say so.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::revocations::{Lists, ROOM};
use crate::domain::time::Timestamp;
use crate::domain::x509::Serial;

/// The lists as they were last made; nothing is published before the first time.
#[derive(Default)]
pub struct Board(RwLock<Hung>);

#[derive(Default)]
struct Hung {
    lists: Option<Arc<Lists>>,
    /// When the last turn began that came to its end, or the first one that was tried.
    turned: Option<Timestamp>,
    hindered: Option<Hindrance>,
}

/// Where a revoked certificate stands with those who read the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Listed,
    /// Not yet: a turn is due within a second.
    OnItsWay,
    /// No turn has come to its end for longer than that.
    Stuck(Hindrance),
}

/// Why the lists stay as old as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// This replica is behind the log, and vouches for nothing.
    Behind,
    Store,
    /// An authority's key cannot sign.
    Signing,
    /// Nobody has tried for a while.
    Silent,
}

impl Board {
    pub fn lists(&self) -> Option<Arc<Lists>> {
        self.read(|hung| hung.lists.clone())
    }

    /// Whether the lists can take in another certificate.
    pub fn has_room(&self) -> bool {
        self.read(|hung| hung.lists.as_ref().is_none_or(|lists| lists.len() < ROOM))
    }

    pub fn publish(&self, lists: Lists) {
        let mut hung = self.0.write().unwrap_or_else(PoisonError::into_inner);
        hung.lists = Some(Arc::new(lists));
    }

    /// Notes how a turn that began at `now` has ended.
    pub fn turned(&self, now: Timestamp, hindered: Option<Hindrance>) {
        let mut hung = self.0.write().unwrap_or_else(PoisonError::into_inner);
        hung.hindered = hindered;
        if hindered.is_none() || hung.turned.is_none() {
            hung.turned = Some(now);
        }
    }

    /// Where a certificate that was revoked stands at `now`.
    pub fn told(&self, serial: &Serial, now: Timestamp) -> Told {
        self.read(|hung| {
            if hung.lists.as_ref().is_some_and(|lists| lists.has(serial)) {
                return Told::Listed;
            }
            let waits = hung
                .turned
                .map_or(Duration::ZERO, |turned| now.since(turned));
            if waits <= BAR {
                return Told::OnItsWay;
            }
            Told::Stuck(hung.hindered.unwrap_or(Hindrance::Silent))
        })
    }

    fn read<T>(&self, of: impl FnOnce(&Hung) -> T) -> T {
        of(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hindrance {
    /// What an operator is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "this replica is behind the log: see /readyz",
            Self::Store => "the store cannot be read",
            Self::Signing => "an authority's key cannot sign the list",
            Self::Silent => "no list has been made for a while: see the broker's log",
        }
    }
}

/// The lists are made four times a second. What is not on them this long after a turn began is late.
const BAR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::SystemEntropy;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_late_is_told_with_its_reason() {
        let (board, serial) = (Board::default(), Serial::new(&SystemEntropy));
        // Nothing was tried yet: the process has just begun.
        assert_eq!(board.told(&serial, at(9)), Told::OnItsWay);
        board.turned(at(10), None);
        assert_eq!(board.told(&serial, at(12)), Told::OnItsWay);
        assert_eq!(board.told(&serial, at(13)), Told::Stuck(Hindrance::Silent));
        board.turned(at(13), Some(Hindrance::Store));
        assert_eq!(board.told(&serial, at(13)), Told::Stuck(Hindrance::Store));
        board.turned(at(14), None);
        assert_eq!(board.told(&serial, at(14)), Told::OnItsWay);
    }

    #[test]
    fn lists_that_cannot_be_made_from_the_start_are_late_in_their_time() {
        let (board, serial) = (Board::default(), Serial::new(&SystemEntropy));
        for second in 10..=12 {
            board.turned(at(second), Some(Hindrance::Behind));
            assert_eq!(board.told(&serial, at(second)), Told::OnItsWay);
        }
        board.turned(at(13), Some(Hindrance::Behind));
        assert_eq!(board.told(&serial, at(13)), Told::Stuck(Hindrance::Behind));
    }
}
