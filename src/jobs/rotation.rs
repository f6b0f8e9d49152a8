//! Rotation: the keys whose public halves are published are replaced before they grow old. A new key
//! is published before it signs, and the old one is published until nothing that it signed can live.

use std::sync::Arc;
use std::time::Duration;

use writ_keys::{KeyRow, KeyState, Purpose};

use crate::broker::Broker;
use crate::broker::administer::Haste;
use crate::broker::revoke::Order;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// Rotates keys after an age.
pub struct Rotation {
    broker: Arc<Broker>,
    after: Duration,
}

/// What is due for the keys of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due<'a> {
    Prepare,
    Activate(&'a KeyRow),
    Withdraw(&'a KeyRow),
}

impl Rotation {
    pub const fn new(broker: Arc<Broker>, after: Duration) -> Self {
        Self { broker, after }
    }

    /// Takes the next step of each purpose, if one is due, and says how many were.
    pub async fn run(&self, now: Timestamp) -> Result<usize, Error> {
        let rows = self.broker.keys().await?;
        let mut steps = 0;
        for (purpose, after) in self.published() {
            let of_purpose: Vec<_> = rows.iter().filter(|row| row.purpose == purpose).collect();
            if let Some(due) = self.due(&of_purpose, after, now) {
                self.step(purpose, due).await?;
                steps += 1;
            }
        }
        Ok(steps)
    }

    /// The purposes whose public halves are published, and the age of their keys. A root grows older:
    /// those who keep it in a file take another one by hand.
    fn published(&self) -> [(Purpose, Duration); 4] {
        [
            (Purpose::AccessToken, self.after),
            (Purpose::JwtSvid, self.after),
            (Purpose::CaRoot, self.after.max(ROOT_AFTER)),
            (Purpose::CaIntermediate, self.after),
        ]
    }

    fn due<'a>(&self, rows: &[&'a KeyRow], after: Duration, now: Timestamp) -> Option<Due<'a>> {
        let since = |row: &KeyRow| now.since(Timestamp::from_micros(row.changed_at));
        let of = |state| rows.iter().copied().filter(move |row| row.state == state);
        let ring = self.broker.minter.keys.load();
        let done = |row: &&KeyRow| since(row) > OUTLIVED && !ring.stands_on(&row.id);
        if let Some(done) = of(KeyState::Retired).find(done) {
            return Some(Due::Withdraw(done));
        }
        of(KeyState::Active).find(|row| since(row) >= after)?;
        match of(KeyState::Prepared).next() {
            None => Some(Due::Prepare),
            Some(new) => {
                let heard_of = self.broker.unheard_of_for(new) == Duration::ZERO;
                heard_of.then_some(Due::Activate(new))
            }
        }
    }

    async fn step(&self, purpose: Purpose, due: Due<'_>) -> Result<(), Error> {
        let order = Order {
            by: "writ:rotation".to_owned(),
            reason: None,
            repeat: None,
        };
        let broker = &self.broker;
        let row = match due {
            Due::Prepare => broker.prepare_key(purpose, &order).await?,
            Due::Activate(row) => {
                let id = row.id.as_str();
                broker
                    .move_key(id, KeyState::Active, Haste::Patient, &order)
                    .await?
            }
            Due::Withdraw(row) => {
                let id = row.id.as_str();
                broker
                    .move_key(id, KeyState::Withdrawn, Haste::Patient, &order)
                    .await?
            }
        };
        tracing::info!(key = %row.id, %purpose, state = %row.state, "a key was rotated");
        Ok(())
    }
}

/// Half of a root's life: what it signs after that could not live as long as it should.
const ROOT_AFTER: Duration = Duration::from_hours(24 * 365 * 5);

/// Longer than any token lives: see the ceiling of `token_ttl`.
const OUTLIVED: Duration = Duration::from_hours(1);
