//! A46: every way in which a proof can be about something else.

use serde_json::{Value, json};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::forge::{OPEN, bound, credentials, job, now};
use crate::support::raw::{encode, form};

/// A session with its handle, and a hand for proofs of any kind.
struct Stage {
    broker: Broker,
    key: SessionKey,
    held: Answer,
}

impl Stage {
    async fn new() -> Self {
        let broker = Broker::with(OPEN).await;
        let key = SessionKey::generate().unwrap();
        let token = bound(&broker, &job(&broker).await, &key);
        let held = broker
            .client()
            .exchange_token(&token, Some(&key), &[])
            .await;
        held.assert_issued();
        Self { broker, key, held }
    }

    fn url(&self) -> String {
        format!("{}/oauth2/token", self.broker.issuer)
    }

    fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk() })
    }

    fn claims(&self, id: &str) -> Value {
        json!({ "htm": "POST", "htu": self.url(), "iat": now(&self.broker), "jti": id })
    }

    /// A renewal with these headers.
    async fn renew(&self, proofs: &[&str]) -> (u16, String, String) {
        let handle = self.held.text("refresh_token");
        let body = encode(&[("grant_type", "refresh_token"), ("refresh_token", handle)]);
        let headers: Vec<_> = proofs.iter().map(|proof| ("dpop", *proof)).collect();
        let answer = form(&self.broker, &headers, &body).await;
        (answer.status, answer.error, answer.code)
    }

    async fn assert_refused(&self, what: &str, proofs: &[&str]) {
        let answer = self.renew(proofs).await;
        let expected = (
            400,
            "invalid_dpop_proof".to_owned(),
            "proof_invalid".to_owned(),
        );
        assert_eq!(answer, expected, "{what}");
    }

    async fn assert_nothing_more(&self) {
        assert_eq!(credentials(&self.broker).await.len(), 1);
    }
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    let members = base.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    base
}

#[tokio::test]
async fn a46_a_proof_is_about_this_request_and_this_moment() {
    let stage = Stage::new().await;
    let (at, url) = (now(&stage.broker), stage.url());
    let host = url.trim_start_matches("http://").to_owned();
    let wrong = [
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htm", json!("")),
        ("htm", Value::Null),
        ("htm", json!(["POST"])),
        ("htu", json!(format!("https://{host}"))),
        ("htu", json!(url.replace("127.0.0.1", "localhost"))),
        ("htu", json!(url.replace("/oauth2/token", "/oauth2/revoke"))),
        ("htu", json!(format!("{url}/"))),
        ("htu", json!(url.replace("/oauth2", "/OAUTH2"))),
        ("htu", json!(format!("http://user@{host}"))),
        (
            "htu",
            json!(format!(
                "http://{}:1/oauth2/token",
                host.split(':').next().unwrap()
            )),
        ),
        ("htu", json!("/oauth2/token")),
        ("htu", json!(format!("https://elsewhere.example/{host}"))),
        ("htu", Value::Null),
        ("htu", json!([url])),
        ("iat", json!(at - 61)),
        ("iat", json!(at + 12)),
        ("iat", json!(0)),
        ("iat", json!(at.to_string())),
        ("iat", json!(1e308)),
        ("iat", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(257))),
        ("jti", json!(7)),
        ("jti", Value::Null),
    ];
    for (index, (name, value)) in wrong.into_iter().enumerate() {
        let claims = with(stage.claims(&format!("wrong-{index}")), name, value.clone());
        let proof = stage.key.sign(&stage.header(), &claims).unwrap();
        stage
            .assert_refused(&format!("{name} = {value}"), &[&proof])
            .await;
    }
    stage.assert_nothing_more().await;
    // RFC 9449 §4.3: query and fragment do not count.
    for (index, tail) in ["?a=b", "#a"].into_iter().enumerate() {
        let claims = with(
            stage.claims(&format!("tail-{index}")),
            "htu",
            json!(format!("{url}{tail}")),
        );
        let proof = stage.key.sign(&stage.header(), &claims).unwrap();
        assert_eq!(stage.renew(&[&proof]).await.0, 200, "{tail}");
    }
}

#[tokio::test]
async fn a46_a_proof_is_signed_by_the_public_key_that_it_carries() {
    let stage = Stage::new().await;
    let other = SessionKey::generate().unwrap();
    let jwk = stage.key.jwk();
    let long_x = format!("{}=", jwk["x"].as_str().unwrap());
    let wrong = [
        ("typ", json!("JWT")),
        ("typ", json!("DPOP+JWT")),
        ("typ", json!("at+jwt")),
        ("typ", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("alg", Value::Null),
        ("jwk", Value::Null),
        ("jwk", json!("key")),
        ("jwk", other.jwk()),
        ("jwk", with(jwk.clone(), "d", jwk["x"].clone())),
        ("jwk", with(jwk.clone(), "kty", json!("RSA"))),
        ("jwk", with(jwk.clone(), "crv", json!("P-384"))),
        ("jwk", with(jwk.clone(), "x", json!(long_x))),
        ("jwk", with(jwk.clone(), "x", json!("AA"))),
        ("jwk", with(jwk.clone(), "x", jwk["y"].clone())),
        ("jwk", with(jwk.clone(), "y", Value::Null)),
        ("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
        ("crit", json!(["x"])),
        ("b64", json!(false)),
    ];
    for (index, (name, value)) in wrong.into_iter().enumerate() {
        let header = with(stage.header(), name, value.clone());
        let claims = stage.claims(&format!("head-{index}"));
        let proof = stage.key.sign(&header, &claims).unwrap();
        stage
            .assert_refused(&format!("{name} = {value}"), &[&proof])
            .await;
    }
    stage.assert_nothing_more().await;
}

#[tokio::test]
async fn a46_a_proof_counts_once_and_comes_alone() {
    let stage = Stage::new().await;
    let make = |id: &str| stage.key.sign(&stage.header(), &stage.claims(id)).unwrap();
    let (first, second) = (make("a"), make("b"));
    stage.assert_refused("two", &[&first, &second]).await;
    stage
        .assert_refused("the same twice", &[&first, &first])
        .await;
    stage
        .assert_refused("both in one", &[&format!("{first}, {second}")])
        .await;
    stage.assert_refused("empty", &[""]).await;
    stage.assert_nothing_more().await;
    // What was refused is not spent; what was accepted is.
    assert_eq!(stage.renew(&[&first]).await.0, 200);
    stage.assert_refused("replayed", &[&first]).await;
    assert_eq!(credentials(&stage.broker).await.len(), 2);
    stage.broker.pass(std::time::Duration::from_secs(30)).await;
    stage.assert_refused("replayed later", &[&first]).await;
    stage.broker.pass(std::time::Duration::from_secs(40)).await;
    stage.assert_refused("replayed too late", &[&first]).await;
}

/// One proof and 32 requests at once: it is spent by one.
#[tokio::test]
async fn a46_a_proof_shown_in_parallel_counts_once() {
    let stage = Stage::new().await;
    let proof = stage.key.sign(&stage.header(), &stage.claims("p")).unwrap();
    let proofs = [proof.as_str()];
    let all = futures_util::future::join_all((0..32).map(|_| stage.renew(&proofs))).await;
    let issued = all.iter().filter(|(status, _, _)| *status == 200).count();
    assert_eq!(issued, 1, "{all:?}");
    assert_eq!(credentials(&stage.broker).await.len(), 2);
}

/// The id, not the signature's bytes, says that a proof was used.
#[tokio::test]
async fn a13_a_rewritten_signature_does_not_make_a_used_proof_new() {
    let stage = Stage::new().await;
    let proof = stage
        .key
        .sign(&stage.header(), &stage.claims("once"))
        .unwrap();
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let raw = super::bytes(signature);
    for (what, bytes) in super::bad_signatures(&raw) {
        let forged = format!("{input}.{}", super::text(&bytes));
        stage.assert_refused(what, &[&forged]).await;
    }
    stage.assert_nothing_more().await;
    assert_eq!(stage.renew(&[&proof]).await.0, 200);
    let twin = format!("{input}.{}", super::text(&super::high_s(&raw)));
    stage.assert_refused("the other signature", &[&twin]).await;
    assert_eq!(credentials(&stage.broker).await.len(), 2);
}
