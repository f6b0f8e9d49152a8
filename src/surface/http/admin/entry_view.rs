//! Entries of the log, as a task's history shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::when::When;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::grant::Audience;
use crate::domain::ids::LineageId;
use crate::domain::position::DenialId;
use crate::error::Code;
use crate::ledger::change::Write;
use crate::ledger::entry::{Deed, Event, Leaf, PermitDeed, Refused};
use crate::store::StoredEntry;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    pub at: When,
    /// The writer that made it, and its number there.
    pub writer: u32,
    pub n: u64,
    pub event: String,
    /// Why, where something was refused or ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// Where `explain` knows more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denial_id: Option<String>,
    /// The lineage that it was about: one job, pod or agent of the task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub lineage: Option<LineageId>,
    /// Who ordered it, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What exactly, in a word: what was issued, a path, a key, a record's value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<String>,
}

impl From<&(StoredEntry, Leaf)> for EntryView {
    fn from((entry, leaf): &(StoredEntry, Leaf)) -> Self {
        let view = Self {
            at: entry.at.into(),
            writer: entry.position.writer.0,
            n: entry.position.n,
            event: leaf.event.name().to_owned(),
            code: None,
            field: None,
            denial_id: None,
            lineage: leaf.subject.lineage,
            by: None,
            reason: None,
            about: None,
        };
        view.told(&leaf.event, &leaf.writes, DenialId(entry.position))
    }
}

impl EntryView {
    fn told(self, event: &Event, writes: &[Write], id: DenialId) -> Self {
        match event {
            Event::Issued(_) | Event::Renewed(_) | Event::SecretRead(_) | Event::SvidIssued(_) => {
                self.about(issued(writes))
            }
            Event::Acted(deed) => self.about(done(deed)),
            Event::PermitReserved(said) | Event::PermitConsumed(said) => self.used(said),
            Event::Denied(refused) | Event::Undetermined(refused) => self.refused(refused, id),
            Event::TaskOpened { by, reason }
            | Event::TaskClosed { by, reason }
            | Event::TaskRevoked { by, reason }
            | Event::LineageRevoked { by, reason }
            | Event::Quarantined { by, reason }
            | Event::Released { by, reason } => self.ordered(by, reason.as_ref()),
            Event::RiskRaised { risk, by, reason } => self.over(by, reason.as_ref(), risk),
            Event::Approved { until, by, reason } => self.over(by, reason.as_ref(), until),
            Event::BarSet { key, by, reason } => {
                self.ordered(by, reason.as_ref())
                    .about(format!("{} {}", key.kind(), key.value()))
            }
            Event::Frozen {
                scope,
                until,
                by,
                reason,
            } => self
                .ordered(by, reason.as_ref())
                .about(format!("{scope} until {until}")),
            Event::FreezeLifted { scope, by, reason } => self.over(by, reason.as_ref(), scope),
            Event::RulesReplaced { to, by, reason, .. } => {
                self.ordered(by, reason.as_ref()).about(to.to_string())
            }
            Event::SessionRevoked { by } => self.ordered(by, None),
            Event::CredentialRevoked { credential, by } => {
                self.ordered(by, None).about(credential.to_string())
            }
            Event::ContextEnded {
                record,
                field,
                value,
                code,
            } => Self {
                code: Some(code.unwrap_or(Code::ContextEnded)),
                field: Some(field.clone()),
                ..self
            }
            .about(format!("{record} {field} = {value}")),
            Event::SecretStored { path, version, by } => {
                self.ordered(by, None).about(format!("{path} v{version}"))
            }
            Event::SecretDeleted { path, by } => self.ordered(by, None).about(path.to_string()),
            Event::KeyMoved { id, state, by, .. } => {
                self.ordered(by, None).about(format!("{id} {state}"))
            }
            Event::ServerCertified { serial, .. } => self.about(serial.to_string()),
        }
    }

    fn used(self, said: &PermitDeed) -> Self {
        let about = format!("{} {}", said.permit, done(&said.deed));
        Self {
            by: said.by.as_ref().map(ToString::to_string),
            ..self
        }
        .about(about)
    }

    fn refused(self, refused: &Refused, id: DenialId) -> Self {
        Self {
            code: Some(refused.code),
            field: refused.field.clone(),
            denial_id: Some(id.to_string()),
            about: Some(refused.verb.clone()),
            ..self
        }
    }

    fn over(self, by: &str, reason: Option<&String>, what: &impl ToString) -> Self {
        self.ordered(by, reason).about(what.to_string())
    }

    fn ordered(self, by: &str, reason: Option<&String>) -> Self {
        Self {
            by: Some(by.to_owned()),
            reason: reason.cloned(),
            ..self
        }
    }

    fn about(self, what: String) -> Self {
        Self {
            about: Some(what),
            ..self
        }
    }
}

fn done(deed: &Deed) -> String {
    format!("{} {} {}", deed.action, deed.kind, deed.id.as_str())
}

/// What was handed out, in words.
fn issued(writes: &[Write]) -> String {
    let new = writes.iter().filter_map(|write| {
        if let Write::Credential(new) = write {
            return Some(in_words(new));
        }
        None
    });
    new.collect::<Vec<_>>().join(", ")
}

fn in_words(credential: &CredentialRecord) -> String {
    match &credential.kind {
        CredentialKind::AccessToken(token) => {
            let audiences: Vec<_> = token.audiences.iter().map(Audience::as_str).collect();
            format!("access token for {}", audiences.join(" "))
        }
        CredentialKind::SecretLease(lease) => format!("{} v{}", lease.path, lease.version),
        CredentialKind::JwtSvid(svid) => format!("JWT-SVID for {}", svid.audience),
        CredentialKind::X509Svid(svid) => format!("X.509-SVID {}", svid.serial),
    }
}
