//! The `spiffe` crate as a relying party that never asks the broker: it is given the trust domain's bundle
//! document, and says of each SVID whether it believes it. Reads one JSON document from standard input and
//! writes one to standard output.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spiffe::{JwtBundle, JwtBundleSet, JwtSvid, TrustDomain, X509Bundle, X509BundleSet, X509Svid};
use webpki::ring::{ECDSA_P256_SHA256, ECDSA_P384_SHA384};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    trust_domain: String,
    /// The bundle document, as it is served.
    bundle: Value,
    /// Whom JWT-SVIDs have to be for.
    audience: String,
    jwts: BTreeMap<String, String>,
    certificates: BTreeMap<String, Shown>,
}

/// A certificate with its chain and key, at a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    chain: String,
    key: String,
    /// Seconds since 1970.
    at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Believed(String),
    Refused(String),
}

fn main() -> Fallible<()> {
    let asked: Asked = serde_json::from_reader(std::io::stdin())?;
    let trust_domain = TrustDomain::new(&asked.trust_domain)?;
    let (keys, roots) = bundles(&trust_domain, &asked.bundle)?;
    let authorities = json!({
        "jwt": keys.jwt_authorities().count(),
        "x509": roots.authorities().len(),
    });
    let (mut jwt_bundles, mut x509_bundles) = (JwtBundleSet::new(), X509BundleSet::new());
    jwt_bundles.add_bundle(keys);
    x509_bundles.add_bundle(roots);

    let jwts = asked.jwts.iter().map(|(name, token)| {
        let read = JwtSvid::parse_and_validate(token, &jwt_bundles, &[&asked.audience]);
        (
            name,
            verdict(
                read.map(|svid| svid.spiffe_id().to_string())
                    .map_err(Into::into),
            ),
        )
    });
    let jwts: BTreeMap<_, _> = jwts.collect();
    let certificates = asked.certificates.iter();
    let certificates =
        certificates.map(|(name, shown)| (name, verdict(certified(shown, &x509_bundles))));
    let certificates: BTreeMap<_, _> = certificates.collect();
    let told = json!({ "authorities": authorities, "jwts": jwts, "certificates": certificates });
    println!("{told}");
    Ok(())
}

/// The two bundles in a bundle document: SPIFFE Trust Domain and Bundle, section 4.
fn bundles(trust_domain: &TrustDomain, document: &Value) -> Fallible<(JwtBundle, X509Bundle)> {
    let mut keys = JwtBundle::new(trust_domain.clone());
    let mut roots = X509Bundle::new(trust_domain.clone());
    for jwk in document["keys"].as_array().ok_or("no keys")? {
        match jwk["use"].as_str() {
            Some("jwt-svid") => keys.add_jwk_authority_json(jwk.to_string().as_bytes())?,
            Some("x509-svid") => {
                let certificate = jwk["x5c"][0].as_str().ok_or("no x5c")?;
                // A PEM body is base64 as `x5c` has it.
                let pem = format!(
                    "-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"
                );
                roots.add_authority(&CertificateDer::from_pem_slice(pem.as_bytes())?)?;
            }
            other => return Err(format!("a key for {other:?}").into()),
        }
    }
    Ok((keys, roots))
}

/// `spiffe` reads the SVID and finds its trust domain's authorities; it walks no path, which `webpki` does
/// from what it found.
fn certified(shown: &Shown, bundles: &X509BundleSet) -> Fallible<String> {
    let chain =
        CertificateDer::pem_slice_iter(shown.chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes())?;
    let chain: Vec<u8> = chain.iter().flat_map(|one| one.to_vec()).collect();
    let svid = X509Svid::parse_from_der(&chain, key.secret_der())?;
    let bundle = bundles.get(svid.spiffe_id().trust_domain());
    let bundle = bundle.ok_or("no bundle of this trust domain")?;

    let roots: Vec<_> = bundle
        .authorities()
        .iter()
        .map(|root| CertificateDer::from(root.as_bytes()))
        .collect();
    let anchors = roots
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()?;
    let between: Vec<_> = svid.cert_chain()[1..]
        .iter()
        .map(|one| CertificateDer::from(one.as_bytes()))
        .collect();
    let leaf = CertificateDer::from(svid.leaf().as_bytes());
    let leaf = EndEntityCert::try_from(&leaf)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(shown.at));
    let algorithms = [ECDSA_P256_SHA256, ECDSA_P384_SHA384];
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        leaf.verify_for_usage(&algorithms, &anchors, &between, now, usage, None, None)?;
    }
    Ok(svid.spiffe_id().to_string())
}

/// A verdict with every reason behind a refusal.
fn verdict(read: Fallible<String>) -> Verdict {
    let why = match read {
        Ok(id) => return Verdict::Believed(id),
        Err(why) => why,
    };
    let mut told = why.to_string();
    let mut behind = why.source();
    while let Some(reason) = behind {
        told = format!("{told}: {reason}");
        behind = reason.source();
    }
    Verdict::Refused(told)
}
