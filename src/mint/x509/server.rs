//! The certificate of the broker's own TLS server, by its own authority: for the names and addresses that the
//! configuration gives, and for that one end of TLS. It is no SVID: it names no workload, and proves none.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    CertificateParams, CrlDistributionPoint, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use writ_keys::{KeyId, Keyring, Pki, ServerKey};

use crate::domain::host::Host;
use crate::domain::time::Timestamp;
use crate::domain::validity::BACKDATED;
use crate::domain::x509::Serial;
use crate::mint::x509::Unmade;
use crate::mint::x509::leaf::{BadLeaf, Expected, at, lint};

/// What is to be certified.
#[derive(Debug, Clone, Copy)]
pub struct ServerLeaf<'a> {
    pub hosts: &'a [Host],
    pub serial: Serial,
    pub authority: &'a KeyId,
    pub now: Timestamp,
    pub until: Timestamp,
}

/// Certifies the server's key: the chain in DER, end entity first.
pub fn certify(
    keys: &Keyring,
    pki: &Pki,
    leaf: ServerLeaf<'_>,
    key: &ServerKey,
) -> Result<[Vec<u8>; 2], Unmade> {
    let params = leaf.build(&pki.lists)?;
    looked_over(&params, leaf.hosts)?;
    let public = SubjectPublicKeyInfo::from_der(key.info())?;
    let made = keys.sign_certificate(leaf.authority, &params, &public)?;
    let intermediate = keys.intermediate(leaf.authority);
    let intermediate = intermediate.ok_or(Unmade::Withdrawn)?;
    Ok([made, intermediate.to_vec()])
}

impl ServerLeaf<'_> {
    fn build(self, lists: &str) -> Result<CertificateParams, BadLeaf> {
        let names = self.hosts.iter().map(name).collect::<Result<_, _>>()?;
        let mut params = CertificateParams::default();
        // Clients compare the names below; a subject would be a second place for one.
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        params.serial_number = Some(SerialNumber::from_slice(self.serial.as_bytes()));
        params.not_before = at(self.now.minus(BACKDATED))?;
        params.not_after = at(self.until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = SERVER.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![format!("{lists}/{}", self.authority)],
        }];
        Ok(params)
    }
}

/// Looks at what would be signed (RFC 5280 §4.2.1.6: without a subject the names are critical).
fn looked_over(params: &CertificateParams, hosts: &[Host]) -> Result<(), BadLeaf> {
    let names = params.subject_alt_names.as_slice();
    let same = |(name, host): (&SanType, &Host)| match (name, host) {
        (SanType::DnsName(name), Host::Name(host)) => name.as_str() == &**host,
        (SanType::IpAddress(address), Host::Address(host)) => address == host,
        _ => false,
    };
    let fits = !names.is_empty() && names.len() == hosts.len() && names.iter().zip(hosts).all(same);
    let expected = Expected {
        named: (
            fits,
            "is not for the configured names, and for nothing else",
        ),
        usages: &SERVER,
        used: "is not for a server alone",
        longest: SERVER_LIFE.saturating_add(BACKDATED),
    };
    lint(params, &expected)
}

fn name(host: &Host) -> Result<SanType, BadLeaf> {
    Ok(match host {
        Host::Name(name) => {
            let name = name.as_ref().try_into();
            SanType::DnsName(name.map_err(|_| BadLeaf("has a name that is not ASCII"))?)
        }
        Host::Address(address) => SanType::IpAddress(IpAddr::clone(address)),
    })
}

/// A client of the broker, with this certificate, it cannot be.
const SERVER: [ExtendedKeyUsagePurpose; 1] = [ExtendedKeyUsagePurpose::ServerAuth];

/// A key that leaked is worth a day at most, and a broker that cannot renew has half a day to be mended in.
pub const SERVER_LIFE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use rcgen::BasicConstraints;
    use rcgen::string::Ia5String;

    use super::*;
    use crate::seams::SystemEntropy;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn judged(change: impl FnOnce(&mut CertificateParams)) -> Result<(), BadLeaf> {
        let hosts = ["writ.example".parse().unwrap(), "10.0.0.5".parse().unwrap()];
        let key = "qqqqqqqqqqqqqqqq".parse().unwrap();
        let leaf = ServerLeaf {
            hosts: &hosts,
            serial: Serial::new(&SystemEntropy),
            authority: &key,
            now: NOW,
            until: NOW.plus(SERVER_LIFE),
        };
        let mut params = leaf.build("https://writ.example/pki/crl").unwrap();
        change(&mut params);
        looked_over(&params, &hosts)
    }

    type Change = fn(&mut CertificateParams);

    #[test]
    fn a50_what_is_not_a_server_of_the_configured_names_is_never_signed() {
        assert_eq!(judged(|_| {}), Ok(()));
        let uri = |text: &str| SanType::URI(Ia5String::try_from(text).unwrap());
        let changes: [Change; 9] = [
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            |p| {
                p.extended_key_usages
                    .insert(0, ExtendedKeyUsagePurpose::ClientAuth);
            },
            |p| p.extended_key_usages.clear(),
            |p| p.subject_alt_names.clear(),
            |p| p.subject_alt_names.truncate(1),
            |p| p.subject_alt_names.reverse(),
            |p| p.not_after += Duration::from_secs(1),
            |p| p.serial_number = None,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert!(judged(change).is_err(), "change {n}");
        }
        judged(|p| p.subject_alt_names.push(uri("spiffe://example.org/ci/1"))).unwrap_err();
        judged(|p| p.subject_alt_names = vec![uri("spiffe://example.org/ci/1"); 2]).unwrap_err();
    }
}
