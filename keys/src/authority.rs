//! The certificate authorities of an installation, opened: the active intermediate signs certificates
//! of workloads, every one that is trusted signs its revocation list, and roots are trusted by others.
//!
//! The private half of a retired intermediate stays in memory, because what it signed may still live
//! and its list has to be fresh.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyUsagePurpose,
    SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

use crate::certificate::{CaKey, bare_key, read};
use crate::error::CustodyError;
use crate::family::{Family, malformed};
use crate::kek::KeyEncryptionKey;
use crate::keyring::Keyring;
use crate::purpose::{KeyState, Purpose};
use crate::row::{KeyId, KeyRow};
use crate::tokens::coordinates;

/// The authorities that are trusted, and the intermediates that no longer are.
pub(crate) struct Authorities {
    pub(crate) roots: Family<Signer>,
    pub(crate) intermediates: Family<Signer>,
    withdrawn: Vec<(KeyId, Withdrawn)>,
}

/// One opened authority.
pub(crate) struct Signer {
    pub(crate) issuer: Issuer<'static, CaKey>,
    certificate: Vec<u8>,
    pub(crate) ends: OffsetDateTime,
}

/// The authority that signs certificates of workloads now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its key.
    pub id: KeyId,
    /// The end of its certificate, in UTC seconds: nothing it signs may outlive it.
    pub ends: i64,
}

/// An intermediate that was withdrawn before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The serial number of its certificate, big-endian.
    pub serial: Vec<u8>,
    /// When it was withdrawn, in UTC microseconds.
    pub at: i64,
    /// The end of its certificate, in UTC seconds.
    pub ends: i64,
}

impl Authorities {
    /// Opens every trusted authority. What the database says of a certificate is believed only under
    /// the signature of a root whose key is here.
    pub(crate) fn open(kek: &KeyEncryptionKey, rows: &[KeyRow]) -> Result<Self, CustodyError> {
        let roots = Family::open(kek, rows, Purpose::CaRoot, parse)?;
        let mut intermediates = Family::open(kek, rows, Purpose::CaIntermediate, parse)?;
        let under = |signer: &Signer| signer_of(&roots, &signer.certificate).is_some();
        if !under(&intermediates.active.key) {
            let id = intermediates.active.id;
            return Err(CustodyError::Orphan { id });
        }
        intermediates.retain_others(under);
        let withdrawn = rows.iter().filter_map(|row| withdrawn(row, &roots));
        Ok(Self {
            withdrawn: withdrawn.collect(),
            roots,
            intermediates,
        })
    }

    fn signer(&self, id: &str) -> Option<&Signer> {
        self.intermediates.find(id).or_else(|| self.roots.find(id))
    }
}

impl Keyring {
    /// The authority that signs certificates of workloads now.
    pub fn authority(&self) -> Authority {
        let active = &self.0.authorities.intermediates.active;
        Authority {
            id: active.id.clone(),
            ends: active.key.ends.unix_timestamp(),
        }
    }

    /// Signs a workload's certificate, in DER. An authority that was retired since it was chosen still
    /// signs; a withdrawn one does not.
    ///
    /// # Errors
    /// [`CustodyError::NotALeaf`]: nothing that could sign in its turn, or outlive the authority.
    pub fn sign_certificate(
        &self,
        authority: &KeyId,
        params: &CertificateParams,
        key: &SubjectPublicKeyInfo,
    ) -> Result<Vec<u8>, CustodyError> {
        let signer = self.0.authorities.intermediates.find(authority.as_str());
        let signer = signer.ok_or_else(|| CustodyError::UnknownKey {
            id: authority.clone(),
        })?;
        let signs = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let leaf = params.is_ca == IsCa::ExplicitNoCa
            && !params.key_usages.iter().any(|usage| signs.contains(usage))
            && params.not_after <= signer.ends;
        if !leaf {
            return Err(CustodyError::NotALeaf);
        }
        let made = params.signed_by(key, &signer.issuer);
        let made = made.map_err(CustodyError::Certificate)?;
        Ok(made.der().to_vec())
    }

    /// Signs a revocation list of an authority, root or intermediate, in DER.
    pub fn sign_revocations(
        &self,
        authority: &KeyId,
        list: &CertificateRevocationListParams,
    ) -> Result<Vec<u8>, CustodyError> {
        let signer = self.0.authorities.signer(authority.as_str());
        let signer = signer.ok_or_else(|| CustodyError::UnknownKey {
            id: authority.clone(),
        })?;
        let made = list.signed_by(&signer.issuer);
        Ok(made.map_err(CustodyError::Certificate)?.der().to_vec())
    }

    /// The certificate of a trusted intermediate, in DER.
    pub fn intermediate(&self, id: &KeyId) -> Option<&[u8]> {
        let signer = self.0.authorities.intermediates.find(id.as_str());
        signer.map(|signer| signer.certificate.as_slice())
    }

    /// Every trusted intermediate by its key, the active one first.
    pub fn intermediates(&self) -> impl Iterator<Item = &KeyId> {
        self.0.authorities.intermediates.all().map(|held| &held.id)
    }

    /// Every trusted root by its key and with its certificate in DER, the active one first.
    pub fn roots(&self) -> impl Iterator<Item = (&KeyId, &[u8])> {
        let roots = self.0.authorities.roots.all();
        roots.map(|held| (&held.id, held.key.certificate.as_slice()))
    }

    /// The roots as JWKs of a bundle (X.509-SVID §6.1).
    pub(crate) fn root_jwks(&self) -> impl Iterator<Item = serde_json::Value> {
        self.roots().filter_map(|(_, der)| {
            let (x, y) = coordinates(&bare_key(der)?)?;
            Some(serde_json::json!({
                "kty": "EC",
                "crv": "P-256",
                "x": x,
                "y": y,
                "use": "x509-svid",
                "x5c": [STANDARD.encode(der)],
            }))
        })
    }

    /// The intermediates below a root that were withdrawn.
    pub fn withdrawn_below(&self, root: &KeyId) -> impl Iterator<Item = &Withdrawn> {
        let all = self.0.authorities.withdrawn.iter();
        all.filter(move |(signed_by, _)| signed_by == root)
            .map(|(_, withdrawn)| withdrawn)
    }

    /// Whether a trusted intermediate is below this root.
    pub fn stands_on(&self, root: &KeyId) -> bool {
        let authorities = &self.0.authorities;
        let mut trusted = authorities.intermediates.all();
        trusted.any(|held| signer_of(&authorities.roots, &held.key.certificate) == Some(root))
    }
}

/// The authority of a row, if its certificate is over its own key.
pub(crate) fn parse(row: &KeyRow, private: &[u8]) -> Result<Signer, CustodyError> {
    let key = CaKey::parse(private).ok_or_else(|| malformed(row))?;
    let differs = || CustodyError::RowPublicDiffers { id: row.id.clone() };
    let der = row.public.as_deref().ok_or_else(differs)?;
    let certificate = read(der).ok_or_else(differs)?;
    let own =
        *certificate.public_key().subject_public_key.data == *rcgen::PublicKeyData::der_bytes(&key);
    let signed = row.purpose != Purpose::CaRoot || certificate.verify_signature(None).is_ok();
    if !own || !signed || !certificate.is_ca() {
        return Err(differs());
    }
    let ends = certificate.validity().not_after.to_datetime();
    let issuer = Issuer::from_ca_cert_der(&der.into(), key).map_err(CustodyError::Certificate)?;
    Ok(Signer {
        issuer,
        certificate: der.to_vec(),
        ends,
    })
}

/// The root that signed a certificate.
fn signer_of<'a>(roots: &'a Family<Signer>, certificate: &[u8]) -> Option<&'a KeyId> {
    let certificate = read(certificate)?;
    let signed_by = |root: &X509Certificate<'_>| {
        certificate.issuer() == root.subject()
            && certificate
                .verify_signature(Some(root.public_key()))
                .is_ok()
    };
    let mut all = roots.all();
    all.find(|held| read(&held.key.certificate).is_some_and(|root| signed_by(&root)))
        .map(|held| &held.id)
}

fn withdrawn(row: &KeyRow, roots: &Family<Signer>) -> Option<(KeyId, Withdrawn)> {
    if row.purpose != Purpose::CaIntermediate || row.state != KeyState::Withdrawn {
        return None;
    }
    let der = row.public.as_deref()?;
    let (root, certificate) = (signer_of(roots, der)?, read(der)?);
    let withdrawn = Withdrawn {
        serial: certificate.raw_serial().to_vec(),
        at: row.changed_at,
        ends: certificate.validity().not_after.timestamp(),
    };
    Some((root.clone(), withdrawn))
}

#[cfg(test)]
mod tests {
    use rcgen::{DistinguishedName, DnType, SerialNumber};

    use super::*;
    use crate::fixtures::{MADE_AT, add, kek, of, rows};

    fn open(rows: &[KeyRow]) -> Keyring {
        Keyring::open(&kek(), rows).unwrap()
    }

    fn subject() -> SubjectPublicKeyInfo {
        let key = rcgen::KeyPair::generate().unwrap();
        SubjectPublicKeyInfo::from_der(&rcgen::PublicKeyData::subject_public_key_info(&key))
            .unwrap()
    }

    fn leaf(ends: i64) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_before = OffsetDateTime::from_unix_timestamp(MADE_AT / 1_000_000).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(ends).unwrap();
        params
    }

    #[test]
    fn an_intermediate_chains_to_its_root_and_both_are_named_by_the_trust_domain() {
        let keyring = open(&rows());
        let authority = keyring.authority();
        let intermediate = read(keyring.intermediate(&authority.id).unwrap()).unwrap();
        let (id, root) = keyring.roots().next().unwrap();
        let root = read(root).unwrap();
        intermediate
            .verify_signature(Some(root.public_key()))
            .unwrap();
        for certificate in [&intermediate, &root] {
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            let shown = format!("{:?}", names.value.general_names);
            assert_eq!(shown, "[URI(\"spiffe://example.org\")]");
            let usage = certificate.key_usage().unwrap().unwrap();
            assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
            assert!(!usage.value.digital_signature());
        }
        let constraints = intermediate.basic_constraints().unwrap().unwrap().value;
        assert_eq!(constraints.path_len_constraint, Some(0));
        assert!(keyring.stands_on(id));
        assert!(authority.ends <= root.validity().not_after.timestamp());
    }

    #[test]
    fn nothing_that_could_sign_or_outlive_its_authority_is_signed() {
        let keyring = open(&rows());
        let Authority { id, ends } = keyring.authority();
        let key = subject();
        let made = keyring.sign_certificate(&id, &leaf(ends), &key).unwrap();
        let intermediate = read(keyring.intermediate(&id).unwrap()).unwrap();
        let made = read(&made).unwrap();
        made.verify_signature(Some(intermediate.public_key()))
            .unwrap();

        let mut signs = leaf(ends);
        signs.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let mut authority = leaf(ends);
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let mut silent = leaf(ends);
        silent.is_ca = IsCa::NoCa;
        for bad in [signs, authority, silent, leaf(ends + 1)] {
            let refused = keyring.sign_certificate(&id, &bad, &key).unwrap_err();
            assert_eq!(refused.code(), "not_a_leaf");
        }
        // A root signs no workload.
        let root = keyring.active_id(Purpose::CaRoot).clone();
        let refused = keyring.sign_certificate(&root, &leaf(ends), &key);
        assert_eq!(refused.unwrap_err().code(), "key_unknown");
    }

    #[test]
    fn a_withdrawn_intermediate_signs_nothing_and_its_root_can_say_so() {
        let mut rows = rows();
        let root = open(&rows).active_id(Purpose::CaRoot).clone();
        let old = open(&rows).authority().id;
        let serial = read(open(&rows).intermediate(&old).unwrap())
            .unwrap()
            .raw_serial()
            .to_vec();
        add(&mut rows, Purpose::CaIntermediate, KeyState::Prepared);
        of(&mut rows, Purpose::CaIntermediate).state = KeyState::Retired;
        rows.last_mut().unwrap().state = KeyState::Active;

        let overlap = open(&rows);
        let key = subject();
        assert_ne!(overlap.authority().id, old);
        assert_eq!(overlap.intermediates().count(), 2);
        let list = CertificateRevocationListParams {
            this_update: OffsetDateTime::from_unix_timestamp(1).unwrap(),
            next_update: OffsetDateTime::from_unix_timestamp(2).unwrap(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        overlap.sign_revocations(&old, &list).unwrap();

        of(&mut rows, Purpose::CaIntermediate).state = KeyState::Withdrawn;
        let after = open(&rows);
        let ends = after.authority().ends;
        let refused = after.sign_certificate(&old, &leaf(ends), &key).unwrap_err();
        assert_eq!(refused.code(), "key_unknown");
        let refused = after.sign_revocations(&old, &list).unwrap_err();
        assert_eq!(refused.code(), "key_unknown");
        let known: Vec<_> = after.withdrawn_below(&root).collect();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].serial, serial);
    }

    #[test]
    fn a_root_is_replaced_with_overlap_and_withdrawn_only_when_nothing_stands_on_it() {
        let mut rows = rows();
        let old = open(&rows).active_id(Purpose::CaRoot).clone();
        of(&mut rows, Purpose::CaRoot).state = KeyState::Retired;
        add(&mut rows, Purpose::CaRoot, KeyState::Active);
        let overlap = open(&rows);
        assert_eq!(overlap.roots().count(), 2);
        assert!(overlap.stands_on(&old));

        of(&mut rows, Purpose::CaRoot).state = KeyState::Withdrawn;
        let refused = Keyring::open(&kek(), &rows).unwrap_err();
        assert_eq!(refused.code(), "key_orphan");

        of(&mut rows, Purpose::CaIntermediate).state = KeyState::Retired;
        add(&mut rows, Purpose::CaIntermediate, KeyState::Active);
        let after = open(&rows);
        assert!(!after.stands_on(&old));
        assert_eq!(after.roots().count(), 1);
        assert_eq!(after.intermediates().count(), 1, "an orphan is dropped");
    }

    #[test]
    fn a_certificate_that_another_root_signed_is_found() {
        let mut mine = rows();
        let theirs = rows();
        let exchanged = theirs
            .iter()
            .find(|row| row.purpose == Purpose::CaRoot)
            .unwrap();
        let root = of(&mut mine, Purpose::CaRoot);
        *root = exchanged.clone();
        assert_eq!(
            Keyring::open(&kek(), &mine).unwrap_err().code(),
            "key_orphan"
        );
    }

    #[test]
    fn nobody_else_is_certified_for_a_key_of_the_brokers() {
        let rows = rows();
        let keyring = open(&rows);
        let certificate = keyring.roots().next().unwrap().1;
        assert!(keyring.owns(&crate::certificate::bare_key(certificate).unwrap()));
        let token = rows.iter().find(|row| row.purpose == Purpose::AccessToken);
        assert!(keyring.owns(token.unwrap().public.as_deref().unwrap()));
        assert!(!keyring.owns(rcgen::PublicKeyData::der_bytes(&subject())));
    }
}
