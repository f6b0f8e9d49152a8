//! Compact JWS (RFC 7515 §3.1) for evidence and proofs: three parts, one signature, one reading.
//!
//! The signature check is jsonwebtoken's, under the ring provider; its claim checks are not used,
//! because they read the system clock and forgive wrong types.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::attest::strict_json::{BadMember, Object};
use crate::domain::key::Digest;

/// A token that was taken apart but not verified. It shows only what choosing a key needs.
#[derive(Debug)]
pub struct Unverified<'a> {
    signing_input: &'a str,
    signature: &'a str,
    header: Object,
    claims: Object,
    algorithm: Algorithm,
}

/// The claims of a token whose signature was verified.
#[derive(Debug)]
pub struct Signed {
    pub claims: Object,
    /// Recognises the token again. Over the signing input, never the signature: ECDSA signatures
    /// can be rewritten without the key.
    pub digest: Digest,
}

/// Why a token cannot be read or does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJws {
    #[error("longer than {MAX_TOKEN} bytes")]
    TooLong,
    #[error("not three parts of base64url")]
    Parts,
    #[error("the header names no signature algorithm that is served")]
    Algorithm,
    #[error("the header asks for `{0}`, which is not served")]
    Header(&'static str),
    #[error("the signature does not verify")]
    Signature,
    #[error(transparent)]
    Member(#[from] BadMember),
}

impl<'a> Unverified<'a> {
    pub fn parse(token: &'a str) -> Result<Self, BadJws> {
        if token.len() > MAX_TOKEN {
            return Err(BadJws::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(BadJws::Parts)?;
        let (header, claims) = signing_input.split_once('.').ok_or(BadJws::Parts)?;
        if claims.contains('.') || signature.is_empty() {
            return Err(BadJws::Parts);
        }
        let header = Object::parse(&decode(header)?)?;
        // RFC 7515 §4.1.11: an extension that is not understood must be refused; none is.
        for refused in ["crit", "b64", "zip", "cty"] {
            if header.member(refused).is_some() {
                return Err(BadJws::Header(refused));
            }
        }
        let algorithm = algorithm(header.text("alg")?)?;
        let claims = Object::parse(&decode(claims)?)?;
        Ok(Self {
            signing_input,
            signature,
            header,
            claims,
            algorithm,
        })
    }

    /// The token as it was shown.
    pub fn compact(&self) -> String {
        format!("{}.{}", self.signing_input, self.signature)
    }

    /// The issuer that the token names: it says whom to ask for keys, and nothing else.
    pub fn issuer(&self) -> Result<&str, BadJws> {
        Ok(self.claims.text("iss")?)
    }

    /// What recognises the token again, as [`Signed::digest`] does: to look for it, not to trust it.
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.signing_input.as_bytes()])
    }

    /// The whole seconds at which the token says that it ends, if it does.
    pub fn expires(&self) -> Option<i64> {
        self.claims.optional_seconds("exp").ok().flatten()
    }

    /// What the client that asked for the token sent along, if it did: only that client can compare it.
    pub fn nonce(&self) -> Option<&str> {
        self.claims.optional_text("nonce").ok().flatten()
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, if the header names one.
    pub fn key_id(&self) -> Result<Option<&str>, BadJws> {
        Ok(self.header.optional_text("kid")?)
    }

    /// The media type of RFC 7515 §4.1.9, as it stands.
    pub fn media_type(&self) -> Result<Option<&str>, BadJws> {
        Ok(self.header.optional_text("typ")?)
    }

    /// The header, for the one kind of token whose key comes with it (RFC 9449).
    pub const fn header(&self) -> &Object {
        &self.header
    }

    /// Checks the signature by a key of the header's own algorithm.
    pub fn verify(self, key: &DecodingKey) -> Result<Signed, BadJws> {
        // `-` and `_` only, no padding: a second spelling of the same signature is not a second token.
        if !self
            .signature
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(BadJws::Parts);
        }
        let message = self.signing_input.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, key, self.algorithm) {
            Ok(true) => Ok(Signed {
                digest: Digest::of(&[message]),
                claims: self.claims,
            }),
            Ok(false) | Err(_) => Err(BadJws::Signature),
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, BadJws> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| BadJws::Parts)
}

/// Asymmetric algorithms only: no text makes the broker verify by a shared secret, or not at all.
fn algorithm(name: &str) -> Result<Algorithm, BadJws> {
    match name {
        "RS256" => Ok(Algorithm::RS256),
        "RS384" => Ok(Algorithm::RS384),
        "RS512" => Ok(Algorithm::RS512),
        "PS256" => Ok(Algorithm::PS256),
        "PS384" => Ok(Algorithm::PS384),
        "PS512" => Ok(Algorithm::PS512),
        "ES256" => Ok(Algorithm::ES256),
        "ES384" => Ok(Algorithm::ES384),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err(BadJws::Algorithm),
    }
}

/// GitHub's tokens are about 1.5 KB; no honest one comes near this.
const MAX_TOKEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    fn refusal(header: &str) -> BadJws {
        Unverified::parse(&token(header, "{}"))
            .map(|_| ())
            .unwrap_err()
    }

    /// A1: no spelling of "none" is an algorithm, and neither is a shared secret.
    #[test]
    fn a1_no_algorithm_but_a_listed_one() {
        for alg in ["none", "NONE", "nOnE", "HS256", "", "rs256"] {
            assert_eq!(
                refusal(&format!(r#"{{"alg":"{alg}"}}"#)),
                BadJws::Algorithm,
                "{alg}"
            );
        }
        Unverified::parse("eyJhbGciOiJSUzI1NiJ9.e30.").unwrap_err();
    }

    /// A6: extensions, detached payloads, compression, nesting, encryption, JSON serialisation.
    #[test]
    fn a6_nothing_that_changes_how_a_token_is_read() {
        for (member, value) in [
            ("crit", r#"["x"]"#),
            ("b64", "false"),
            ("zip", r#""DEF""#),
            ("cty", r#""JWT""#),
        ] {
            assert_eq!(
                refusal(&format!(r#"{{"alg":"RS256","{member}":{value}}}"#)),
                BadJws::Header(member)
            );
        }
        assert_eq!(
            Unverified::parse("a.b.c.d.e").map(|_| ()).unwrap_err(),
            BadJws::Parts
        );
        assert_eq!(
            Unverified::parse(r#"{"payload":"e30"}"#)
                .map(|_| ())
                .unwrap_err(),
            BadJws::Parts
        );
    }

    /// A12: size is judged before anything is decoded.
    #[test]
    fn a12_a_huge_token_or_a_million_dots_costs_nothing() {
        assert_eq!(
            Unverified::parse(&"a".repeat(1 << 20))
                .map(|_| ())
                .unwrap_err(),
            BadJws::TooLong
        );
        assert_eq!(
            Unverified::parse(&".".repeat(1_000_000))
                .map(|_| ())
                .unwrap_err(),
            BadJws::TooLong
        );
        assert_eq!(
            Unverified::parse(&".".repeat(1_000))
                .map(|_| ())
                .unwrap_err(),
            BadJws::Parts
        );
    }

    #[test]
    fn duplicate_members_are_refused_in_header_and_claims() {
        assert_eq!(
            refusal(r#"{"alg":"RS256","alg":"none"}"#),
            BadJws::Member(BadMember::Object)
        );
        let twice = token(r#"{"alg":"RS256"}"#, r#"{"iss":"a","iss":"b"}"#);
        Unverified::parse(&twice).unwrap_err();
    }
}
