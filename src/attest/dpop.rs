//! Proof of possession by RFC 9449: a fresh signature by the session key over this one request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use std::time::Duration;
use url::Url;

use crate::attest::jws::{BadJws, Unverified};
use crate::domain::key::{Digest, Thumbprint};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};

/// A key that the caller proved to hold, in this request. The proof can be spent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey {
    thumbprint: Thumbprint,
    digest: Digest,
    until: Timestamp,
}

/// The request that a proof has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    pub method: &'a str,
    /// The request's own URL, as the broker is known by; query and fragment do not count
    /// (RFC 9449 §4.3 check 9).
    pub url: &'a Url,
    /// The access token that comes with the proof: the proof must name its hash (§4.3 check 11).
    pub token: Option<&'a str>,
}

impl ProvenKey {
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// What is remembered of the proof: (jkt, jti), until the proof is too old to be taken.
    pub const fn once(&self) -> (Timestamp, Digest) {
        (self.until, self.digest)
    }
}

/// Verifies a proof by the checks of RFC 9449 §4.3. Whether it was used before is the ledger's to
/// say, when the change that spends it is admitted.
pub fn verify(proof: &str, demand: Demand<'_>, now: Timestamp) -> Result<ProvenKey, Error> {
    judge(proof, demand, now).map_err(|why| {
        Error::new(
            Code::ProofInvalid,
            format!("the DPoP proof was refused: {why}"),
        )
    })
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadProof {
    #[error("{0}")]
    Jws(#[from] BadJws),
    #[error("its type is not dpop+jwt")]
    Type,
    #[error("its key is not a public P-256 or Ed25519 key that fits its algorithm")]
    Key,
    #[error("`{0}` does not name this request")]
    Request(&'static str),
    #[error("`iat` is not within {} s before and {} s after now", PAST.as_secs(), FUTURE.as_secs())]
    Time,
    #[error("`jti` has to have 1 to 256 characters")]
    Id,
}

fn judge(proof: &str, demand: Demand<'_>, now: Timestamp) -> Result<ProvenKey, BadProof> {
    let unverified = Unverified::parse(proof)?;
    if unverified.media_type()? != Some("dpop+jwt") {
        return Err(BadProof::Type);
    }
    let (thumbprint, key) = public_key(unverified.header().member("jwk"), unverified.algorithm())?;
    let signed = unverified.verify(&key)?;
    let claims = &signed.claims;
    if claims.text("htm").map_err(BadJws::from)? != demand.method {
        return Err(BadProof::Request("htm"));
    }
    if !same_target(claims.text("htu").map_err(BadJws::from)?, demand.url) {
        return Err(BadProof::Request("htu"));
    }
    if let Some(token) = demand.token {
        let hash = URL_SAFE_NO_PAD.encode(ring::digest::digest(
            &ring::digest::SHA256,
            token.as_bytes(),
        ));
        if claims.text("ath").map_err(BadJws::from)? != hash {
            return Err(BadProof::Request("ath"));
        }
    }
    let issued = claims.seconds("iat").map_err(BadJws::from)?;
    let issued = Timestamp::from_seconds(issued).ok_or(BadProof::Time)?;
    let until = issued.plus(PAST);
    if issued > now.plus(FUTURE) || until < now {
        return Err(BadProof::Time);
    }
    let id = claims.text("jti").map_err(BadJws::from)?;
    if !(1..=256).contains(&id.len()) {
        return Err(BadProof::Id);
    }
    Ok(ProvenKey {
        thumbprint,
        digest: Digest::of(&[thumbprint.as_bytes(), id.as_bytes()]),
        until,
    })
}

/// The key of the header, with its RFC 7638 thumbprint. Coordinates must have exactly one spelling,
/// so that one key has one thumbprint.
fn public_key(
    jwk: Option<&Value>,
    algorithm: Algorithm,
) -> Result<(Thumbprint, DecodingKey), BadProof> {
    let jwk = jwk.and_then(Value::as_object).ok_or(BadProof::Key)?;
    if jwk.contains_key("d") {
        return Err(BadProof::Key);
    }
    let member = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or(BadProof::Key);
    let coordinate = |name: &str| {
        let text = member(name)?;
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == 32 => Ok(text),
            Ok(_) | Err(_) => Err(BadProof::Key),
        }
    };
    let (canonical, key) = match (algorithm, member("kty")?, member("crv")?) {
        (Algorithm::ES256, "EC", "P-256") => {
            let (x, y) = (coordinate("x")?, coordinate("y")?);
            let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            (canonical, DecodingKey::from_ec_components(x, y))
        }
        (Algorithm::EdDSA, "OKP", "Ed25519") => {
            let x = coordinate("x")?;
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
            (canonical, DecodingKey::from_ed_components(x))
        }
        _ => return Err(BadProof::Key),
    };
    let mut thumbprint = [0; 32];
    thumbprint.copy_from_slice(
        ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref(),
    );
    Ok((
        Thumbprint::from_bytes(thumbprint),
        key.map_err(|_| BadProof::Key)?,
    ))
}

fn same_target(claimed: &str, url: &Url) -> bool {
    let Ok(claimed) = Url::parse(claimed) else {
        return false;
    };
    claimed.scheme() == url.scheme()
        && claimed.host() == url.host()
        && claimed.port_or_known_default() == url.port_or_known_default()
        && claimed.path() == url.path()
        && claimed.username().is_empty()
        && claimed.password().is_none()
}

/// How old a proof may be: long enough for a slow start on a loaded runner, short enough that what
/// is remembered of proofs stays small.
const PAST: Duration = Duration::from_mins(1);

/// How far a caller's clock may be ahead of ours.
const FUTURE: Duration = Duration::from_secs(10);
