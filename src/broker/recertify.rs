//! Recertify: an X.509-SVID, proven in a TLS handshake, and then the same road as for any renewal. The new
//! certificate is of the same lineage and session, has no parent, and so may outlive the one before it.
//!
//! What the handshake cannot know is asked of the rows: whether the certificate, its session, lineage and task
//! still stand, and whether its authority was withdrawn.

use rustls_pki_types::CertificateDer;

use crate::attest::certificate::{self, ShownCertificate};
use crate::broker::issued::Issued;
use crate::broker::laps::Laps;
use crate::broker::refuse::Trace;
use crate::broker::rules::Under;
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::context::observe::Ties;
use crate::decide::case::{Ask, Case};
use crate::decide::denial::Denial;
use crate::decide::engine::Verb;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::profile::{RenewalMode, TaskProfile};
use crate::domain::standing::{Held, Rests};
use crate::error::{Code, Error};

/// What is asked with a certificate of ours.
#[derive(Debug)]
pub struct RecertifyRequest {
    /// The client's end entity, whose key and chain the handshake has verified.
    pub leaf: CertificateDer<'static>,
    /// For the next key, or the same: a signing request in PEM.
    pub csr: String,
}

impl Broker {
    /// Renews an X.509-SVID.
    ///
    /// # Errors
    /// Everything in the table of outcomes; nothing was issued then.
    pub async fn recertify(&self, request: RecertifyRequest) -> Result<Issued, Error> {
        self.fresh()?;
        let shown = certificate::read(&request.leaf)?;
        let ask = self.certificate_for(&request.csr)?;
        for _ in 0..ATTEMPTS {
            let record = self.certificate_record(&shown).await?;
            let held = self.held(record.session).await?;
            let rules = self.rules.now();
            let under = self.under(&rules, &held, VERB).await?;
            let tried = self.try_recertify(&shown, &record, held, under, &ask);
            if let Some(issued) = self.conclude(tried.await?).await? {
                return Ok(issued);
            }
        }
        Err(overloaded(RETRY))
    }

    /// One way through, as for issue; the ties are the lineage's own.
    async fn try_recertify(
        &self,
        shown: &ShownCertificate,
        record: &CredentialRecord,
        held: Held,
        Under { profile, policies }: Under<'_>,
        ask: &Ask,
    ) -> Result<Result<Issued, (Unsettled, Trace)>, Error> {
        let mut laps = Laps::start(self.clock.as_ref(), VERB);
        let rests = Rests {
            task: (held.task.id, held.task.epoch),
            lineage: (held.lineage.id, held.lineage.epoch),
            session: held.session.id,
            credential: record.id,
            parent: record.parent,
        };
        let facts = self
            .observer
            .observe(profile, Ties::Lineage(&held.lineage))
            .await;
        let standing = held.into();
        let mut case = Case::of_session(Verb::Recertify, profile, &standing, &facts)?;
        case.key = Some(shown.key);
        case.rests = Some(rests);
        laps.done("observe");
        let trace = || Trace::of(&case, VERB);
        if *case.identity.id() != shown.id {
            return Err(unknown("its name is not its lineage's"));
        }
        if let Some(denial) = demanded(profile) {
            return Err(self.deny(denial, &trace()).await);
        }
        let now = self.clock.now();
        let permit = match self.judge(policies, &case, ask, now) {
            Ok(permit) => permit,
            Err(refusal) => return Err(self.refuse(refusal, &trace()).await),
        };
        // After the decision: that a task, lineage or session has ended says more than this does.
        if self.is_recalled(record) {
            return Err(self.deny(revoked(), &trace()).await);
        }
        laps.done("decide");
        let settled = self.hand_out(permit, None, now, laps).await;
        Ok(settled.map_err(|unsettled| (unsettled, trace())))
    }

    /// The record of the certificate that was shown, while its time and its authority last: a connection
    /// may have been opened long before.
    pub(in crate::broker) async fn certificate_record(
        &self,
        shown: &ShownCertificate,
    ) -> Result<CredentialRecord, Error> {
        let named = shown.record;
        let row = self
            .store
            .credential(self.realm, named.lineage, named.credential)
            .await
            .map_err(|down| unavailable(&down))?
            .ok_or_else(|| unknown("it has no record"))?;
        let CredentialKind::X509Svid(svid) = &row.kind else {
            return Err(unknown("its record is of something else"));
        };
        if !shown.is(svid) {
            return Err(unknown("its record is of another certificate"));
        }
        if self
            .minter
            .keys
            .load()
            .intermediate(&svid.authority)
            .is_none()
        {
            return Err(unknown("its authority was withdrawn"));
        }
        if self.clock.now() >= row.expires_at {
            let text = "the client certificate has expired: take one with an access token";
            return Err(Error::new(Code::EvidenceExpired, text));
        }
        Ok(row)
    }
}

/// A profile that wants fresh evidence for a renewal gets none with a certificate.
fn demanded(profile: &TaskProfile) -> Option<Denial> {
    let text = "the profile renews with fresh evidence only: take a certificate with the next access token";
    (profile.renewal == RenewalMode::FreshEvidence)
        .then(|| Denial::new(Code::EvidenceRequired, text).field("subject_token"))
}

fn revoked() -> Denial {
    let text = "the certificate that was shown has been revoked";
    Denial::new(Code::CredentialRevoked, text)
}

/// One answer for every certificate that is not a good one of ours.
fn unknown(why: &str) -> Error {
    let text = "the client certificate is not a valid X.509-SVID of this broker";
    Error::new(Code::EvidenceInvalid, text).with_internal(why)
}

/// As the log and the metrics name it.
const VERB: &str = "recertify";
