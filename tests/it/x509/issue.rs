//! What is certified, and what is not.

use std::time::Duration;

use serde_json::json;
use writ::broker::revoke::Ending;
use writ::domain::credential::{CredentialKind, RecallClass};
use writ::seams::Clock as _;

use super::held;
use super::openssl::{Desk, ED25519, P256, P384, P521, RSA};
use crate::support::broker::environment;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn openssl_believes_a_chain_over_each_kind_of_key() {
    let held = held().await;
    let desk = Desk::new();
    for kind in [P256, P384, ED25519, RSA] {
        let made = desk.request(kind, &[]);
        let answer = held.certified(&made.csr).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        for purpose in ["sslclient", "sslserver"] {
            let believed = held.believed(&desk, &answer, &["-purpose", purpose]);
            assert_eq!(believed, Ok(()), "{kind:?}");
        }
        let certified = desk.told(&["x509", "-in", "chain.pem", "-noout", "-pubkey"]);
        let own = desk.told(&["pkey", "-in", "key.pem", "-pubout"]);
        assert_eq!(certified, own);
    }
    let published = format!("{}/pki/roots.pem", held.broker.issuer);
    let published = held.client.http.get(published).send().await.unwrap();
    assert_eq!(published.text().await.unwrap(), desk.read("roots.pem"));
}

#[tokio::test]
async fn a51_a_request_is_given_the_lineages_name_and_nothing_that_it_asks_for() {
    let held = held().await;
    let desk = Desk::new();
    let made = desk.request(
        P256,
        &[
            "-addext",
            "subjectAltName=DNS:*.example.org,IP:10.0.0.1,URI:spiffe://example.org/admin",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-addext",
            "extendedKeyUsage=anyExtendedKeyUsage",
        ],
    );
    let answer = held.certified(&made.csr).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(held.believed(&desk, &answer, &[]), Ok(()));
    let extensions = "subjectAltName,basicConstraints,keyUsage,extendedKeyUsage";
    let told = desk.told(&["x509", "-in", "chain.pem", "-noout", "-ext", extensions]);
    let lines: Vec<_> = told.lines().map(str::trim).collect();
    let id = answer.text("spiffe_id");
    assert_eq!(
        lines,
        [
            "X509v3 Subject Alternative Name:",
            &format!("URI:{id}"),
            "X509v3 Key Usage: critical",
            "Digital Signature",
            "X509v3 Extended Key Usage:",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "X509v3 Basic Constraints: critical",
            "CA:FALSE",
        ]
    );
    let subject = desk.told(&["x509", "-in", "chain.pem", "-noout", "-subject"]);
    assert!(!subject.contains("root"), "{subject}");
    assert!(subject.contains(answer.text("id")), "{subject}");
}

#[tokio::test]
async fn a51_weak_keys_other_kinds_and_broken_requests_are_not_certified() {
    let held = held().await;
    let desk = Desk::new();
    let weak: [&[&str]; 4] = [
        &["-newkey", "rsa:1024"],
        &["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
        P521,
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    ];
    for kind in weak {
        let made = desk.request(kind, &[]);
        let refused = held.certified(&made.csr).await;
        refused.assert_refused(400, "key_refused");
        assert_eq!(refused.field(), "csr");
    }
    let sha1 = desk.request(RSA, &["-sha1"]);
    let good = desk.request(P256, &[]);
    let cut = good.csr.replacen("MI", "MJ", 1);
    let with_key = format!("{}{}", good.csr, good.key);
    for bad in [&sha1.csr, &cut, &with_key, &good.key, "", "-----BEGIN"] {
        let refused = held.certified(bad).await;
        refused.assert_refused(400, "csr_invalid");
        let told = refused.json.to_string();
        assert!(bad.len() < 20 || !told.contains(&bad[30..60]), "{told}");
    }
    assert_eq!(held.certificates().await, []);
    assert_eq!(held.certified(&good.csr).await.status, 200);
}

#[tokio::test]
async fn a_certificate_ends_with_its_token_and_begins_a_little_before_it_was_made() {
    let held = held().await;
    let desk = Desk::new();
    held.broker.pass(Duration::from_mins(1)).await;
    let answer = held.certified(&desk.request(P256, &[]).csr).await;
    assert_eq!(held.believed(&desk, &answer, &[]), Ok(()));
    let now = held.broker.clock.now();
    for (at, good) in [
        (now.minus(Duration::from_secs(9)), true),
        (now.minus(Duration::from_secs(11)), false),
        (now.plus(Duration::from_secs(230)), true),
        (now.plus(Duration::from_secs(241)), false),
    ] {
        assert_eq!(desk.verifies(at, &[]).is_ok(), good, "{at}");
    }
    let [record] = held.certificates().await.try_into().unwrap();
    assert_eq!(record.recall, RecallClass::List);
    assert_eq!(record.id.to_string(), answer.text("id"));
    let CredentialKind::X509Svid(svid) = &record.kind else {
        panic!("{record:?}");
    };
    let serial = desk.told(&["x509", "-in", "chain.pem", "-noout", "-serial"]);
    assert_eq!(serial.trim(), format!("serial={}", svid.serial));
    assert_eq!(svid.serial.to_string(), answer.text("serial"));
    let first = held.broker.credentials().await;
    let parent = first.iter().find(|one| Some(one.id) == record.parent);
    assert!(record.expires_at <= parent.unwrap().expires_at);
}

#[tokio::test]
async fn only_a_task_that_is_granted_one_gets_a_certificate_and_only_with_its_own_token() {
    let desk = Desk::new();
    let csr = desk.request(P256, &[]).csr;
    let without = DEPLOY.replace("x509_svid = true\n", "");
    let held = Held::asking(&without, &[]).await;
    let refused = held.certified(&csr).await;
    refused.assert_refused(403, "certificate_refused");
    assert_eq!(held.certificates().await, []);

    let elsewhere = Held::asking(DEPLOY, BILLING).await;
    let refused = elsewhere.certified(&csr).await;
    refused.assert_refused(401, "token_invalid");
    let bearer = elsewhere.client.certificate(&csr, &elsewhere.first, None);
    bearer.await.assert_refused(401, "token_invalid");
    assert_eq!(elsewhere.certificates().await, []);
    for body in [
        json!({}),
        json!({ "csr": 1 }),
        json!({ "csr": csr, "sans": [] }),
    ] {
        let url = format!("{}/api/v1/svid/x509", held.broker.issuer);
        let token = held.first.text("access_token");
        let proof = held.client.proof(&held.key, "POST", &url, Some(token));
        let request = held.client.http.post(&url).json(&body);
        let request = request.header("Authorization", format!("DPoP {token}"));
        let answer = request.header("DPoP", proof).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
    }
}

#[tokio::test]
async fn nothing_more_is_certified_once_the_task_is_revoked_or_its_context_moved() {
    let desk = Desk::new();
    let csr = desk.request(P256, &[]).csr;
    let revoked = held().await;
    assert_eq!(revoked.certified(&csr).await.status, 200);
    revoked.end_task(Ending::Revoke).await;
    revoked.broker.hear().await;
    let refused = revoked.certified(&csr).await;
    refused.assert_refused(403, "task_revoked");
    assert_eq!(revoked.certificates().await.len(), 1);

    let moved = held().await;
    assert_eq!(moved.certified(&csr).await.status, 200);
    moved
        .broker
        .site()
        .edit_environment(environment(60))
        .unwrap();
    moved.broker.pass(Duration::from_secs(31)).await;
    let refused = moved.certified(&csr).await;
    refused.assert_refused(403, "context_mismatch");
    assert_eq!(refused.field(), "environment.protection_rules");
    moved
        .certified(&csr)
        .await
        .assert_refused(403, "context_mismatch");
    assert_eq!(moved.certificates().await.len(), 1);
}
