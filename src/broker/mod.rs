//! The verbs. Each is one screen that reads as the way through does: attest, observe, decide, open,
//! mint, settle. A verb computes a change and commits it once; nothing leaves before its record is
//! durable.
//!
//! - [`issue`]: evidence opens a lineage in a task, or renews it
//! - [`renew`]: a session's handle and key, judged anew as at the first time
//! - [`read`]: a secret, with an access token as the evidence
//! - [`recertify`]: a certificate by the one before it, judged anew as at the first time
//! - [`check`]: one action on one resource, at its use
//! - [`reserve`], [`consume`]: one use of an action that is counted, at most once
//! - [`introspect`]: whether a token still stands
//! - [`open`]: a case's task, by an operator's word
//! - [`revoke`]: by task, session or credential
//! - [`quarantine`]: a lineage, stopped and let go on with less
//! - [`risk`]: a lineage, trusted less, and what is approved in spite of it
//! - [`observe`]: what happened outside
//! - [`administer`], [`apply`]: what operators do
//! - [`find`], [`why`]: what operators ask at night

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use url::Url;
use writ_keys::KeyEncryptionKey;

use crate::attest::Attestors;
use crate::attest::dpop::{self, Demand, ProvenKey};
use crate::context::observe::Observer;
use crate::domain::grant::Audience;
use crate::domain::ids::Realm;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::intent::Scene;
use crate::mint::Minter;
use crate::mint::x509::board::Board;
use crate::seams::{Clock, Entropy};
use crate::store::{Down, Store};

pub mod administer;
pub mod api_tokens;
pub mod apply;
pub mod caller;
pub mod certified;
pub mod check;
pub mod constrain;
pub mod consume;
pub mod export;
pub mod exposure;
pub mod find;
mod footing;
pub mod freeze;
pub mod inspect;
pub mod introspect;
pub mod issue;
pub mod issued;
mod judge;
pub mod laps;
pub mod listed;
pub mod met;
pub mod observe;
pub mod open;
pub mod outstanding;
pub mod own_certificate;
pub mod preview;
pub mod profiles;
pub mod quarantine;
pub mod read;
pub mod recent;
pub mod recertify;
pub mod refuse;
pub mod renew;
pub mod repeat;
pub mod reserve;
mod rests;
pub mod revoke;
pub mod revoke_many;
pub mod risk;
pub mod rules;
pub mod secrets;
pub mod seen;
pub mod settings;
pub mod settle;
pub mod sift;
pub mod token;
pub mod why;

/// Everything that the verbs work with. Wired once, at start.
pub struct Broker {
    pub realm: Realm,
    /// The broker's own issuer identifier: the `iss` of its tokens, the audience of evidence, and the
    /// audience of tokens that read secrets.
    pub issuer: Url,
    pub own_audience: Audience,
    /// Audiences that ask at every use.
    pub online: BTreeSet<Audience>,
    /// How old this replica's knowledge of the log may be.
    pub staleness: Duration,
    pub attestors: Attestors,
    pub observer: Observer,
    pub api_tokens: api_tokens::ApiTokens,
    pub rules: rules::InForce,
    pub met: met::Met,
    pub minter: Minter,
    pub key_encryption: KeyEncryptionKey,
    pub store: Arc<dyn Store>,
    pub tokens: token::SeenTokens,
    pub certificates: certified::SeenCertificates,
    /// Rows that checks were decided on.
    pub sessions: recent::SeenSessions,
    pub denials: refuse::DenialMemory,
    /// What is published of revoked certificates.
    pub revocations: Board,
    /// The orders under way that came with a key.
    pub turns: repeat::Turns,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// A DPoP proof as it came, with the request that it has to be about.
#[derive(Debug, Clone)]
pub struct Presented {
    pub proof: String,
    pub method: &'static str,
    pub url: Url,
}

impl Broker {
    /// Refuses while this replica has not heard of the log within the bound: a revocation elsewhere
    /// might not have reached it.
    fn fresh(&self) -> Result<(), Error> {
        if self
            .store
            .view()
            .is_fresh(self.clock.elapsed(), self.staleness)
        {
            return Ok(());
        }
        Err(Error::new(Code::ViewStale, "this replica is behind the log").with_retry_after(RETRY))
    }

    /// Whether this replica can serve: it is not behind the log, and the ledger answers.
    pub async fn ready(&self) -> Result<(), Error> {
        self.fresh()?;
        self.store.ping().await.map_err(|down| unavailable(&down))
    }

    /// The key that the caller proves to hold in this request, if it shows one.
    fn prove(
        presented: Option<&Presented>,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<ProvenKey>, Error> {
        let Some(Presented { proof, method, url }) = presented else {
            return Ok(None);
        };
        dpop::verify(proof, Demand { method, url, token }, now).map(Some)
    }

    fn scene(&self, now: Timestamp) -> Scene<'_> {
        Scene {
            realm: self.realm,
            now,
            entropy: self.entropy.as_ref(),
            online: &self.online,
        }
    }
}

/// What a store that cannot be asked means to a caller.
fn unavailable(down: &Down) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "the ledger cannot be read or written now",
    )
    .with_internal(down)
    .with_retry_after(RETRY)
}

const RETRY: Duration = Duration::from_secs(2);

/// How often a verb decides again when another change came first.
const ATTEMPTS: usize = 4;
