//! Where a credential stands, told honestly: what was revoked may still be taken by whoever verifies it
//! offline, and a secret that was read stays read.

use std::collections::HashMap;

use crate::broker::{Broker, unavailable};
use crate::domain::credential::{CredentialKind, CredentialRecord, RecallClass};
use crate::domain::ids::{LineageId, SessionId};
use crate::domain::lineage::Lineage;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::ledger::bar::BarKey;
use crate::mint::x509::board::{Board, Hindrance, Told};
use crate::store::Down;
use crate::store::view::View;

/// Where a credential stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// Nothing has ended it.
    Live,
    /// It was good until its time was over.
    Expired,
    /// Ended, and refused wherever it is shown: everybody who takes it asks.
    Revoked,
    /// Ended here, and not yet on the list of what is revoked: taken by whoever reads the list.
    Propagating,
    /// The same, and the list should have said so by now.
    Stuck(Hindrance),
    /// Ended, and on the list of what is revoked: refused by whoever reads the list, whose copy may be
    /// five minutes old.
    Listed,
    /// Ended, and yet taken by whoever verifies it offline, until it expires.
    ExpiresAt,
    /// Ended or expired, and what it gave is known to whoever read it: rotate it.
    Exposed,
}

/// What can end a credential, besides its own time.
pub(in crate::broker) struct Grounds<'a> {
    pub(in crate::broker) task: &'a Task,
    pub(in crate::broker) lineages: HashMap<LineageId, Lineage>,
    pub(in crate::broker) sessions: HashMap<SessionId, Session>,
    pub(in crate::broker) view: &'a View,
    pub(in crate::broker) board: &'a Board,
    pub(in crate::broker) now: Timestamp,
}

impl CredentialState {
    /// Whether somebody may still be let in with it.
    pub const fn is_usable(self) -> bool {
        match self {
            Self::Live | Self::Propagating | Self::Stuck(_) | Self::Listed | Self::ExpiresAt => {
                true
            }
            Self::Expired | Self::Revoked | Self::Exposed => false,
        }
    }
}

impl Broker {
    /// The credentials under a task that have not expired, each with where it stands.
    pub async fn outstanding(
        &self,
        task: &Task,
    ) -> Result<Vec<(CredentialRecord, CredentialState)>, Error> {
        let rows = self.standing_of(task).await;
        rows.map_err(|down| unavailable(&down))
    }

    pub(in crate::broker) async fn standing_of(
        &self,
        task: &Task,
    ) -> Result<Vec<(CredentialRecord, CredentialState)>, Down> {
        let now = self.clock.now();
        let rows = self.store.credentials(self.realm, task.id, now).await?;
        let grounds = self.grounds(task, !rows.is_empty()).await?;
        let stands = |row: CredentialRecord| {
            let state = grounds.state(&row);
            (row, state)
        };
        Ok(rows.into_iter().map(stands).collect())
    }

    /// What can end the credentials of a task. Where the task is over nothing else has to be read.
    pub(in crate::broker) async fn grounds<'a>(
        &'a self,
        task: &'a Task,
        any: bool,
    ) -> Result<Grounds<'a>, Down> {
        let (mut lineages, mut sessions) = (Vec::new(), Vec::new());
        if any && task.is_open() {
            lineages = self.store.lineages(self.realm, task.id).await?;
            sessions = self.store.sessions(self.realm, task.id).await?;
        }
        Ok(Grounds {
            task,
            lineages: lineages.into_iter().map(|row| (row.id, row)).collect(),
            sessions: sessions.into_iter().map(|row| (row.id, row)).collect(),
            view: self.store.view(),
            board: &self.revocations,
            now: self.clock.now(),
        })
    }
}

impl Grounds<'_> {
    /// Where one credential of the task stands.
    pub(in crate::broker) fn state(&self, credential: &CredentialRecord) -> CredentialState {
        let expired = credential.expires_at <= self.now;
        match (credential.recall, self.has_ended(credential), expired) {
            (RecallClass::None, true, _) | (RecallClass::None, _, true) => CredentialState::Exposed,
            (_, false, false) => CredentialState::Live,
            (RecallClass::Online, true, _) => CredentialState::Revoked,
            (RecallClass::List, true, false) => self.told(credential),
            (RecallClass::Expiry, true, false) => CredentialState::ExpiresAt,
            (RecallClass::Online | RecallClass::List | RecallClass::Expiry, _, true) => {
                CredentialState::Expired
            }
        }
    }

    /// What the lists say of a certificate that has ended.
    fn told(&self, credential: &CredentialRecord) -> CredentialState {
        let CredentialKind::X509Svid(svid) = &credential.kind else {
            return CredentialState::Listed;
        };
        match self.board.told(&svid.serial, self.now) {
            Told::Listed => CredentialState::Listed,
            Told::OnItsWay => CredentialState::Propagating,
            Told::Stuck(why) => CredentialState::Stuck(why),
        }
    }

    fn has_ended(&self, credential: &CredentialRecord) -> bool {
        let under = Under {
            task: self.task,
            lineage: self.lineages.get(&credential.lineage),
            session: self.sessions.get(&credential.session),
        };
        under.has_ended(credential, self.view, self.now)
    }
}

/// What one credential belongs to, as far as it has to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    pub task: &'a Task,
    pub lineage: Option<&'a Lineage>,
    pub session: Option<&'a Session>,
}

impl Under<'_> {
    /// Whether anything that the credential belongs to is over, or a bar holds over it.
    pub fn has_ended(self, credential: &CredentialRecord, view: &View, now: Timestamp) -> bool {
        let Self {
            task,
            lineage,
            session,
        } = self;
        if !task.is_open() || task.deadline <= now {
            return true;
        }
        let over = lineage.is_some_and(|row| !row.carries(credential.id))
            || session.is_some_and(|row| !row.is_live());
        let bars = [
            Some(BarKey::Credential(credential.id)),
            credential.parent.map(BarKey::Credential),
            lineage.map(|row| BarKey::Workload(row.identity.id().clone())),
            session.and_then(|row| row.key).map(BarKey::SenderKey),
            credential.kind.certified_key().map(BarKey::SenderKey),
        ];
        over || bars.iter().flatten().any(|bar| view.is_barred(bar, now))
    }
}
