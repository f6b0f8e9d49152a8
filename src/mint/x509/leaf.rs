//! The certificate of a workload: built from what was decided, looked over as a whole, and only then
//! given to the real key. What a request asked for is not known here.

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::domain::credential::{CredentialRecord, X509Svid};
use crate::domain::identity::SpiffeId;
use crate::domain::time::Timestamp;
use crate::domain::validity::BACKDATED;

/// What is to be certified.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    pub svid: &'a X509Svid,
    pub credential: &'a CredentialRecord,
    /// The lineage's own, and nobody else's.
    pub identity: &'a SpiffeId,
    pub trust_domain: &'a str,
    /// The URL below which each authority's revocation list is.
    pub lists: &'a str,
}

/// A certificate that was looked over. Only [`Leaf::lint`] makes one.
#[derive(Debug)]
pub struct Linted(CertificateParams);

impl Linted {
    pub const fn params(&self) -> &CertificateParams {
        &self.0
    }
}

/// What a certificate of a workload may not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate {0}")]
pub struct BadLeaf(pub(super) &'static str);

impl Leaf<'_> {
    /// Builds the certificate and looks it over.
    pub fn lint(self) -> Result<Linted, BadLeaf> {
        let params = self.build()?;
        looked_over(&params, self.trust_domain)?;
        Ok(Linted(params))
    }

    fn build(self) -> Result<CertificateParams, BadLeaf> {
        let unfit = |_| BadLeaf("has a name that is not ASCII");
        let uri = Ia5String::try_from(self.identity.as_str()).map_err(unfit)?;
        let authority = &self.svid.authority;
        // Who verifies looks at the URI; these name the record to whoever reads a log.
        let mut subject = DistinguishedName::new();
        let lineage = self.credential.lineage.to_string();
        subject.push(DnType::OrganizationalUnitName, lineage);
        subject.push(DnType::CommonName, self.credential.id.to_string());
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.serial_number = Some(SerialNumber::from_slice(self.svid.serial.as_bytes()));
        params.not_before = at(self.credential.issued_at.minus(BACKDATED))?;
        params.not_after = at(self.credential.expires_at)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = BOTH.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![format!("{}/{authority}", self.lists)],
        }];
        Ok(params)
    }
}

/// What sets one kind of end entity apart from another.
pub(super) struct Expected<'a> {
    /// Whether it has the names that it should, and what is wrong otherwise.
    pub(super) named: (bool, &'static str),
    pub(super) usages: &'a [ExtendedKeyUsagePurpose],
    pub(super) used: &'static str,
    /// With what it is backdated by.
    pub(super) longest: std::time::Duration,
}

/// Looks at what would be signed, whoever built it (X.509-SVID §2 to §4).
fn looked_over(params: &CertificateParams, trust_domain: &str) -> Result<(), BadLeaf> {
    let expected = Expected {
        named: (
            one_name(params, trust_domain),
            "is not for one workload of this trust domain",
        ),
        usages: &BOTH,
        used: "is not for both ends of TLS",
        longest: LONGEST,
    };
    lint(params, &expected)
}

/// What no end entity of this broker may be (RFC 5280 §4.1.2.2).
pub(super) fn lint(params: &CertificateParams, expected: &Expected<'_>) -> Result<(), BadLeaf> {
    let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes);
    let serial = serial.ok_or(BadLeaf("has no serial number"))?;
    let life = params.not_after - params.not_before;
    let longest = time::Duration::try_from(expected.longest);
    let longest = longest.map_err(|_| BadLeaf("lives too long"))?;
    let rules = [
        expected.named,
        (
            params.is_ca == IsCa::ExplicitNoCa,
            "does not say that it is no authority",
        ),
        (
            params.key_usages == [KeyUsagePurpose::DigitalSignature],
            "is for something other than signatures",
        ),
        (params.extended_key_usages == expected.usages, expected.used),
        (
            matches!(serial.as_slice(), [0x40..=0x7f, rest @ ..] if rest.len() == 15),
            "has a serial number of another kind",
        ),
        (
            life.is_positive() && life <= longest,
            "lives too long or not at all",
        ),
        (
            params.use_authority_key_identifier_extension,
            "does not name its authority",
        ),
        (
            params.crl_distribution_points.len() == 1,
            "does not say where its revocation is found",
        ),
        (
            params.custom_extensions.is_empty() && params.name_constraints.is_none(),
            "has extensions that nobody decided on",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, why)) => Err(BadLeaf(why)),
    }
}

/// Exactly one name, which is the SPIFFE ID of a workload in the authority's own trust domain.
fn one_name(params: &CertificateParams, trust_domain: &str) -> bool {
    let [SanType::URI(uri)] = params.subject_alt_names.as_slice() else {
        return false;
    };
    let id = uri.as_str().parse::<SpiffeId>();
    id.is_ok_and(|id| id.trust_domain() == trust_domain)
}

pub(super) fn at(time: Timestamp) -> Result<OffsetDateTime, BadLeaf> {
    OffsetDateTime::from_unix_timestamp(time.seconds())
        .map_err(|_| BadLeaf("is of a time that no calendar has"))
}

/// A workload is client and server (X.509-SVID §4.4).
const BOTH: [ExtendedKeyUsagePurpose; 2] = [
    ExtendedKeyUsagePurpose::ServerAuth,
    ExtendedKeyUsagePurpose::ClientAuth,
];

/// The ceiling of `certificate_ttl`, and what it is backdated by.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60 * 60 + BACKDATED.as_secs());

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CustomExtension, NameConstraints};

    use super::*;
    use crate::domain::credential::{CredentialKind, RecallClass};
    use crate::domain::ids::{CredentialId, LineageId, SessionId};
    use crate::domain::key::Thumbprint;
    use crate::domain::x509::Serial;
    use crate::seams::{Entropy as _, SystemEntropy};

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn svid() -> X509Svid {
        let mut key = [0; 12];
        SystemEntropy.fill(&mut key);
        let key = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, key);
        X509Svid {
            grant: "mesh".parse().unwrap(),
            serial: Serial::new(&SystemEntropy),
            authority: key.parse().unwrap(),
            key: Thumbprint::from_bytes([7; 32]),
        }
    }

    fn built(id: &str) -> CertificateParams {
        let svid = svid();
        let credential = CredentialRecord {
            id: CredentialId::new(NOW, &SystemEntropy),
            lineage: LineageId::new(NOW, &SystemEntropy),
            session: SessionId::new(NOW, &SystemEntropy),
            parent: None,
            kind: CredentialKind::X509Svid(svid.clone()),
            recall: RecallClass::List,
            issued_at: NOW,
            expires_at: NOW.plus(std::time::Duration::from_mins(10)),
        };
        let identity = id.parse().unwrap();
        let leaf = Leaf {
            svid: &svid,
            credential: &credential,
            identity: &identity,
            trust_domain: "example.org",
            lists: "https://writ.example/pki/crl",
        };
        leaf.build().unwrap()
    }

    fn judged(change: impl FnOnce(&mut CertificateParams)) -> Result<(), BadLeaf> {
        let mut params = built("spiffe://example.org/ci/1");
        change(&mut params);
        looked_over(&params, "example.org")
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).unwrap())
    }

    #[test]
    fn what_is_built_passes() {
        assert_eq!(judged(|_| {}), Ok(()));
    }

    #[test]
    fn a49_a50_a_certificate_for_anything_but_one_workload_here_is_never_signed() {
        let ids = [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org//a",
            "spiffe://example.org/%2e",
            "spiffe://example.org/./a",
            "spiffe://example.org/../a",
            "spiffe://example.org/a/",
            "spiffe://Example.org/a",
            "spiffe://example.org:80/a",
            "spiffe://u@example.org/a",
            "spiffe://example.org/a?b",
            "spiffe://example.com/ci/1",
            "https://example.org/ci/1",
        ];
        for id in ids {
            let judged = judged(|params| params.subject_alt_names = vec![uri(id)]);
            assert!(judged.is_err(), "{id}");
        }
        let long = format!("spiffe://example.org/{}", "x".repeat(2048));
        judged(|params| params.subject_alt_names = vec![uri(&long)]).unwrap_err();
        judged(|params| params.subject_alt_names.clear()).unwrap_err();
        judged(|params| params.subject_alt_names.push(uri("spiffe://example.org/b"))).unwrap_err();
        judged(|params| {
            let name = SanType::DnsName("ci.example.org".try_into().unwrap());
            params.subject_alt_names.push(name);
        })
        .unwrap_err();
    }

    #[test]
    fn a50_a_certificate_that_could_sign_or_says_too_little_is_never_signed() {
        type Change = fn(&mut CertificateParams);
        let changes: [Change; 12] = [
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            |p| p.is_ca = IsCa::NoCa,
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            |p| p.key_usages.clear(),
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
            |p| p.extended_key_usages.truncate(1),
            |p| p.serial_number = None,
            |p| p.serial_number = Some(SerialNumber::from(1)),
            |p| p.not_after = p.not_before + LONGEST + std::time::Duration::from_secs(1),
            |p| p.not_after = p.not_before,
            |p| p.crl_distribution_points.clear(),
            |p| p.use_authority_key_identifier_extension = false,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert!(judged(change).is_err(), "change {n}");
        }
        judged(|p| {
            let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![5, 0]);
            p.custom_extensions.push(extension);
        })
        .unwrap_err();
        judged(|p| {
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: Vec::new(),
                excluded_subtrees: Vec::new(),
            });
        })
        .unwrap_err();
    }
}
