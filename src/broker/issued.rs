//! What leaves: a credential whose record is durable.

use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::lineage::Lineage;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::mint::{HeldBack, Product, Released};
use crate::store::Receipt;

/// A credential whose record and audit entry are durable. Only a receipt of its own change makes one.
pub struct Issued {
    released: Released,
    receipt: Receipt,
}

impl Issued {
    pub(in crate::broker) fn new(held: HeldBack, receipt: Receipt) -> Result<Self, Error> {
        Ok(Self {
            released: held.release(receipt.change())?,
            receipt,
        })
    }

    pub const fn product(&self) -> &Product {
        &self.released.product
    }

    pub const fn task(&self) -> &Task {
        &self.released.task
    }

    pub const fn lineage(&self) -> &Lineage {
        &self.released.lineage
    }

    pub const fn session(&self) -> &Session {
        &self.released.session
    }

    pub const fn credential(&self) -> &CredentialRecord {
        &self.released.credential
    }

    pub const fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// The `scope` of the token, as RFC 6749 §5.1 wants it.
    pub fn scope(&self) -> Option<String> {
        match &self.released.credential.kind {
            CredentialKind::AccessToken(grant) => Some(grant.scope_text()),
            CredentialKind::SecretLease(_)
            | CredentialKind::JwtSvid(_)
            | CredentialKind::X509Svid(_) => None,
        }
    }

    /// Whole seconds that are left at `now`.
    pub fn expires_in(&self, now: Timestamp) -> u64 {
        self.released
            .credential
            .expires_at
            .since(now.whole_seconds())
            .as_secs()
    }
}
