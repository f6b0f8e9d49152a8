//! The `spiffe` crate judges our SVIDs by the bundle alone: it believes what the broker made, and refuses what
//! the broker refuses.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;

use super::svid::Job;
use crate::peers::peers;
use crate::support::process::within;
use crate::support::token::claims;

const MINUTE: i64 = 60;

impl Job {
    /// What `spiffe` says of these, by the bundle that the broker serves.
    async fn judged(&self, jwts: &Value, certificates: &Value) -> Value {
        let url = format!("{}/svid/bundle", self.broker.issuer);
        let bundle = self.client.http.get(url).send().await.unwrap();
        let asked = json!({
            "trust_domain": "test.example",
            "bundle": bundle.json::<Value>().await.unwrap(),
            "audience": self.broker.issuer,
            "jwts": jwts,
            "certificates": certificates,
        });
        let program = peers("spiffe").join("target/debug/writ-peer-spiffe");
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the peer is not built: run tests/setup");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(asked.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let output = within(child.wait_with_output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn workload(&self) -> Value {
        claims(self.token.text("access_token"))["sub"].clone()
    }

    /// A certificate of this job over a key, with how long it is good.
    async fn certified(&self, key: &KeyPair) -> (String, i64) {
        let csr = CertificateParams::default().serialize_request(key).unwrap();
        let csr = csr.pem().unwrap();
        let answer = self.client.certificate(&csr, &self.token, Some(&self.key));
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (
            answer.text("certificate").to_owned(),
            self.broker.clock.now().seconds(),
        )
    }
}

/// A token with another part in place of one of its three.
fn with_part(token: &str, n: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[n] = part;
    parts.join(".")
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn spiffe_believes_a_jwt_svid_and_refuses_what_the_broker_refuses() {
    let (job, stranger) = (Job::new().await, Job::new().await);
    let svid = job.svid(&job.broker.issuer).await;
    let mut elsewhere = claims(&svid);
    elsewhere["sub"] = json!("spiffe://other.example/github/1/2");
    let mut promoted = claims(&svid);
    promoted["sub"] = json!("spiffe://test.example/admin");
    let signature = svid.rsplit('.').next().unwrap();
    let unsigned = with_part(&svid, 0, &encoded(&json!({ "alg": "none", "typ": "JWT" })));
    let bad = [
        (
            "for another service",
            job.svid("https://db.example").await,
            "InvalidAudience",
        ),
        (
            "of another authority",
            stranger.svid(&stranger.broker.issuer).await,
            "cannot find JWT authority",
        ),
        (
            "of another trust domain",
            with_part(&svid, 1, &encoded(&elsewhere)),
            "cannot find JWT bundle",
        ),
        (
            "of another workload",
            with_part(&svid, 1, &encoded(&promoted)),
            "InvalidSignature",
        ),
        (
            "cut",
            with_part(&svid, 2, &signature[..signature.len() - 2]),
            "Invalid",
        ),
        ("unsigned", with_part(&unsigned, 2, ""), "not supported"),
        (
            "an access token",
            job.token.text("access_token").to_owned(),
            "'typ'",
        ),
    ];
    let all = bad.iter().map(|(which, token, _)| (*which, token));
    let all: Map<String, Value> = all
        .chain([("good", &svid)])
        .map(|(which, token)| (which.to_owned(), token.clone().into()))
        .collect();
    let told = job.judged(&all.into(), &json!({})).await;
    assert_eq!(told["jwts"]["good"], json!({ "believed": job.workload() }));
    assert!(told["authorities"]["jwt"].as_u64() >= Some(1), "{told}");

    let before = job.broker.recorded().await;
    for (which, token, why) in &bad {
        assert_refused(&told["jwts"][which], which, why);
        let key = SessionKey::generate().unwrap();
        let answer = job.ask(token, &key).await;
        assert_eq!(answer.status, 400, "{which}: {answer:?}");
        assert!(answer.json.get("access_token").is_none());
    }
    assert_eq!(job.broker.recorded().await, before);
    let key = SessionKey::generate().unwrap();
    job.ask(&svid, &key).await.assert_issued();
}

#[tokio::test]
async fn spiffe_refuses_a_jwt_svid_from_its_end_on() {
    let job = Job::holding("1s").await;
    let svid = job.svid(&job.broker.issuer).await;
    // It reads the machine's clock, and is asked until that has passed the end.
    let over = async {
        loop {
            let told = job.judged(&json!({ "one": svid }), &json!({})).await;
            if let Some(why) = told["jwts"]["one"]["refused"].as_str() {
                break why.to_owned();
            }
        }
    };
    let why = within(over).await;
    assert!(why.contains("ExpiredSignature"), "{why}");
}

#[tokio::test]
async fn spiffe_reads_an_x509_svid_and_the_path_to_the_bundles_root() {
    let (job, stranger) = (Job::new().await, Job::new().await);
    let key = KeyPair::generate().unwrap();
    let (chain, now) = job.certified(&key).await;
    let (strange, _) = stranger.certified(&key).await;
    let key = key.serialize_pem();
    let shown = |chain: &str, at: i64| json!({ "chain": chain, "key": key, "at": at });
    let bad = [
        (
            "before its time",
            shown(&chain, now - MINUTE),
            "CertNotValidYet",
        ),
        ("expired", shown(&chain, now + 6 * MINUTE), "CertExpired"),
        (
            "tampered",
            shown(&tampered(&chain), now),
            "InvalidSignature",
        ),
        (
            "without its intermediate",
            shown(&first_of(&chain), now),
            "UnknownIssuer",
        ),
        (
            "of another authority",
            shown(&strange, now),
            "UnknownIssuer",
        ),
        (
            "of another trust domain",
            shown(&foreign("spiffe://other.example/a"), now),
            "no bundle",
        ),
        (
            "of nobody",
            shown(&foreign("https://test.example/a"), now),
            "missing SPIFFE ID",
        ),
    ];
    let all = bad.iter().map(|(which, shown, _)| (*which, shown.clone()));
    let all: Map<String, Value> = all
        .chain([("good", shown(&chain, now))])
        .map(|(which, shown)| (which.to_owned(), shown))
        .collect();
    let told = job.judged(&json!({}), &all.into()).await;
    assert_eq!(told["authorities"]["x509"], 1);
    let good = &told["certificates"]["good"];
    assert_eq!(*good, json!({ "believed": job.workload() }));
    for (which, _, why) in bad {
        assert_refused(&told["certificates"][which], which, why);
    }
}

#[track_caller]
fn assert_refused(verdict: &Value, which: &str, why: &str) {
    let told = verdict["refused"].as_str();
    assert!(
        told.is_some_and(|told| told.contains(why)),
        "{which}: {verdict}"
    );
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn first_of(chain: &str) -> String {
    pem(&CertificateDer::from_pem_slice(chain.as_bytes()).unwrap())
}

/// The chain with one bit of the leaf's signature turned over.
fn tampered(chain: &str) -> String {
    let mut all: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .map(|one| one.unwrap().to_vec())
        .collect();
    *all[0].last_mut().unwrap() ^= 1;
    all.iter().map(|der| pem(der)).collect()
}

/// A leaf with this name, by an authority of its own.
fn foreign(name: &str) -> String {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(params, authority);
    let mut leaf = CertificateParams::default();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    leaf.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    leaf.signed_by(&key, &issuer).unwrap().pem()
}
