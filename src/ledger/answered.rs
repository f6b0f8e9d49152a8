//! Orders and requests that were carried out under a key of whoever gave them, with what they came to: given again under
//! the key, an order is answered and not done twice. The record is written in the change that carries the order
//! out, so that no crash stands between the two.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::freeze::Freeze;
use crate::domain::ids::ReservationId;
use crate::domain::key::Digest;
use crate::domain::lineage::Lineage;
use crate::domain::reservation::Reservation;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;

/// By what an order is known when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Of the operator and the key that the operator chose: nobody meets another's.
    pub key: Digest,
    /// Of what is ordered.
    pub request: Digest,
}

/// An order that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub key: Digest,
    pub request: Digest,
    /// When the key is forgotten.
    pub until: Timestamp,
    /// In its row only: what the log has of it stands in the change's other writes.
    #[serde(skip)]
    pub answer: Option<Answer>,
}

/// What an order came to. There is no variant that could hold a secret, a value or a wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Task(Box<Task>),
    Freeze(Box<Freeze>),
    Lineage(Box<Lineage>),
    /// A key's name and where it stood then.
    Key {
        id: String,
        state: String,
        changed_at: Timestamp,
    },
    SecretDeleted,
    Reserved(Box<Reservation>),
    Consumed {
        permit: ReservationId,
    },
}

impl Repeat {
    /// The record of this order, which came to `answer`.
    pub fn answered(self, answer: Answer, now: Timestamp) -> Answered {
        Answered {
            key: self.key,
            request: self.request,
            until: now.plus(KEPT),
            answer: Some(answer),
        }
    }
}

/// Longer than anybody goes on trying.
const KEPT: Duration = Duration::from_hours(24);
