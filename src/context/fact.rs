//! Facts: one record from one source, with how and when it came to be known.

use crate::domain::context::{Locator, Record, RecordKey, RecordKind};
use crate::domain::profile::Via;
use crate::domain::time::Timestamp;

/// What is known of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub key: RecordKey,
    /// `None` when the source answered that there is no such record: absence is explicit.
    pub record: Option<Record>,
    pub via: Via,
    /// When the source was asked, or the proof was issued: the fact is no younger than this.
    pub observed_at: Timestamp,
    pub version: Option<String>,
}

/// One binding with what is known of its record at this moment.
#[derive(Debug, Clone)]
pub struct Observed {
    pub key: RecordKey,
    pub locate: Locator,
    pub state: FactState,
}

/// Known within the binding's greatest age, or not, with the reason for the operator.
#[derive(Debug, Clone)]
pub enum FactState {
    Known(Fact),
    Unavailable(String),
}

/// What is known for every binding of a profile. Made only by [`crate::context::observe`].
#[derive(Debug)]
pub struct Facts(Vec<Observed>);

impl Facts {
    pub(in crate::context) const fn new(observed: Vec<Observed>) -> Self {
        Self(observed)
    }

    pub fn of(&self, kind: RecordKind) -> Option<&Observed> {
        self.0.iter().find(|observed| observed.key.kind == kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Observed> {
        self.0.iter()
    }

    /// Every fact that is known.
    pub fn known(&self) -> impl Iterator<Item = &Fact> {
        self.0.iter().filter_map(|observed| match &observed.state {
            FactState::Known(fact) => Some(fact),
            FactState::Unavailable(_) => None,
        })
    }
}
