//! What is no operator's token: refused with its code, and nothing ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use super::{CLIENT, Place};
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::issuer::KID;

/// A task that an operator could end, and the job's own ID token for it.
pub(super) struct AtWork {
    pub(super) task: String,
    revoke: String,
    evidence: String,
}

pub(super) async fn at_work(place: &Place) -> AtWork {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = place.ground.site().start_run(spec).await.unwrap();
    let mut client = place.ground.client();
    client.http = place.http.clone();
    let key = SessionKey::generate().unwrap();
    let answer = client.exchange(&run.jobs[0], Some(&key), &[]).await;
    answer.assert_issued();
    let task = answer.text("task_name").to_owned();
    AtWork {
        revoke: format!("/api/v1/tasks/{}/revoke", task.replace('/', "%2F")),
        evidence: client.id_token(&run.jobs[0], CLIENT).await,
        task,
    }
}

#[tokio::test]
async fn an_operators_order_ends_a_task_and_the_log_has_the_name_that_cannot_change() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let token = place.token(&json!({ "email": "olga@example.org", "name": "Olga" }));
    let ended = place.ask("POST", &work.revoke, Some(&token)).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let shown = place
        .ground
        .operator(&["task", "show", &work.task, "-o", "json"], "")
        .await;
    let name = format!("oidc:{}#olga", place.issuer.url);
    assert!(shown.out.contains(&name), "{shown:?}");
    assert!(!shown.out.contains("olga@"), "{shown:?}");
    place.server.stop().await;
}

/// A5 and A7 for operators: each token lacks one thing.
#[tokio::test]
async fn a5_a_token_that_lacks_anything_orders_nothing() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let before = place.state().await;
    let now = place.claims(&json!({}))["iat"].as_i64().unwrap();
    let refused = |over: &Value| place.token(over);
    for over in [
        json!({ "iss": "https://people.example" }),
        json!({ "iss": format!("{}/", place.issuer.url) }),
        json!({ "aud": place.ground.issuer }),
        json!({ "aud": [CLIENT, "other"] }),
        json!({ "aud": null }),
        json!({ "aud": format!("{CLIENT}/jkt/x") }),
        json!({ "azp": "other" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "ol ga" }),
        json!({ "sub": "olga\nuid:0 (root)" }),
        json!({ "sub": "ö".repeat(100) }),
        json!({ "sub": "o".repeat(256) }),
        json!({ "exp": null }),
        json!({ "exp": (now + 600).to_string() }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
    ] {
        let token = refused(&over);
        let answer = place.ask("POST", &work.revoke, Some(&token)).await;
        answer.assert_refused(401, "operator_unauthenticated");
    }
    for over in [
        json!({ "exp": now - 120 }),
        json!({ "iat": now - 3700, "exp": now + 600 }),
        json!({ "iat": now + 600, "exp": now + 900 }),
        json!({ "nbf": now + 600 }),
    ] {
        let token = refused(&over);
        let answer = place.ask("POST", &work.revoke, Some(&token)).await;
        answer.assert_refused(401, "operator_expired");
    }
    assert_eq!(place.state().await, before);
    place.server.stop().await;
}

/// A1 for operators: no header makes another token of it.
#[tokio::test]
async fn a1_a_token_with_another_header_or_signature_orders_nothing() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let before = place.state().await;
    let claims = Value::Object(place.claims(&json!({})));
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let stranger = SessionKey::generate().unwrap();
    let es256 = json!({ "typ": "JWT", "alg": "ES256", "kid": KID });
    let own = |header: Value| place.issuer.key.sign(&header, &claims).unwrap();
    let honest = own(es256.clone());
    let (input, _) = honest.rsplit_once('.').unwrap();
    let none = json!({ "typ": "JWT", "alg": "none", "kid": KID });
    for token in [
        format!("{}.{}.", encoded(&none), encoded(&claims)),
        format!("{}.{}.c2ln", encoded(&none), encoded(&claims)),
        own(json!({ "typ": "JWT", "alg": "HS256", "kid": KID })),
        own(json!({ "typ": "JWT", "alg": "RS256", "kid": KID })),
        own(json!({ "typ": "at+jwt", "alg": "ES256", "kid": KID })),
        own(json!({ "typ": "logout+jwt", "alg": "ES256", "kid": KID })),
        own(json!({ "typ": "JWT", "alg": "ES256" })),
        stranger.sign(&es256, &claims).unwrap(),
        format!("{input}."),
        input.to_owned(),
        String::new(),
        "x".repeat(20_000),
    ] {
        let answer = place.ask("POST", &work.revoke, Some(&token)).await;
        answer.assert_refused(401, "operator_unauthenticated");
    }
    for shown in [
        vec![format!("DPoP {honest}")],
        vec![honest.clone()],
        vec![format!("Basic {honest}")],
    ] {
        let answer = place.ask_with("POST", &work.revoke, &shown).await;
        answer.assert_refused(401, "operator_unauthenticated");
    }
    // Two readers could take either.
    let twice = [format!("Bearer {honest}"), format!("Bearer {honest}")];
    let answer = place.ask_with("POST", &work.revoke, &twice).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(place.state().await, before);
    let good = place.ask("POST", &work.revoke, Some(&honest)).await;
    assert_eq!(good.status, 200, "{good:?}");
    place.server.stop().await;
}

#[tokio::test]
async fn a_jobs_own_token_is_no_operators_even_with_their_audience() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let before = place.state().await;
    let answer = place.ask("POST", &work.revoke, Some(&work.evidence)).await;
    answer.assert_refused(401, "operator_unauthenticated");
    assert_eq!(place.state().await, before);
    place.server.stop().await;
}

#[tokio::test]
async fn a_group_of_another_name_or_shape_gives_no_role() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let before = place.state().await;
    for groups in [
        json!(["g-operators-renamed"]),
        json!(["G-Operators"]),
        json!(["g-operators "]),
        json!("g-operators"),
        json!("g-viewers,g-operators"),
        json!([["g-operators"]]),
        json!(["g-operators", 1]),
        json!({ "g-operators": true }),
        json!(["olga", "ada"]),
        json!(null),
    ] {
        let token = place.token(&json!({ "groups": groups }));
        let answer = place.ask("POST", &work.revoke, Some(&token)).await;
        answer.assert_refused(403, "operator_required");
    }
    // A subject that is called like a group is none.
    let token = place.token(&json!({ "sub": "g-operators", "groups": [] }));
    let answer = place.ask("POST", &work.revoke, Some(&token)).await;
    answer.assert_refused(403, "operator_required");
    assert_eq!(place.state().await, before);
    place.server.stop().await;
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_lets_nobody_in_and_is_no_refusal() {
    let place = Place::new().await;
    let work = at_work(&place).await;
    let before = place.state().await;
    let mut pages = place.issuer.honest();
    pages.jwks.status = 500;
    place.issuer.answer(pages.discovery, pages.jwks);
    let token = place.token(&json!({}));
    let answer = place.ask("POST", &work.revoke, Some(&token)).await;
    answer.assert_refused(503, "issuer_unavailable");
    assert_eq!(place.state().await, before);
    place.server.stop().await;
}
