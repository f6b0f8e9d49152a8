//! Evidence that is a credential of ours: it counts for as long as what it was made for stands. The rows are
//! read here, and the change that follows expects them to be as they were.

use crate::attest::Attested;
use crate::broker::{Broker, unavailable};
use crate::decide::denial::Denial;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::standing::Rests;
use crate::error::{Code, Error};
use crate::ledger::bar::BarKey;

impl Broker {
    /// What the evidence rests on; `None` for evidence of any other issuer.
    ///
    /// # Errors
    /// The store cannot be read. The denial, within: something that it rests on has ended.
    pub(in crate::broker) async fn rests(
        &self,
        attested: Option<&Attested>,
    ) -> Result<Result<Option<Rests>, Denial>, Error> {
        let Some(shown) = attested.and_then(Attested::rests_on) else {
            return Ok(Ok(None));
        };
        let row = self
            .store
            .credential(self.realm, shown.lineage, shown.credential)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(row) = row.filter(|row| matches!(row.kind, CredentialKind::JwtSvid(_))) else {
            return Ok(Err(ended("it has no record")));
        };
        let held = self
            .store
            .held(self.realm, row.session)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(held) = held else {
            return Ok(Err(ended("its session is gone")));
        };
        let now = self.clock.now();
        let over = [
            (
                !held.task.is_open() || now >= held.task.deadline,
                "its task is over",
            ),
            (
                !held.lineage.carries(row.id),
                "its lineage has ended, or is or was in quarantine",
            ),
            (!held.session.is_live(), "its session was revoked"),
            (self.is_recalled(&row), "it was revoked"),
        ];
        if let Some((_, why)) = over.into_iter().find(|(over, _)| *over) {
            return Ok(Err(ended(why)));
        }
        Ok(Ok(Some(Rests {
            task: (held.task.id, held.task.epoch),
            lineage: (held.lineage.id, held.lineage.epoch),
            session: held.session.id,
            credential: row.id,
            parent: row.parent,
        })))
    }

    /// Whether a credential was revoked, or the token that it was taken with.
    pub(in crate::broker) fn is_recalled(&self, record: &CredentialRecord) -> bool {
        let (view, now) = (self.store.view(), self.clock.now());
        let mut both = [Some(record.id), record.parent].into_iter().flatten();
        both.any(|id| view.is_barred(&BarKey::Credential(id), now))
    }
}

fn ended(why: &str) -> Denial {
    let text = "the SVID that was shown does not stand any more: what it was made for has ended";
    Denial::new(Code::CredentialRevoked, text).internal(why.to_owned())
}
