//! The certificate that the broker shows as a server, by its own authority. It is no credential and belongs to
//! no task: nobody is given it. That its authority signed it is in the log all the same, before it is shown.

use rustls_pki_types::CertificateDer;
use writ_keys::{KeyId, ServerKey};

use crate::broker::Broker;
use crate::broker::revoke::unsettled;
use crate::domain::host::Host;
use crate::domain::ids::ChangeId;
use crate::domain::time::Timestamp;
use crate::domain::x509::Serial;
use crate::error::{Code, Error};
use crate::ledger::change::{Change, Lane};
use crate::ledger::entry::{Entry, Event, Subject};
use crate::mint::x509::server::{SERVER_LIFE, ServerLeaf, certify};

/// A certificate with its key, which only signs.
#[derive(Debug)]
pub struct OwnCertificate {
    /// In DER, end entity first.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: ServerKey,
    pub authority: KeyId,
    pub serial: Serial,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Broker {
    /// Makes a key and has it certified for these hosts, for a day or as long as the authority lasts.
    ///
    /// # Errors
    /// It could not be made, or not be recorded: there is none then.
    pub async fn certify_own(&self, hosts: &[Host]) -> Result<OwnCertificate, Error> {
        let failed = |why: &dyn std::fmt::Display| {
            let text = "the broker's own certificate could not be made";
            Error::new(Code::Internal, text).with_internal(why)
        };
        let keys = self.minter.keys.load_full();
        let now = self.clock.now();
        let authority = keys.authority();
        let ends = Timestamp::from_seconds(authority.ends).unwrap_or(now);
        let key = ServerKey::generate().map_err(|e| failed(&e))?;
        let leaf = ServerLeaf {
            hosts,
            serial: Serial::new(self.entropy.as_ref()),
            authority: &authority.id,
            now,
            until: now.plus(SERVER_LIFE).min(ends),
        };
        let (serial, expires_at) = (leaf.serial, leaf.until);
        let chain = certify(&keys, &self.minter.pki, leaf, &key).map_err(|e| failed(&e))?;
        let event = Event::ServerCertified {
            serial,
            authority: authority.id.clone(),
            hosts: hosts.to_vec(),
            expires_at,
        };
        self.note(now, event).await?;
        Ok(OwnCertificate {
            chain: chain.into_iter().map(CertificateDer::from).collect(),
            key,
            authority: authority.id,
            serial,
            issued_at: now,
            expires_at,
        })
    }

    /// Whether its authority is one that clients still believe.
    pub fn is_trusted(&self, certificate: &OwnCertificate) -> bool {
        let keys = self.minter.keys.load();
        keys.intermediate(&certificate.authority).is_some()
    }

    async fn note(&self, now: Timestamp, event: Event) -> Result<(), Error> {
        let change = Change {
            id: ChangeId::new(now, self.entropy.as_ref()),
            realm: self.realm,
            lane: Lane::Issue,
            expects: Vec::new(),
            writes: Vec::new(),
            entry: Entry {
                at: now,
                subject: Subject::default(),
                event,
            },
        };
        let noted = self.commit(change).await.map(drop);
        noted.map_err(unsettled)
    }
}
