//! Administer: what operators do and look at. Every change they order is an entry of the log, with
//! who ordered it.

use std::time::Duration;

use writ_keys::{KeyRow, KeyState, Keyring, Maker, Purpose};

use crate::broker::revoke::{Order, unsettled};
use crate::broker::{Broker, unavailable};
use crate::domain::ids::TaskId;
use crate::domain::position::DenialId;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::change::{KeyChange, Write};
use crate::ledger::entry::{Event, Leaf, Subject};
use crate::mint::KEY_SET_MAX_AGE;
use crate::store::StoredEntry;

/// Whether a new key waits until whoever verifies by the published key set has heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Refuse to let it sign before that.
    Patient,
    /// The active key is compromised: verifiers that have not heard of the new one refuse its tokens
    /// for as long as they keep their copy.
    AtOnce,
}

impl Broker {
    pub async fn tasks(&self, before: Option<TaskId>, limit: u32) -> Result<Vec<Task>, Error> {
        self.store
            .tasks(self.realm, before, limit)
            .await
            .map_err(|down| unavailable(&down))
    }

    /// The newest entries about a task.
    pub async fn history(
        &self,
        task: TaskId,
        limit: u32,
    ) -> Result<Vec<(StoredEntry, Leaf)>, Error> {
        let entries = self
            .store
            .entries(self.realm, task, limit)
            .await
            .map_err(|down| unavailable(&down))?;
        entries
            .into_iter()
            .map(|entry| Ok((entry.clone(), leaf(&entry)?)))
            .collect()
    }

    /// The whole trace of a refusal.
    pub async fn explain(&self, id: DenialId) -> Result<(StoredEntry, Leaf), Error> {
        let entry = self
            .store
            .entry(id.0)
            .await
            .map_err(|down| unavailable(&down))?;
        let absent = || Error::new(Code::NotFound, "there is no refusal with this id");
        let entry = entry.ok_or_else(absent)?;
        let leaf = leaf(&entry)?;
        if matches!(leaf.event, Event::Denied(_) | Event::Undetermined(_)) {
            return Ok((entry, leaf));
        }
        Err(absent())
    }

    /// Makes a key of a purpose, in the state `prepared`.
    pub async fn prepare_key(&self, purpose: Purpose, order: &Order) -> Result<KeyRow, Error> {
        let turn = self.begin(order).await?;
        if let Some(row) = self.key_as_it_was(turn.given.as_ref()).await? {
            return Ok(row);
        }
        let now = self.clock.now().micros();
        let maker = Maker {
            kek: &self.key_encryption,
            pki: &self.minter.pki,
            entropy: self.entropy.as_ref(),
        };
        let known = self.keys().await?;
        let row = maker
            .make(purpose, KeyState::Prepared, now, &known)
            .map_err(|e| {
                Error::new(Code::Internal, "the key could not be made").with_internal(e)
            })?;
        self.move_keys(vec![row.clone()], order).await?;
        Ok(row)
    }

    /// Moves a key to another state. Activating one retires the key that was active.
    ///
    /// # Errors
    /// `conflict`: the key cannot move there, or (only [`Haste::AtOnce`] overrules it) a token signed
    /// with it would be refused by verifiers that still keep an older key set.
    pub async fn move_key(
        &self,
        id: &str,
        state: KeyState,
        haste: Haste,
        order: &Order,
    ) -> Result<KeyRow, Error> {
        let turn = self.begin(order).await?;
        if let Some(row) = self.key_as_it_was(turn.given.as_ref()).await? {
            return Ok(row);
        }
        let rows = self.store.keys().await.map_err(|down| unavailable(&down))?;
        let now = self.clock.now().micros();
        let row = rows.iter().find(|row| row.id.as_str() == id);
        let row = row.ok_or_else(|| Error::new(Code::NotFound, "there is no such key"))?;
        if state == KeyState::Active && haste == Haste::Patient {
            self.heard_of(row)?;
        }
        let illegal = |e: writ_keys::IllegalTransition| Error::new(Code::Conflict, e.to_string());
        let moved = row.clone().moved_to(state, now).map_err(illegal)?;
        let mut changed = vec![moved.clone()];
        if state == KeyState::Active {
            let active = rows
                .iter()
                .find(|r| r.purpose == row.purpose && r.state == KeyState::Active);
            if let Some(active) = active {
                changed.insert(
                    0,
                    active
                        .clone()
                        .moved_to(KeyState::Retired, now)
                        .map_err(illegal)?,
                );
            }
        }
        self.move_keys(changed, order).await?;
        Ok(moved)
    }

    /// The key that an order which was carried out before was answered with, as it stood then.
    async fn key_as_it_was(&self, given: Option<&Answer>) -> Result<Option<KeyRow>, Error> {
        let Some(Answer::Key {
            id,
            state,
            changed_at,
        }) = given
        else {
            return Ok(None);
        };
        let rows = self.keys().await?;
        let row = rows.into_iter().find(|row| row.id.as_str() == id);
        Ok(row.zip(state.parse().ok()).map(|(row, state)| KeyRow {
            state,
            changed_at: changed_at.micros(),
            ..row
        }))
    }

    /// How long a copy of the published key set without this key may still be kept.
    pub fn unheard_of_for(&self, row: &KeyRow) -> Duration {
        let kept = match row.purpose {
            Purpose::JwtSvid => self.minter.svids.publish_ahead.max(KEY_SET_MAX_AGE),
            Purpose::AccessToken | Purpose::CaRoot | Purpose::CaIntermediate => KEY_SET_MAX_AGE,
            Purpose::Checkpoint
            | Purpose::RowMac
            | Purpose::Handle
            | Purpose::Secret
            | Purpose::Cursor => return Duration::ZERO,
        };
        if row.state != KeyState::Prepared {
            return Duration::ZERO;
        }
        let known = Timestamp::from_micros(row.changed_at).plus(kept + self.staleness);
        known.since(self.clock.now())
    }

    fn heard_of(&self, row: &KeyRow) -> Result<(), Error> {
        let left = self.unheard_of_for(row);
        if left == Duration::ZERO {
            return Ok(());
        }
        let text = "verifiers may keep a key set without this key for a while yet: wait, or activate it at once if the active key is compromised";
        Err(Error::new(Code::Conflict, text).with_retry_after(left))
    }

    pub async fn keys(&self) -> Result<Vec<KeyRow>, Error> {
        self.store.keys().await.map_err(|down| unavailable(&down))
    }

    /// Opens the rows as they would be before recording them: a ring that does not open, or has no
    /// active key, is refused and nothing changes.
    async fn move_keys(&self, changed: Vec<KeyRow>, order: &Order) -> Result<(), Error> {
        let mut rows = self.keys().await?;
        rows.retain(|row| changed.iter().all(|new| new.id != row.id));
        rows.extend(changed.iter().cloned());
        let ring = Keyring::open(&self.key_encryption, &rows).map_err(|e| {
            Error::new(Code::Conflict, format!("the keys would not be usable: {e}"))
        })?;
        let Some(last) = changed.last() else {
            return Ok(());
        };
        let event = Event::KeyMoved {
            id: last.id.to_string(),
            purpose: last.purpose.to_string(),
            state: last.state.to_string(),
            by: order.by.clone(),
        };
        let answer = Answer::Key {
            id: last.id.to_string(),
            state: last.state.to_string(),
            changed_at: Timestamp::from_micros(last.changed_at),
        };
        let note = order.note(answer, self.clock.now());
        let writes = changed.into_iter().map(key_write).chain(note).collect();
        self.order(writes, Subject::default(), event)
            .await
            .map_err(unsettled)?;
        self.minter.keys.store(std::sync::Arc::new(ring));
        Ok(())
    }
}

fn key_write(row: KeyRow) -> Write {
    Write::Key(KeyChange {
        id: row.id.to_string(),
        purpose: row.purpose.to_string(),
        state: row.state.to_string(),
        row: Some(row),
    })
}

fn leaf(entry: &StoredEntry) -> Result<Leaf, Error> {
    serde_json::from_slice(&entry.leaf).map_err(|e| {
        Error::new(Code::Internal, "an entry of the log cannot be read").with_internal(e)
    })
}
