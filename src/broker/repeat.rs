//! Repeat: an order that comes again under the key that it came with before is answered as it was, and not
//! carried out again. That holds across crashes and replicas, because the change that carries an order out records it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::broker::revoke::Order;
use crate::broker::{Broker, unavailable};
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::answered::{Answer, Repeat};
use crate::ledger::change::Write;

/// The keys of orders that are being carried out by this process.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashSet<Digest>>);

/// An order's turn: as long as it is held, nobody else has it under the same key.
pub(in crate::broker) struct Turn<'a> {
    /// What the order came to, if it was carried out before.
    pub(in crate::broker) given: Option<Answer>,
    _taken: Option<Taken<'a>>,
}

struct Taken<'a> {
    turns: &'a Turns,
    key: Digest,
}

impl Broker {
    /// Begins with an order, or finds what it came to.
    ///
    /// # Errors
    /// `idempotency_key_reused`: the key came with another order. `conflict`: the same order is under way.
    pub(in crate::broker) async fn begin(&self, order: &Order) -> Result<Turn<'_>, Error> {
        let Some(repeat) = order.repeat else {
            return Ok(Turn {
                given: None,
                _taken: None,
            });
        };
        let taken = self.turns.take(repeat.key).ok_or_else(|| {
            let text = "an order with this key is being carried out: ask again";
            Error::new(Code::Conflict, text)
                .with_field(KEY)
                .with_retry_after(SOON)
        })?;
        Ok(Turn {
            given: self.came_to(repeat).await?,
            _taken: Some(taken),
        })
    }

    /// What was carried out under a key before, if something was.
    ///
    /// # Errors
    /// `idempotency_key_reused`: something else was.
    pub(in crate::broker) async fn came_to(&self, repeat: Repeat) -> Result<Option<Answer>, Error> {
        let known = self.store.answered(self.realm, repeat.key).await;
        let known = known.map_err(|down| unavailable(&down))?;
        let known = known.filter(|known| known.until > self.clock.now());
        if known
            .as_ref()
            .is_some_and(|known| known.request != repeat.request)
        {
            let text = "the key came with another order before: take a new key";
            return Err(Error::new(Code::IdempotencyKeyReused, text).with_field(KEY));
        }
        Ok(known.and_then(|known| known.answer))
    }
}

impl Order {
    /// The record of what it came to, where it has a key.
    pub(in crate::broker) fn note(&self, answer: Answer, now: Timestamp) -> Option<Write> {
        let repeat = self.repeat?;
        Some(Write::Answered(repeat.answered(answer, now)))
    }
}

impl Turns {
    fn take(&self, key: Digest) -> Option<Taken<'_>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only where the turn is had: dropped, it would give back somebody else's.
        all.insert(key).then(|| Taken { turns: self, key })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let all = &self.turns.0;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.key);
    }
}

/// What a refusal names.
const KEY: &str = "Idempotency-Key";

const SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_its_turn_alone_and_gives_it_back_however_it_ends() {
        let turns = Turns::default();
        let (one, other) = (Digest::of(&[b"one"]), Digest::of(&[b"other"]));
        let held = turns.take(one);
        assert!(held.is_some() && turns.take(one).is_none());
        assert!(turns.take(other).is_some());
        drop(held);
        assert!(turns.take(one).is_some());
    }
}
