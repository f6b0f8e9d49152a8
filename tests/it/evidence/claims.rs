//! Claims of another type than they must have, and evidence that is for somebody else.

use serde_json::{Value, json};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::forge::{
    OPEN, assert_none, bearer, credentials, honest, job, mint, tasks, with_claims,
};

#[tokio::test]
async fn a08_a_claim_of_another_type_is_not_read_as_if_it_had_its_own() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let issuer = broker.site().issuer().to_owned();
    let ours = broker.issuer.clone();
    for claims in [
        json!({ "iss": [issuer] }),
        json!({ "iss": [issuer, "https://elsewhere.example"] }),
        json!({ "iss": { "iss": issuer } }),
        json!({ "iss": Value::Null }),
        json!({ "sub": { "a": 1 } }),
        json!({ "sub": ["a"] }),
        json!({ "sub": 1 }),
        json!({ "aud": { "aud": ours } }),
        json!({ "aud": [] }),
        json!({ "aud": [ours, "https://other.example"] }),
        json!({ "aud": [[ours]] }),
        json!({ "aud": [1] }),
        json!({ "aud": 1 }),
        json!({ "aud": Value::Null }),
        json!({ "repository_id": ["1"] }),
        json!({ "repository_id": "1/../2" }),
        json!({ "repository_id": "01x" }),
        json!({ "repository_owner_id": Value::Null }),
        json!({ "run_id": "1/2" }),
        json!({ "run_id": "" }),
        json!({ "run_attempt": -1 }),
        json!({ "check_run_id": "9".repeat(21) }),
    ] {
        let token = with_claims(&broker, &job, claims.clone());
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "evidence_invalid"),
            "{claims}: {answer:?}"
        );
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn a35_evidence_for_another_service_is_not_for_us() {
    let broker = Broker::with(OPEN).await;
    let (job, key) = (job(&broker).await, SessionKey::generate().unwrap());
    let (ours, tp) = (broker.issuer.clone(), key.thumbprint());
    for audience in [
        "https://other.example".to_owned(),
        "https://billing.example".to_owned(),
        "sigstore".to_owned(),
        String::new(),
        format!("{ours}/"),
        format!("{ours}x"),
        ours.to_uppercase(),
        format!("{ours}/jkt/"),
        format!("{ours}/jkt"),
        format!("{ours}//jkt/{tp}"),
        format!("{ours}/jkt/{tp}/"),
        format!("{ours}/jkt/{tp}="),
        format!("{ours}/jkt/{}", &tp[1..]),
        format!("{ours}/jkt/{tp}x"),
        format!("{ours}/JKT/{tp}"),
        format!("{ours}?jkt={tp}"),
        format!(" {ours}"),
        format!("https://elsewhere.example/{ours}"),
    ] {
        let token = mint(&broker, honest(&broker, &job, &audience));
        let answer = broker
            .client()
            .exchange_token(&token, Some(&key), &[])
            .await;
        assert_eq!(answer.field(), "aud", "{audience:?}: {answer:?}");
        answer.assert_refused(400, "evidence_invalid");
        assert_eq!(answer.text("error"), "invalid_request");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

/// A token, a proof and a handle each have one place; in every other they are nothing.
#[tokio::test]
async fn a15_what_is_good_in_one_place_is_nothing_in_another() {
    let broker = Broker::with(OPEN).await;
    let (job, key) = (job(&broker).await, SessionKey::generate().unwrap());
    let client = broker.client();
    let id_token = bearer(&broker, &job);
    let tied = crate::support::forge::bound(&broker, &job, &key);
    let held = client.exchange_token(&tied, Some(&key), &[]).await;
    held.assert_issued();
    let url = format!("{}/oauth2/token", broker.issuer);
    let proof = client.proof(&key, "POST", &url, None);
    let (access, handle) = (held.text("access_token"), held.text("refresh_token"));
    for wrong in [id_token.as_str(), &proof, handle] {
        let answer = client
            .http
            .get(format!("{}/api/v1/secret/ci/prod/db", broker.issuer))
            .bearer_auth(wrong)
            .send()
            .await
            .unwrap();
        let answer = crate::support::raw::read(answer).await;
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (401, "token_invalid")
        );
        assert!(
            !client.introspect(wrong).await.json["active"]
                .as_bool()
                .unwrap()
        );
    }
    for wrong in [access, proof.as_str(), handle] {
        let answer = client.exchange_token(wrong, None, &[]).await;
        answer.assert_refused(400, "evidence_invalid");
    }
    for wrong in [access, proof.as_str(), id_token.as_str()] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", wrong)];
        let answer = client.token_endpoint(&form, Some(&key)).await;
        answer.assert_refused(400, "token_invalid");
        assert_eq!(answer.text("error"), "invalid_grant");
    }
    let form = [("grant_type", "refresh_token"), ("refresh_token", handle)];
    for wrong in [access, id_token.as_str(), handle] {
        let body = crate::support::raw::encode(&form);
        let answer = crate::support::raw::form(&broker, &[("dpop", wrong)], &body).await;
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (400, "proof_invalid"),
            "{}",
            answer.text
        );
    }
    assert_eq!(credentials(&broker).await.len(), 1);
}
