//! Certificates of the broker's own authorities: a root that signs itself, intermediates below it.
//!
//! Each is named by its key's id, so that no two authorities share a subject, and has the trust domain
//! as its SPIFFE ID, without a path (X.509-SVID §3.2).

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::authority;
use crate::entropy::{Entropy, ring_random};
use crate::error::CustodyError;
use crate::purpose::{KeyState, Purpose};
use crate::row::{KeyId, KeyRow, Maker};

/// What authorities are called and where they publish.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The trust domain, without its scheme.
    pub trust_domain: String,
    /// The URL below which each authority's revocation list is, by the authority's id.
    pub lists: String,
}

impl Maker<'_> {
    /// A certificate over the public half of `private`.
    pub(crate) fn certificate(
        &self,
        purpose: Purpose,
        id: &KeyId,
        private: &[u8],
        now: i64,
        known: &[KeyRow],
    ) -> Result<Vec<u8>, CustodyError> {
        let failed = CustodyError::Certificate;
        let key = CaKey::parse(private).ok_or(CustodyError::Generation { purpose })?;
        let made = if purpose == Purpose::CaRoot {
            let params = self.params("root", 1, id, now, ROOT_LIFE)?;
            params.self_signed(&key).map_err(failed)?
        } else {
            let root = known
                .iter()
                .find(|row| row.purpose == Purpose::CaRoot && row.state == KeyState::Active)
                .ok_or(CustodyError::NoActiveKey {
                    purpose: Purpose::CaRoot,
                })?;
            let signer = authority::parse(root, &root.open(self.kek)?)?;
            let mut params = self.params("intermediate", 0, id, now, INTERMEDIATE_LIFE)?;
            params.not_after = params.not_after.min(signer.ends);
            params.use_authority_key_identifier_extension = true;
            params.crl_distribution_points = vec![CrlDistributionPoint {
                uris: vec![format!("{}/{}", self.pki.lists, root.id)],
            }];
            params.signed_by(&key, &signer.issuer).map_err(failed)?
        };
        Ok(made.der().to_vec())
    }

    fn params(
        &self,
        role: &str,
        below: u8,
        id: &KeyId,
        now: i64,
        life: Duration,
    ) -> Result<CertificateParams, CustodyError> {
        let now = OffsetDateTime::from_unix_timestamp(now.div_euclid(1_000_000))
            .map_err(|_| CustodyError::Certificate(rcgen::Error::Time))?;
        let uri = format!("spiffe://{}", self.pki.trust_domain);
        let uri = Ia5String::try_from(uri).map_err(CustodyError::Certificate)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, format!("Writ {role} {id}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.not_before = now.saturating_sub(BACKDATED);
        params.not_after = now.saturating_add(life);
        params.serial_number = Some(serial(self.entropy));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }
}

/// The private half of an authority, as rcgen signs with it.
pub(crate) struct CaKey(EcdsaKeyPair);

impl CaKey {
    /// From PKCS#8; none when it is no P-256 key.
    pub(crate) fn parse(private: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private, &ring_random())
            .ok()
            .map(Self)
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let made = self.0.sign(&ring_random(), message);
        made.map(|signature| signature.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// Reads one certificate, and nothing behind it.
pub(crate) fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// The public key of a certificate, as its bit string.
pub(crate) fn bare_key(der: &[u8]) -> Option<Vec<u8>> {
    read(der).map(|read| read.public_key().subject_public_key.data.to_vec())
}

/// 126 random bits: positive, never zero, and of one length in DER (RFC 5280 §4.1.2.2).
fn serial(entropy: &dyn Entropy) -> SerialNumber {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

/// Verifiers that keep the root in a file take a new one by hand: rarely.
const ROOT_LIFE: Duration = Duration::days(3650);

/// Longer than keys are ever left in use: see the ceiling of `rotate_after`.
const INTERMEDIATE_LIFE: Duration = Duration::days(400);

/// For verifiers whose clocks are a little behind.
const BACKDATED: Duration = Duration::seconds(10);
