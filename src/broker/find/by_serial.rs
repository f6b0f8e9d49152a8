//! By the number of a certificate. The numbers are random and no index holds them: the certificates that are
//! kept are looked through, page by page.

use super::{By, Found, Looked};
use crate::broker::Broker;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::time::Timestamp;
use crate::domain::x509::Serial;

impl Broker {
    pub(super) async fn by_serial(&self, serial: Serial) -> Looked<Found> {
        let is_it = |record: &CredentialRecord| match &record.kind {
            CredentialKind::X509Svid(svid) => svid.serial == serial,
            CredentialKind::AccessToken(_)
            | CredentialKind::SecretLease(_)
            | CredentialKind::JwtSvid(_) => false,
        };
        let mut last = None;
        loop {
            let after = (Timestamp::from_micros(0), last.as_ref());
            let mut page = self.store.certificates(self.realm, after, PAGE).await?;
            if let Some(at) = page.iter().position(is_it) {
                let hit = self.standing_hit(By::Certificate, page.swap_remove(at));
                return hit.await.map(Found::of);
            }
            last = page.pop();
            if last.is_none() {
                return Ok(Found::of(None));
            }
        }
    }
}

/// Certificates that are read at one time.
const PAGE: u32 = 1_000;
