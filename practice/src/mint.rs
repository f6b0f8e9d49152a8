//! Tokens by order: the honest ID token of a job, any deviation from it that a test wants to see
//! refused, and many honest ones at once for a load run.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::claims::LIFETIME_SECS;
use crate::error::WorldError;
use crate::keys::{Alg, TestKey};
use crate::run::JobId;
use crate::site::Site;
use crate::spec::StartRun;

/// What becomes of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureForm {
    #[default]
    Valid,
    /// One bit is wrong.
    Tampered,
    /// The third part is empty.
    Absent,
}

/// A token to mint. With `job_id` it starts from that job's claims (whatever the job's state),
/// else from nothing but the issuer's and the times; then `claims` and `header_overrides` are
/// laid over it, where `null` removes a member.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mint {
    pub job_id: Option<JobId>,
    pub audience: Option<String>,
    pub claims: Map<String, Value>,
    pub header_overrides: Map<String, Value>,
    /// Id of the key that signs; absent: the one whose turn it is.
    pub key: Option<String>,
    pub alg: Alg,
    pub signature: SignatureForm,
}

/// Honest tokens of many runs, each under way, none announced by webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintMany {
    /// At most 100,000 a call.
    pub count: usize,
    /// Each run's only job is the first of these.
    pub run: StartRun,
    /// Taken in turn; at least one.
    pub audiences: Vec<String>,
    /// Longer than the vendor's five minutes, so that a load run can be prepared.
    #[serde(default = "default_lifetime")]
    pub lifetime_secs: i64,
}

impl Site {
    /// Mints what `order` says.
    pub fn mint(&self, order: Mint) -> Result<String, WorldError> {
        let mut claims = self.base_claims(order.job_id, order.audience)?;
        overlay(&mut claims, order.claims);
        let key = match &order.key {
            Some(kid) => self.keys().named(kid)?,
            None => self.keys().signing()?,
        };
        let mut header = header(&key, order.alg);
        overlay(&mut header, order.header_overrides);
        sign(&key, order.alg, order.signature, &header, &claims)
    }

    /// Mints honest tokens on all processors, in the order of their runs' ids within each worker.
    pub async fn mint_many(self: &Arc<Self>, order: MintMany) -> Result<Vec<String>, WorldError> {
        if order.count > MAX_BATCH || order.audiences.is_empty() {
            let limit = format!("at most {MAX_BATCH} tokens a call, for at least one audience");
            return Err(WorldError::Invalid(limit));
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let count = order.count;
        let order = Arc::new(order);
        let mut running = Vec::with_capacity(workers);
        for worker in 0..workers {
            let (site, order) = (Arc::clone(self), Arc::clone(&order));
            running.push(tokio::task::spawn_blocking(move || {
                (worker..count)
                    .step_by(workers)
                    .map(|n| site.mint_one(&order, n))
                    .collect()
            }));
        }
        let mut tokens = Vec::with_capacity(count);
        for worker in running {
            let minted: Result<Vec<String>, WorldError> = worker.await?;
            tokens.extend(minted?);
        }
        Ok(tokens)
    }

    fn mint_one(&self, order: &MintMany, n: usize) -> Result<String, WorldError> {
        let audience = order.audiences.get(n % order.audiences.len());
        let audience = audience.ok_or_else(|| WorldError::unknown("audience", n))?;
        let mut spec = order.run.clone();
        spec.jobs.truncate(1);
        let job = self.start_quietly(spec)?;
        let claims = self.job_claims(job, audience.clone(), order.lifetime_secs)?;
        honest(&*self.keys().signing()?, &claims)
    }

    fn base_claims(
        &self,
        job: Option<JobId>,
        audience: Option<String>,
    ) -> Result<Map<String, Value>, WorldError> {
        let audience = audience.unwrap_or_else(|| self.issuer().to_owned());
        if let Some(job) = job {
            return self.job_claims(job, audience, LIFETIME_SECS);
        }
        let now = self.now().unix_timestamp();
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), self.issuer().into());
        claims.insert("aud".to_owned(), audience.into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("nbf".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(LIFETIME_SECS).into());
        Ok(claims)
    }
}

/// The compact form (RFC 7515 §7.1) of `claims`, signed by `key`.
pub(crate) fn honest(key: &TestKey, claims: &Map<String, Value>) -> Result<String, WorldError> {
    sign(
        key,
        Alg::RS256,
        SignatureForm::Valid,
        &header(key, Alg::RS256),
        claims,
    )
}

fn header(key: &TestKey, alg: Alg) -> Map<String, Value> {
    let mut header = Map::new();
    header.insert("typ".to_owned(), json!("JWT"));
    header.insert("alg".to_owned(), json!(alg.name()));
    header.insert("kid".to_owned(), json!(key.kid));
    header
}

fn sign(
    key: &TestKey,
    alg: Alg,
    form: SignatureForm,
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> Result<String, WorldError> {
    let header = serde_json::to_vec(header).map_err(|_| WorldError::Signing)?;
    let claims = serde_json::to_vec(claims).map_err(|_| WorldError::Signing)?;
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = match form {
        SignatureForm::Valid => key.sign(alg, token.as_bytes())?,
        SignatureForm::Tampered => {
            let mut signature = key.sign(alg, token.as_bytes())?;
            if let Some(byte) = signature.last_mut() {
                *byte ^= 1;
            }
            signature
        }
        SignatureForm::Absent => Vec::new(),
    };
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

pub(crate) fn overlay(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        if value.is_null() {
            base.remove(&name);
        } else {
            base.insert(name, value);
        }
    }
}

fn default_lifetime() -> i64 {
    LIFETIME_SECS
}

/// One answer of this many tokens is about 200 MB of JSON.
const MAX_BATCH: usize = 100_000;
