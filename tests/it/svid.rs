//! JWT-SVIDs: the workload's identity for one audience, for no longer than what justified it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use writ::broker::revoke::Ending;
use writ::domain::credential::CredentialKind;

use crate::support::client::Answer;
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

const DB: &str = "https://db.example";

async fn held() -> Held {
    Held::asking(DEPLOY, &[]).await
}

impl Held {
    async fn svid(&self, audience: &str) -> Answer {
        self.client
            .svid(audience, &self.first, Some(&self.key))
            .await
    }

    async fn svids(&self) -> usize {
        let all = self.broker.credentials().await;
        let svids = all
            .iter()
            .filter(|c| matches!(c.kind, CredentialKind::JwtSvid(_)));
        svids.count()
    }

    async fn read(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.broker.issuer);
        let answer = self.client.http.get(url).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

fn part(jwt: &str, n: usize) -> Value {
    let part = jwt.split('.').nth(n).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Whether a published key verifies the token, by RFC 7515 alone.
fn verifies(jwt: &str, jwk: &Value) -> bool {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .is_ok()
}

#[tokio::test]
async fn whoever_verifies_finds_the_key_by_discovery_and_the_bundle() {
    let held = held().await;
    let svid = held.svid(DB).await;
    assert_eq!(svid.status, 200, "{svid:?}");
    let jwt = svid.text("svid");

    // JWT-SVID §2: nothing else may be in the header.
    let header = part(jwt, 0);
    let mut members: Vec<_> = header.as_object().unwrap().keys().cloned().collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "kid", "typ"]);
    let claims = part(jwt, 1);
    let issuer = format!("{}/svid", held.broker.issuer.as_str().trim_end_matches('/'));
    assert_eq!(claims["iss"], issuer);
    assert_eq!(claims["sub"], svid.text("spiffe_id"));
    assert!(svid.text("spiffe_id").starts_with("spiffe://"));
    assert_eq!(claims["aud"], json!([DB]));
    assert_eq!(
        claims[format!("{issuer}/task")]["id"],
        held.first.text("task")
    );
    let token = part(held.first.text("access_token"), 1);
    assert!(claims["exp"].as_i64().unwrap() <= token["exp"].as_i64().unwrap());

    let discovery = held.read("/svid/.well-known/openid-configuration").await;
    assert_eq!(discovery["issuer"], issuer);
    let jwks_uri = discovery["jwks_uri"].as_str().unwrap();
    assert_eq!(jwks_uri, format!("{issuer}/jwks"));
    for (path, used_for) in [("/svid/jwks", "sig"), ("/svid/bundle", "jwt-svid")] {
        let set = held.read(path).await;
        let keys = set["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        assert_eq!(key["use"], used_for);
        assert!(verifies(jwt, key), "{path}");
    }
    // Keys of access tokens are not among them: neither kind is ever taken for the other.
    let others = held.read("/oauth2/jwks").await;
    let others = others["keys"].as_array().unwrap();
    assert!(others.iter().all(|key| key["kid"] != header["kid"]));
}

#[tokio::test]
async fn a15_an_svid_is_no_access_token_and_no_evidence() {
    let held = held().await;
    let svid = held.svid(DB).await;
    let jwt = svid.text("svid").to_owned();
    assert_eq!(
        held.client.introspect(&jwt).await.json,
        json!({ "active": false })
    );
    let before = held.broker.recorded().await;
    let shown = Answer {
        json: json!({ "access_token": jwt }),
        ..svid
    };
    for key in [None, Some(&held.key)] {
        let again = held.client.svid(DB, &shown, key).await;
        again.assert_refused(401, "token_invalid");
        assert!(again.json.get("svid").is_none());
    }
    let exchanged = held.client.exchange_token(&jwt, None, &[]).await;
    assert_eq!(exchanged.status.as_u16() / 100, 4, "{exchanged:?}");
    assert!(exchanged.json.get("access_token").is_none());
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn only_a_granted_audience_is_served_and_only_for_a_token_of_this_broker() {
    let held = held().await;
    for audience in ["https://deploy.example", "https://DB.example", "db"] {
        let refused = held.svid(audience).await;
        refused.assert_refused(403, "target_refused");
    }
    for body in [
        json!({}),
        json!({ "audience": [DB] }),
        json!({ "audience": "" }),
    ] {
        let url = format!("{}/api/v1/svid/jwt", held.broker.issuer);
        let token = held.first.text("access_token");
        let request = held.client.http.post(&url).json(&body);
        let proof = held.client.proof(&held.key, "POST", &url, Some(token));
        let answer = request
            .header("Authorization", format!("DPoP {token}"))
            .header("DPoP", proof);
        assert_eq!(answer.send().await.unwrap().status(), 400, "{body}");
    }
    assert_eq!(held.svids().await, 0);

    let elsewhere = Held::asking(DEPLOY, BILLING).await;
    let refused = elsewhere.svid(DB).await;
    refused.assert_refused(401, "token_invalid");
    assert_eq!(elsewhere.svids().await, 0);
}

#[tokio::test]
async fn no_svid_is_made_for_a_run_that_is_over() {
    let held = held().await;
    held.svid(DB).await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    held.broker.settle_hooks().await;
    let refused = held.svid(DB).await;
    refused.assert_refused(403, "context_ended");
    assert_eq!(held.svids().await, 1);
}

#[tokio::test]
async fn an_operator_learns_until_when_an_svid_is_taken_by_whoever_asks_nobody() {
    let held = held().await;
    let svid = held.svid(DB).await;
    held.broker.pass(Duration::from_secs(1)).await;
    held.end_task(Ending::Revoke).await;
    let refused = held.svid(DB).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let all = held.broker.credentials().await;
    let record = all
        .iter()
        .find(|c| matches!(c.kind, CredentialKind::JwtSvid(_)));
    let record = record.unwrap();
    assert_eq!(record.id.to_string(), svid.text("id"));
    assert_eq!(record.recall, writ::domain::credential::RecallClass::Expiry);
    assert!(record.parent.is_some());
}
