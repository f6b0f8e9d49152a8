//! A session: one key, or none, at work in a lineage. Two steps of one job are two sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::grant::TokenGrant;
use crate::domain::ids::{LineageId, SessionId};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::task::{AlreadyOver, End, Epoch};
use crate::domain::time::Timestamp;

/// A session as it is kept. Its renewal handle is derived from its id and has no column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub lineage: LineageId,
    /// The session key; a session without one has no handle and renews by fresh evidence.
    pub key: Option<Thumbprint>,
    pub state: SessionState,
    pub epoch: Epoch,
    pub opened_at: Timestamp,
    /// The task's deadline: until then a tombstone over this session is remembered.
    pub deadline: Timestamp,
    /// Until when the session can be renewed.
    pub expires_at: Timestamp,
    /// The token that the session opened with: what a renewal gives where it asks for nothing else.
    pub granted: TokenGrant,
    /// The newest evidence that the session was opened or renewed with.
    pub evidence: EvidenceMark,
}

/// What is remembered of a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceMark {
    pub digest: Digest,
    pub issued_at: Timestamp,
    /// When the credential issued for it ends: shown again, it gives nothing that ends later.
    pub granted_until: Timestamp,
}

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SessionState {
    Live,
    Ended(End),
}

impl Session {
    pub const fn is_live(&self) -> bool {
        matches!(self.state, SessionState::Live)
    }

    /// Whether a renewal until then moves the session's end at all. Renewals of one session that come
    /// together share its row: one in a second writes it, so that they do not wait for one another.
    pub fn is_moved_by(&self, until: Timestamp) -> bool {
        until.since(self.expires_at) > GRAIN || self.expires_at.since(until) > GRAIN
    }

    /// The session after a renewal: the same key and lineage, a later end, newer evidence.
    #[must_use]
    pub fn renewed(self, expires_at: Timestamp, evidence: EvidenceMark) -> Self {
        Self {
            expires_at,
            evidence,
            epoch: self.epoch.next(),
            ..self
        }
    }

    /// Ends the session for good.
    pub fn end(self, end: End) -> Result<Self, AlreadyOver> {
        match self.state {
            SessionState::Live => Ok(Self {
                state: SessionState::Ended(end),
                epoch: self.epoch.next(),
                ..self
            }),
            SessionState::Ended(_) => Err(AlreadyOver),
        }
    }
}

/// How near to its end a session is left where it is.
const GRAIN: Duration = Duration::from_secs(1);
