//! What a refusal knows of itself: the code, the record and field that decided, what was required
//! and what was seen, and what it ends.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::constraint::ChallengeId;
use crate::error::Code;
use crate::ledger::entry::Judged;

/// Not permitted.
#[derive(Debug)]
pub enum Refusal {
    /// Something is known to be false.
    Denied(Box<Denial>),
    /// Something is not known. Nothing is issued and nothing is revoked.
    Undetermined(Box<Undetermined>),
}

/// Something is known to be false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub code: Code,
    /// Safe in a CI log.
    pub public: Cow<'static, str>,
    pub field: Option<String>,
    pub required: Option<String>,
    pub observed: Option<String>,
    pub policies: Vec<String>,
    /// What the policies were asked, where it came to that.
    pub judged: Option<Box<Judged>>,
    /// For the operator only.
    pub internal: Option<String>,
    /// What an approval would be for, where one would help.
    pub challenge: Option<ChallengeId>,
    pub ends: Ends,
}

/// What a denial ends, in the transaction that records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    Nothing,
    /// The lineage, with everything it was given.
    Lineage,
    /// The task, with every lineage.
    Task,
}

/// Something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undetermined {
    pub code: Code,
    pub public: Cow<'static, str>,
    pub field: Option<String>,
    pub internal: Option<String>,
    pub retry_after: Duration,
}

impl Denial {
    pub fn new(code: Code, public: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            public: public.into(),
            field: None,
            required: None,
            observed: None,
            policies: Vec::new(),
            judged: None,
            internal: None,
            challenge: None,
            ends: Ends::Nothing,
        }
    }

    #[must_use]
    pub fn field(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    #[must_use]
    pub fn because(self, required: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            required: Some(required.into()),
            observed: Some(observed.into()),
            ..self
        }
    }

    #[must_use]
    pub fn policies(self, policies: Vec<String>) -> Self {
        Self { policies, ..self }
    }

    #[must_use]
    pub fn judged(self, judged: Judged) -> Self {
        Self {
            judged: Some(Box::new(judged)),
            ..self
        }
    }

    #[must_use]
    pub fn internal(self, text: String) -> Self {
        Self {
            internal: Some(text).filter(|t| !t.is_empty()),
            ..self
        }
    }

    #[must_use]
    pub fn ends(self, ends: Ends) -> Self {
        Self { ends, ..self }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl From<Undetermined> for Refusal {
    fn from(undetermined: Undetermined) -> Self {
        Self::Undetermined(Box::new(undetermined))
    }
}
