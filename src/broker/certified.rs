//! Who calls, by a certificate of ours that was shown in a handshake. The handshake proved the key, the chain
//! and the time of that moment; a connection outlives all three, so that each use asks the rows again.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use writ_keys::KeyId;

use crate::attest::certificate;
use crate::broker::Broker;
use crate::broker::footing::Footing;
use crate::broker::seen::Seen;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::identity::SpiffeId;
use crate::domain::key::Digest;
use crate::domain::standing::Held;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error, Kind};
use crate::ledger::bar::BarKey;

/// A certificate whose record was found and says the same as it does.
#[derive(Debug)]
pub struct Certified {
    id: SpiffeId,
    authority: KeyId,
    expires_at: Timestamp,
    footing: Footing,
}

impl Broker {
    /// The workload that a certificate is of, while it and everything that it belongs to stands.
    ///
    /// # Errors
    /// `client_invalid` for every certificate that does not count, whatever the reason. Undetermined:
    /// `view_stale` and `store_unavailable`.
    pub async fn workload(&self, leaf: &CertificateDer<'_>) -> Result<SpiffeId, Error> {
        self.fresh()?;
        let certified = self.certified(leaf).await.map_err(as_client)?;
        let keys = self.minter.keys.load();
        if keys.intermediate(&certified.authority).is_none() {
            return Err(refused("its authority was withdrawn"));
        }
        if self.clock.now() >= certified.expires_at {
            return Err(refused("it has expired"));
        }
        if !self.stands(&certified.footing).await? {
            return Err(refused("it or what it was made for has ended"));
        }
        Ok(certified.id.clone())
    }

    /// Forgets certificates that have expired.
    pub fn forget_certificates(&self, now: Timestamp) {
        self.certificates.forget(|one| one.expires_at <= now);
    }

    async fn certified(&self, leaf: &CertificateDer<'_>) -> Result<Arc<Certified>, Error> {
        let digest = Digest::of(&[leaf.as_ref()]);
        if let Some(known) = self.certificates.get(&digest) {
            return Ok(known);
        }
        let shown = certificate::read(leaf)?;
        let record = self.certificate_record(&shown).await?;
        let held = self.held(record.session).await?;
        if *held.lineage.identity.id() != shown.id {
            return Err(refused("its name is not its lineage's"));
        }
        let CredentialKind::X509Svid(svid) = &record.kind else {
            return Err(refused("its record is of something else"));
        };
        let certified = Arc::new(Certified {
            id: shown.id,
            authority: svid.authority.clone(),
            expires_at: record.expires_at,
            footing: footing(&record, &held),
        });
        self.certificates.keep(digest, &certified);
        Ok(certified)
    }
}

/// Certificates that were shown before.
pub type SeenCertificates = Seen<Digest, Certified>;

fn footing(record: &CredentialRecord, held: &Held) -> Footing {
    let bars = [
        Some(BarKey::Credential(record.id)),
        record.parent.map(BarKey::Credential),
        Some(BarKey::Workload(held.lineage.identity.id().clone())),
        held.session.key.map(BarKey::SenderKey),
        record.kind.certified_key().map(BarKey::SenderKey),
    ];
    Footing {
        task: held.task.id,
        lineage: held.lineage.id,
        session: held.session.id,
        credential: record.id,
        bars: bars.into_iter().flatten().collect(),
    }
}

/// One answer to a client for whatever is wrong with what it showed; what could not be read stays that.
fn as_client(error: Error) -> Error {
    if matches!(error.kind(), Kind::Undetermined | Kind::Internal) {
        return error;
    }
    refused(error.internal().unwrap_or_else(|| error.public()))
}

fn refused(why: &str) -> Error {
    let text = "the client certificate is not of a workload that stands";
    Error::new(Code::ClientInvalid, text).with_internal(why)
}
