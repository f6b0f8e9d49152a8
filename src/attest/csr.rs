//! A certificate signing request (RFC 2986) as proof that the caller holds a key. Only the public key is
//! taken: whatever names, extensions or attributes it asks for are not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::attest::weak;
use crate::domain::key::Thumbprint;
use crate::domain::x509::SubjectKey;
use crate::error::{Code, Error};

/// Verifies a request in PEM: one block, its own signature, and a key that is strong enough.
///
/// # Errors
/// `csr_invalid` where it cannot be read or does not verify, `key_refused` where its key is weak or of a
/// kind that is not certified.
pub fn verify(pem: &str) -> Result<SubjectKey, Error> {
    judge(pem).map_err(|why| {
        let code = match why {
            BadRequest::Kind | BadRequest::Weak(_) => Code::KeyRefused,
            BadRequest::Private
            | BadRequest::Pem
            | BadRequest::Der
            | BadRequest::Algorithm
            | BadRequest::Signature => Code::CsrInvalid,
        };
        Error::new(code, format!("the signing request was refused: {why}")).with_field("csr")
    })
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("it comes with a private key, which has to stay where it was made: make another key")]
    Private,
    #[error("it is not one PEM block `CERTIFICATE REQUEST` of at most {MOST_BYTES} bytes")]
    Pem,
    #[error("it is not a request of PKCS #10")]
    Der,
    #[error("its signature is not by SHA-256, SHA-384 or SHA-512")]
    Algorithm,
    #[error("it is not signed by the key that it is about")]
    Signature,
    #[error("its key is none of P-256, P-384, Ed25519, RSA")]
    Kind,
    #[error("its RSA key {0}")]
    Weak(weak::Weak),
}

fn judge(pem: &str) -> Result<SubjectKey, BadRequest> {
    if pem.contains("PRIVATE KEY") {
        return Err(BadRequest::Private);
    }
    if pem.len() > MOST_BYTES || pem.matches("-----BEGIN").count() != 1 {
        return Err(BadRequest::Pem);
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| BadRequest::Pem)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| BadRequest::Der)?;
    if !rest.is_empty() || request.certification_request_info.version.0 != 0 {
        return Err(BadRequest::Der);
    }
    if !ALGORITHMS.contains(&request.signature_algorithm.algorithm) {
        return Err(BadRequest::Algorithm);
    }
    let key = &request.certification_request_info.subject_pki;
    let thumbprint = strong(key)?;
    request
        .verify_signature()
        .map_err(|_| BadRequest::Signature)?;
    let bits = key.subject_public_key.data.to_vec();
    Ok(SubjectKey::proven(key.raw.to_vec(), bits, thumbprint))
}

/// The thumbprint of a key of a kind and strength that is certified.
pub(super) fn strong(key: &SubjectPublicKeyInfo<'_>) -> Result<Thumbprint, BadRequest> {
    let canonical = match key.parsed().map_err(|_| BadRequest::Kind)? {
        PublicKey::RSA(rsa) => {
            let modulus = plain(rsa.modulus);
            let exponent = plain(rsa.exponent);
            weak::check(modulus, exponent).map_err(BadRequest::Weak)?;
            let (e, n) = (encoded(exponent), encoded(modulus));
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
        PublicKey::EC(point) => {
            let curve = key.algorithm.parameters.as_ref();
            let curve = curve.and_then(|parameters| parameters.as_oid().ok());
            let (name, length) = match curve {
                Some(curve) if curve == oid::OID_EC_P256 => ("P-256", 32),
                Some(curve) if curve == oid::OID_NIST_EC_P384 => ("P-384", 48),
                Some(_) | None => return Err(BadRequest::Kind),
            };
            // Uncompressed (SEC 1 §2.3.3), the only form in which a certificate has one (RFC 5480 §2.2).
            let (x, y) = point
                .data()
                .strip_prefix(&[0x04])
                .filter(|coordinates| coordinates.len() == 2 * length)
                .and_then(|coordinates| coordinates.split_at_checked(length))
                .ok_or(BadRequest::Kind)?;
            let (x, y) = (encoded(x), encoded(y));
            format!(r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        PublicKey::Unknown(bits) if key.algorithm.algorithm == oid::OID_SIG_ED25519 => {
            let x = encoded(bits);
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
        }
        PublicKey::Unknown(_)
        | PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_) => return Err(BadRequest::Kind),
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
    let bytes = digest.as_ref().try_into().map_err(|_| BadRequest::Kind)?;
    Ok(Thumbprint::from_bytes(bytes))
}

/// An unsigned number without the zero that keeps it positive in DER.
fn plain(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] => rest,
        whole => whole,
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Of what a request may be signed with. SHA-1 is not among them.
const ALGORITHMS: [oid::Oid<'static>; 6] = [
    oid::OID_SIG_ECDSA_WITH_SHA256,
    oid::OID_SIG_ECDSA_WITH_SHA384,
    oid::OID_SIG_ED25519,
    oid::OID_PKCS1_SHA256WITHRSA,
    oid::OID_PKCS1_SHA384WITHRSA,
    oid::OID_PKCS1_SHA512WITHRSA,
];

/// Room for a 4096-bit key and a list of names that nobody reads.
const MOST_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    fn request(key: &KeyPair) -> String {
        let params = CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap();
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    fn code(pem: &str) -> Code {
        verify(pem).unwrap_err().code()
    }

    #[test]
    fn the_key_is_taken_whatever_its_kind() {
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        for key in [KeyPair::generate().unwrap(), p384, ed25519] {
            let taken = verify(&request(&key)).unwrap();
            assert_eq!(taken.bits(), key.public_key_raw());
            assert_eq!(
                taken.info(),
                rcgen::PublicKeyData::subject_public_key_info(&key)
            );
        }
    }

    #[test]
    fn the_thumbprint_is_the_one_of_a_proof_by_the_same_key() {
        let key = KeyPair::generate().unwrap();
        let (x, y) = key.public_key_raw()[1..].split_at(32);
        let expected = writ_keys::jose::jwk_thumbprint_p256(&encoded(x), &encoded(y));
        let taken = verify(&request(&key)).unwrap();
        assert_eq!(taken.thumbprint().to_string(), expected);
    }

    #[test]
    fn a51_a_request_that_somebody_else_signed_or_that_was_changed_is_refused() {
        let (mine, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let der = CertificateParams::default()
            .serialize_request(&mine)
            .unwrap();
        let der = der.der().to_vec();
        let at = der
            .windows(65)
            .position(|part| part == mine.public_key_raw())
            .unwrap();
        let mut stolen = der.clone();
        stolen[at..at + 65].copy_from_slice(theirs.public_key_raw());
        let mut off_curve = der.clone();
        off_curve[at + 64] ^= 1;
        let mut changed = der.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bad in [stolen, off_curve, changed] {
            assert_eq!(code(&armoured(&bad)), Code::CsrInvalid);
        }
        let mut longer = der;
        longer.push(0);
        assert_eq!(code(&armoured(&longer)), Code::CsrInvalid);
    }

    #[test]
    fn text_that_is_not_one_request_is_refused() {
        let key = KeyPair::generate().unwrap();
        let good = request(&key);
        let long = format!("{}{good}", " ".repeat(MOST_BYTES));
        let certificate = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
        let twice = format!("{good}{good}");
        for bad in ["", "csr", &long, &certificate, &twice, &good[..100]] {
            assert_eq!(code(bad), Code::CsrInvalid);
        }
        let leaked = format!("{}{good}", key.serialize_pem());
        let refused = verify(&leaked).unwrap_err();
        assert!(refused.public().contains("private key"));
    }

    fn armoured(der: &[u8]) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    }
}
