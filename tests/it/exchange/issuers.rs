//! Two issuers whose runs have the same ids.

use serde_json::{Map, Value};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::forge::{OPEN, bearer, bound, credentials, job, tasks};
use crate::support::issuer::OwnIssuer;

/// The claims of an honest token, in the mouth of the other issuer.
fn said_by(issuer: &OwnIssuer, token: &str) -> Map<String, Value> {
    let part = token.split('.').nth(1).unwrap();
    let mut claims: Map<String, Value> = serde_json::from_slice(&crate::dpop::bytes(part)).unwrap();
    claims.insert("iss".to_owned(), issuer.url.clone().into());
    claims
}

#[tokio::test]
async fn the_same_run_at_two_issuers_is_two_tasks_and_two_workloads() {
    let issuer = OwnIssuer::start().await;
    let broker = Broker::configured(&format!("{OPEN}{}", issuer.config()), "").await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker).await;
    let here = bound(&broker, &job, &key);
    let there = issuer.sign(&said_by(&issuer, &here));
    let one = client.exchange_token(&here, Some(&key), &[]).await;
    let two = client.exchange_token(&there, Some(&key), &[]).await;
    one.assert_issued();
    two.assert_issued();
    for name in ["task", "task_name", "lineage", "refresh_token"] {
        assert_ne!(one.text(name), two.text(name), "{name}");
    }
    let seen = async |answer: &crate::support::client::Answer| {
        client.introspect(answer.text("access_token")).await.json["sub"].clone()
    };
    assert_ne!(seen(&one).await, seen(&two).await);
    assert_eq!(tasks(&broker).await.len(), 2);
    // Neither's evidence renews the other's session.
    let fresh = issuer.sign(&said_by(&issuer, &bound(&broker, &job, &key)));
    let beside = [
        ("subject_token", fresh.as_str()),
        ("subject_token_type", crate::support::client::ID_TOKEN),
    ];
    let crossed = client.renew(&one, &key, &beside).await;
    crossed.assert_refused(400, "profile_unmatched");
}

/// A key is looked up at the issuer that the token names, whatever else has the same id.
#[tokio::test]
async fn an_issuer_cannot_speak_for_another() {
    let issuer = OwnIssuer::start().await;
    let broker = Broker::configured(&format!("{OPEN}{}", issuer.config()), "").await;
    let (client, job) = (broker.client(), job(&broker).await);
    let honest = bearer(&broker, &job);
    let part = honest.split('.').nth(1).unwrap();
    let claims: Map<String, Value> = serde_json::from_slice(&crate::dpop::bytes(part)).unwrap();
    // The other's signature under the first one's name, and under a profile of the other.
    for more in [&[][..], &[("profile", "other")][..]] {
        let forged = client
            .exchange_token(&issuer.sign(&claims), None, more)
            .await;
        forged.assert_refused(400, "evidence_invalid");
    }
    let wrong_profile = client
        .exchange_token(&honest, None, &[("profile", "other")])
        .await;
    wrong_profile.assert_refused(400, "profile_unmatched");
    let there = issuer.sign(&said_by(&issuer, &honest));
    let wrong_profile = client
        .exchange_token(&there, None, &[("profile", "open")])
        .await;
    wrong_profile.assert_refused(400, "profile_unmatched");
    assert!(credentials(&broker).await.is_empty());
}
