//! An RSA key that the operator brings, for verifiers that take RS256 and nothing else. ring makes no RSA
//! keys, so this one is no row: it comes in a file, is never written, and is replaced by hand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::errors::ErrorKind;
use ring::digest::{SHA256, digest};
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::entropy::ring_random;
use crate::error::CustodyError;

/// A private key that signs RS256 (RFC 7518 §3.3), of 2048 to 4096 bits.
pub struct ImportedRsa {
    pair: RsaKeyPair,
    verifying: DecodingKey,
    id: String,
    n: String,
    e: String,
}

/// The file holds no key that can be used. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no RSA private key of 2048 to 4096 bits in PKCS#8 and PEM")]
pub struct NoRsaKey;

impl ImportedRsa {
    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8, RFC 5958), as `openssl genpkey` writes it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoRsaKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| NoRsaKey)?;
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| NoRsaKey)?;
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        // Its id is what it is (RFC 7638 §3), so that the same file has the same id on every replica.
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        let verifying = DecodingKey::from_rsa_components(&n, &e).map_err(|_| NoRsaKey)?;
        Ok(Self {
            pair,
            verifying,
            id,
            n,
            e,
        })
    }

    /// What it signed is verified with this.
    pub fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// A JWT-SVID over `claims`: in the header nothing but `alg`, `kid` and `typ` (JWT-SVID §2).
    pub fn sign_jwt_svid(&self, claims: &impl serde::Serialize) -> Result<String, CustodyError> {
        let header = json!({ "alg": "RS256", "kid": self.id, "typ": "JWT" }).to_string();
        let claims = serde_json::to_vec(claims).map_err(|e| CustodyError::Signing(e.into()))?;
        let mut jws = URL_SAFE_NO_PAD.encode(header);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jws);
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &ring_random(),
                jws.as_bytes(),
                &mut signature,
            )
            .map_err(|e| CustodyError::Signing(ErrorKind::InvalidRsaKey(e.to_string()).into()))?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        Ok(jws)
    }

    /// Its public half as a JWK (RFC 7518 §6.3.1).
    pub fn jwk(&self, r#use: &str) -> Value {
        json!({
            "kty": "RSA",
            "n": self.n,
            "e": self.e,
            "kid": self.id,
            "alg": "RS256",
            "use": r#use,
        })
    }
}

impl std::fmt::Debug for ImportedRsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ImportedRsa").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, crypto, decode_header};

    use super::*;

    /// The practice world's, which is public.
    const RSA_PEM: &[u8] = include_bytes!("../../practice/testkeys/TEST-rsa-1.pem");

    #[test]
    fn what_it_signs_verifies_by_what_is_published_of_it() {
        crate::jose::install();
        let key = ImportedRsa::from_pem(RSA_PEM).unwrap();
        let token = key
            .sign_jwt_svid(&json!({ "sub": "spiffe://a/b" }))
            .unwrap();
        let header = token.split('.').next().unwrap();
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(
            header,
            json!({ "alg": "RS256", "kid": key.id(), "typ": "JWT" })
        );
        assert_eq!(decode_header(&token).unwrap().alg, Algorithm::RS256);

        let published = key.jwk("sig");
        assert_eq!(published.as_object().unwrap().len(), 6, "nothing private");
        let jwk: Jwk = serde_json::from_value(published).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let verifies = |message: &str| {
            let key = DecodingKey::from_jwk(&jwk).unwrap();
            crypto::verify(signature, message.as_bytes(), &key, Algorithm::RS256).unwrap()
        };
        assert!(verifies(message) && !verifies(&message.replace('e', "f")));
    }

    #[test]
    fn what_is_no_rsa_key_is_refused_and_not_repeated() {
        let public = "-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----\n";
        let other = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
        for text in ["", "canary", public, other] {
            let refused = ImportedRsa::from_pem(text.as_bytes()).unwrap_err();
            assert!(!refused.to_string().contains("canary"));
        }
        let key = ImportedRsa::from_pem(RSA_PEM).unwrap();
        assert_eq!(format!("{key:?}"), format!("ImportedRsa({:?})", key.id()));
    }
}
