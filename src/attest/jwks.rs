//! An issuer's keys: discovered where the issuer was configured, fetched by one caller at a time,
//! kept for a bound, and never fetched more often than the cooldown, however many unknown key ids
//! are shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::domain::time::Timestamp;
use crate::outbound::Peer;
use crate::seams::Clock;

/// The keys of one issuer.
pub struct Jwks {
    issuer: String,
    discovery_path: String,
    peer: Peer,
    clock: Arc<dyn Clock>,
    loaded: ArcSwapOption<Loaded>,
    /// Held by the one who fetches; remembers how the last attempt went.
    gate: Mutex<LastTry>,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// The issuer was asked and has no such key for this algorithm.
    Unknown,
    /// The issuer cannot be asked, and what is known of it is too old.
    Unavailable(String),
}

struct Loaded {
    keys: HashMap<String, VerifyKey>,
    asked: Timestamp,
}

struct VerifyKey {
    algorithms: &'static [Algorithm],
    key: Arc<DecodingKey>,
}

#[derive(Default)]
struct LastTry {
    at: Option<Timestamp>,
    failure: Option<String>,
}

impl Jwks {
    /// `issuer` is compared byte for byte with what its discovery document says.
    pub fn new(issuer: String, discovery_path: String, peer: Peer, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            discovery_path,
            peer,
            clock,
            loaded: ArcSwapOption::empty(),
            gate: Mutex::default(),
        }
    }

    /// The key with this id, if it may be used with this algorithm.
    pub async fn key(&self, kid: &str, algorithm: Algorithm) -> Result<Arc<DecodingKey>, KeyFault> {
        let now = self.clock.now();
        if let Some(loaded) = self.loaded.load_full() {
            let age = now.since(loaded.asked);
            let found = loaded.find(kid, algorithm);
            if let (Some(key), true) = (&found, age < REFRESH) {
                return Ok(Arc::clone(key));
            }
            if let (Some(key), true) = (found, age < HARD_EXPIRY) {
                // Somebody else is asking already: what is known is still good.
                let Ok(mut gate) = self.gate.try_lock() else {
                    return Ok(key);
                };
                let _asked = self.refresh(&mut gate).await;
                drop(gate);
                return self.known(kid, algorithm, now);
            }
        }
        let mut gate = self.gate.lock().await;
        let newer = self
            .loaded
            .load_full()
            .filter(|l| now.since(l.asked) < REFRESH);
        if let Some(key) = newer.and_then(|loaded| loaded.find(kid, algorithm)) {
            return Ok(key);
        }
        let asked = self.refresh(&mut gate).await;
        match (self.known(kid, algorithm, now), &gate.failure) {
            // Nobody knows whether the issuer has the key by now: that is not "no".
            (Err(KeyFault::Unknown), Some(why)) => Err(KeyFault::Unavailable(why.clone())),
            (Err(KeyFault::Unknown), None) if !asked => Err(KeyFault::Unavailable(
                "the key is unknown, and the issuer was asked a moment ago".to_owned(),
            )),
            (known, _) => known,
        }
    }

    fn known(
        &self,
        kid: &str,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Arc<DecodingKey>, KeyFault> {
        match self.loaded.load_full() {
            Some(loaded) if now.since(loaded.asked) < HARD_EXPIRY => {
                loaded.find(kid, algorithm).ok_or(KeyFault::Unknown)
            }
            Some(_) | None => Err(KeyFault::Unavailable(
                "no key set is recent enough".to_owned(),
            )),
        }
    }

    /// Asks the issuer, unless it was asked a moment ago; says whether it was asked now.
    async fn refresh(&self, gate: &mut LastTry) -> bool {
        let now = self.clock.now();
        let cooldown = if gate.failure.is_some() {
            RETRY
        } else {
            COOLDOWN
        };
        if gate.at.is_some_and(|at| now.since(at) < cooldown) {
            return false;
        }
        gate.at = Some(now);
        match self.fetch(now).await {
            Ok(loaded) => {
                gate.failure = None;
                self.loaded.store(Some(Arc::new(loaded)));
            }
            Err(why) => {
                tracing::warn!(
                    issuer = self.issuer,
                    why,
                    "the issuer's keys cannot be read"
                );
                gate.failure = Some(why);
            }
        }
        true
    }

    async fn fetch(&self, now: Timestamp) -> Result<Loaded, String> {
        let deadline = now.plus(DEADLINE);
        let document = self
            .peer
            .get(&self.discovery_path, HeaderMap::new(), deadline)
            .await;
        let document: Discovery = document
            .and_then(|d| d.json())
            .map_err(|e| format!("discovery: {e}"))?;
        if document.issuer != self.issuer {
            return Err("discovery: the document is another issuer's".to_owned());
        }
        let path = self
            .peer
            .origin()
            .path_of(&document.jwks_uri)
            .map_err(|e| format!("jwks_uri: {e}"))?;
        let set = self.peer.get(&path, HeaderMap::new(), deadline).await;
        let set: RawSet = set
            .and_then(|s| s.json())
            .map_err(|e| format!("jwks: {e}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("jwks: more than {MAX_KEYS} keys"));
        }
        let keys = set.keys.into_iter().filter_map(RawKey::usable).collect();
        Ok(Loaded { keys, asked: now })
    }
}

impl Loaded {
    fn find(&self, kid: &str, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let key = self.keys.get(kid)?;
        key.algorithms
            .contains(&algorithm)
            .then(|| Arc::clone(&key.key))
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kid: Option<String>,
    kty: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl RawKey {
    /// The key, if it says that it signs and its parts fit one another. Others are passed over: an
    /// issuer may publish keys for other purposes.
    fn usable(self) -> Option<(String, VerifyKey)> {
        if self.r#use.as_deref().is_some_and(|u| u != "sig") {
            return None;
        }
        let (algorithms, key): (&'static [Algorithm], _) =
            match (self.kty?.as_str(), self.crv.as_deref()) {
                ("RSA", None) => (RSA, DecodingKey::from_rsa_components(&self.n?, &self.e?)),
                ("EC", Some("P-256")) => (
                    &[Algorithm::ES256],
                    DecodingKey::from_ec_components(&self.x?, &self.y?),
                ),
                ("EC", Some("P-384")) => (
                    &[Algorithm::ES384],
                    DecodingKey::from_ec_components(&self.x?, &self.y?),
                ),
                ("OKP", Some("Ed25519")) => (
                    &[Algorithm::EdDSA],
                    DecodingKey::from_ed_components(&self.x?),
                ),
                _ => return None,
            };
        let algorithms = match self.alg.as_deref() {
            None => algorithms,
            Some(named) => only(algorithms, named)?,
        };
        Some((
            self.kid?,
            VerifyKey {
                algorithms,
                key: Arc::new(key.ok()?),
            },
        ))
    }
}

/// The one algorithm that the key names, if its type can do it.
fn only(algorithms: &'static [Algorithm], named: &str) -> Option<&'static [Algorithm]> {
    let at = algorithms.iter().position(|a| format!("{a:?}") == named)?;
    algorithms.get(at..=at)
}

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// From this age on the set is read again: a key that was taken out is refused by then.
const REFRESH: Duration = Duration::from_mins(5);

/// While the issuer cannot be read, its last set is good until this age.
const HARD_EXPIRY: Duration = Duration::from_mins(30);

/// Unknown key ids make the broker ask at most this often.
const COOLDOWN: Duration = Duration::from_secs(30);

/// A failed read is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

const DEADLINE: Duration = Duration::from_secs(5);

const MAX_KEYS: usize = 64;
