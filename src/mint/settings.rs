//! What minting is told: under which issuer JWT-SVIDs are made, and for whom they are signed RS256.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use writ_keys::ImportedRsa;

use crate::domain::grant::Audience;
use crate::domain::url::BaseUrl;

/// How JWT-SVIDs are made and published.
#[derive(Debug, Clone)]
pub struct SvidSettings {
    /// Their `iss`: where whoever verifies them finds discovery document and keys.
    pub issuer: BaseUrl,
    /// Keys for verifiers that take RS256 only. The first signs; all are published.
    pub rsa: Vec<Arc<ImportedRsa>>,
    /// The audiences whose SVIDs are signed by the first of them.
    pub rs256: BTreeSet<Audience>,
    /// How long a copy of the published keys may be kept by whoever verifies: a new key is published
    /// for longer before it signs.
    pub publish_ahead: Duration,
}

impl SvidSettings {
    /// The imported key with this id.
    pub fn imported(&self, kid: &str) -> Option<&ImportedRsa> {
        let found = self.rsa.iter().find(|key| key.id() == kid);
        found.map(AsRef::as_ref)
    }

    /// The key that signs for this audience, where it is not the broker's own.
    pub(super) fn rsa_for(&self, audience: &Audience) -> Option<&ImportedRsa> {
        let first = self.rsa.first().filter(|_| self.rs256.contains(audience));
        first.map(AsRef::as_ref)
    }
}
