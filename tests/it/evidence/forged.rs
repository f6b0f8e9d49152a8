//! Signatures, algorithms and headers that are not the issuer's.

use serde_json::{Map, Value, json};
use writ_practice::client::SessionKey;
use writ_practice::{Alg, Mint, SignatureForm};

use crate::support::broker::Broker;
use crate::support::forge::{
    OPEN, assert_none, bearer, credentials, honest, job, mint, tasks, with_header,
};
use crate::support::issuer::{KID, OwnIssuer, Page};
use crate::support::trap::Trap;

/// Shows each token: all are refused with one and the same answer, and nothing comes of any.
async fn all_refused(broker: &Broker, tokens: &[(&str, String)]) {
    let client = broker.client();
    let mut bodies = Vec::new();
    for (what, token) in tokens {
        let answer = client.exchange_token(token, None, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "evidence_invalid"),
            "{what}: {answer:?}"
        );
        answer.assert_refused(400, "evidence_invalid");
        assert_eq!(answer.text("error"), "invalid_request");
        bodies.push(answer.json);
    }
    bodies.dedup();
    assert_eq!(
        bodies.len(),
        1,
        "the answers tell the refusals apart: {bodies:?}"
    );
    assert_none(&tasks(broker).await, &credentials(broker).await);
}

#[tokio::test]
async fn a01_a_token_without_a_signature_is_as_bad_as_any_other() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let unsigned = |alg: &str| {
        let order = Mint {
            alg: Alg::Unsigned,
            header_overrides: object(json!({ "alg": alg })),
            ..honest(&broker, &job, &broker.issuer)
        };
        mint(&broker, order)
    };
    let form = |signature| {
        let order = honest(&broker, &job, &broker.issuer);
        mint(&broker, Mint { signature, ..order })
    };
    let stripped = bearer(&broker, &job);
    let (input, _) = stripped.rsplit_once('.').unwrap();
    all_refused(
        &broker,
        &[
            ("none", unsigned("none")),
            ("NONE", unsigned("NONE")),
            ("nOnE", unsigned("nOnE")),
            ("empty signature", form(SignatureForm::Absent)),
            ("one bit", form(SignatureForm::Tampered)),
            ("no third part", input.to_owned()),
            ("padding", format!("{stripped}==")),
            ("a space", format!("{stripped} ")),
        ],
    )
    .await;
    let client = broker.client();
    client
        .exchange_token(&stripped, None, &[])
        .await
        .assert_issued();
}

#[tokio::test]
async fn a03_an_algorithm_that_the_issuer_is_not_configured_with_does_not_verify() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let by = |alg| {
        let order = honest(&broker, &job, &broker.issuer);
        mint(&broker, Mint { alg, ..order })
    };
    let own = SessionKey::generate().unwrap();
    let claims = payload(&bearer(&broker, &job));
    let kid = broker.site().keys().turn().signing;
    let header = json!({ "typ": "JWT", "alg": "ES256", "kid": kid });
    let relabelled = with_header(&broker, &job, json!({ "alg": "PS256" }));
    all_refused(
        &broker,
        &[
            ("hmac by the public key", by(Alg::HS256)),
            ("RS384", by(Alg::RS384)),
            ("PS256", by(Alg::PS256)),
            ("RS256 that says PS256", relabelled),
            (
                "ES256 under an RSA key's id",
                own.sign(&header, &claims).unwrap(),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a03_a_published_key_that_contradicts_itself_is_passed_over() {
    let issuer = OwnIssuer::start().await;
    let broker = Broker::configured(&format!("{OPEN}{}", issuer.config()), "").await;
    let claims = payload(&bearer(&broker, &job(&broker).await));
    let mut claims = object(claims);
    claims.insert("iss".to_owned(), issuer.url.clone().into());
    let honest: Value = serde_json::from_str(&issuer.honest().jwks.body).unwrap();
    for (member, value) in [
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("none")),
        ("use", json!("enc")),
        ("kty", json!("RSA")),
        ("kty", json!("oct")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("kid", json!("own-2")),
        ("kid", Value::Null),
    ] {
        let mut jwks = honest.clone();
        jwks["keys"][0][member] = value.clone();
        issuer.answer(issuer.honest().discovery, Page::json(&jwks));
        // Longer than a key set is kept without asking again.
        broker.pass(std::time::Duration::from_secs(301)).await;
        stamp(&mut claims, &broker);
        let answer = broker
            .client()
            .exchange_token(&issuer.sign(&claims), None, &[])
            .await;
        assert_eq!(
            answer.code(),
            "evidence_invalid",
            "{member} {value}: {answer:?}"
        );
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    issuer.answer(issuer.honest().discovery, issuer.honest().jwks);
    broker.pass(std::time::Duration::from_secs(301)).await;
    stamp(&mut claims, &broker);
    let client = broker.client();
    client
        .exchange_token(&issuer.sign(&claims), None, &[("profile", "other")])
        .await
        .assert_issued();
}

#[tokio::test]
async fn a04_a_key_that_comes_with_the_token_is_never_used_and_never_fetched() {
    let broker = Broker::with(OPEN).await;
    let (job, trap) = (job(&broker).await, Trap::set().await);
    let own = SessionKey::generate().unwrap();
    let claims = payload(&bearer(&broker, &job));
    let keys = format!("{}/keys.json", trap.url);
    for extra in [
        json!({ "jwk": own.jwk() }),
        json!({ "jku": keys }),
        json!({ "x5u": keys }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        let mut header = json!({ "typ": "JWT", "alg": "ES256", "kid": KID });
        header
            .as_object_mut()
            .unwrap()
            .extend(object(extra.clone()));
        let forged = own.sign(&header, &claims).unwrap();
        let answer = broker.client().exchange_token(&forged, None, &[]).await;
        answer.assert_refused(400, "evidence_invalid");
        // An honest token is not made dishonest by a header that nobody reads.
        let decorated = with_header(&broker, &job, extra);
        let answer = broker.client().exchange_token(&decorated, None, &[]).await;
        assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
    }
    trap.assert_untouched().await;
}

#[tokio::test]
async fn a06_nothing_in_a_header_changes_how_a_token_is_read() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let head = |header| with_header(&broker, &job, header);
    let whole = bearer(&broker, &job);
    let parts: Vec<&str> = whole.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let flat = json!({ "protected": header, "payload": claims, "signature": signature });
    let general = json!({ "payload": claims, "signatures": [{ "protected": header, "signature": signature }] });
    all_refused(
        &broker,
        &[
            ("crit", head(json!({ "crit": ["x"], "x": 1 }))),
            ("empty crit", head(json!({ "crit": [] }))),
            ("b64", head(json!({ "b64": false, "crit": ["b64"] }))),
            ("b64 alone", head(json!({ "b64": false }))),
            ("zip", head(json!({ "zip": "DEF" }))),
            ("nested", head(json!({ "cty": "JWT" }))),
            ("flattened", flat.to_string()),
            ("general", general.to_string()),
            (
                "five parts",
                format!("{header}.{claims}.{claims}.{claims}.{signature}"),
            ),
            (
                "four parts",
                format!("{header}.{claims}.{claims}.{signature}"),
            ),
            ("detached", format!("{header}..{signature}")),
            ("no kid", head(json!({ "kid": null }))),
            ("kid of another type", head(json!({ "kid": 1 }))),
            (
                "kid of a path",
                head(json!({ "kid": "../../../../dev/null" })),
            ),
            ("no alg", head(json!({ "alg": null }))),
            ("another type", head(json!({ "typ": "at+jwt" }))),
            ("a type of another type", head(json!({ "typ": ["JWT"] }))),
            ("nothing", ".".to_owned()),
            ("dots", "..".to_owned()),
        ],
    )
    .await;
}

/// Signatures of an issuer whose signatures can be written in more than one way.
#[tokio::test]
async fn a13_an_ecdsa_signature_has_one_form_and_its_zeroes_never_verify() {
    let issuer = OwnIssuer::start().await;
    let broker = Broker::configured(&format!("{OPEN}{}", issuer.config()), "").await;
    let mut claims = object(payload(&bearer(&broker, &job(&broker).await)));
    claims.insert("iss".to_owned(), issuer.url.clone().into());
    let token = issuer.sign(&claims);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = crate::dpop::bytes(signature);
    let variants = crate::dpop::bad_signatures(&raw)
        .into_iter()
        .map(|(what, bytes)| (what, format!("{input}.{}", crate::dpop::text(&bytes))))
        .collect::<Vec<_>>();
    all_refused(&broker, &variants).await;
    let client = broker.client();
    client
        .exchange_token(&token, None, &[])
        .await
        .assert_issued();
    // The same signing input under its other valid signature is the same evidence.
    let twin = format!("{input}.{}", crate::dpop::text(&crate::dpop::high_s(&raw)));
    let again = client.exchange_token(&twin, None, &[]).await;
    assert_ne!(again.status, 200, "{again:?}");
    assert_eq!(credentials(&broker).await.len(), 1);
}

pub(super) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&crate::dpop::bytes(part)).unwrap()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// Gives claims the times of an honest token of this moment.
pub(super) fn stamp(claims: &mut Map<String, Value>, broker: &Broker) {
    let now = crate::support::forge::now(broker);
    for (name, at) in [("iat", now), ("nbf", now), ("exp", now + 300)] {
        claims.insert(name.to_owned(), at.into());
    }
}
