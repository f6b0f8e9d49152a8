//! An ID token that was shown here, recognised by what its use left behind: the single-use key of the
//! evidence, which names the session that it opened. Nothing of the token is trusted for that.

use std::collections::BTreeSet;

use super::Looked;
use crate::attest::jws::Unverified;
use crate::broker::Broker;
use crate::domain::ids::SessionId;
use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::domain::validity::SKEW;
use crate::ledger::change::OnceKind;

impl Broker {
    /// The session that an ID token opened or renewed, while its single-use key is kept.
    pub(super) async fn by_evidence(&self, text: &str) -> Looked<Option<SessionId>> {
        let Ok(unverified) = Unverified::parse(text) else {
            return Ok(None);
        };
        let Some(until) = unverified.expires().and_then(Timestamp::from_seconds) else {
            return Ok(None);
        };
        let rules = self.rules.now();
        let sources: BTreeSet<_> = rules.profiles.all().map(|p| &p.source).collect();
        for source in sources {
            let digest = spent(source.as_str(), unverified.digest(), 0);
            let until = until.plus(SKEW);
            let used = self
                .store
                .once(self.realm, OnceKind::Evidence, until, digest);
            if let Some(session) = used.await?.and_then(|used| used.session) {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }
}

/// The digest of one use of a piece of evidence.
pub(in crate::broker) fn spent(source: &str, evidence: Digest, uses: u32) -> Digest {
    Digest::of(&[source.as_bytes(), evidence.as_bytes(), &uses.to_be_bytes()])
}
