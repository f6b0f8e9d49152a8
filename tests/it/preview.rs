//! The preview of an exchange: what its caller may know, and nothing of what others configured.

use std::time::Duration;

use serde_json::{Value, json};
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;
use writ_practice::{Fault, Mode, StartJob, StartedJob, Target};

use crate::support::broker::{Broker, ENVIRONMENT};
use crate::support::client::{Answer, Client, EXCHANGE, ID_TOKEN, run_with};
use crate::support::desk::Desk;
use crate::support::profiles::DEPLOY;

/// Of the same repository, of another, and of another owner.
const OTHERS: &str = r#"
[[profile]]
name = "staging"
source = "github"
match = { repository_id = "{repo}", environment = "staging-canary", ref = "refs/heads/canary" }
task = "{repository_id}/{run_id}/{run_attempt}/staging"
instance = "{check_run_id}"
[profile.grant.deploy]
audiences = ["https://staging.example"]

[[profile]]
name = "foreign-canary"
source = "github"
match = { repository_id = "999999", environment = "production" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"
[profile.grant.deploy]
audiences = ["https://foreign.example"]

[[profile]]
name = "owner-canary"
source = "github"
match = { repository_owner_id = "999999", environment = "production" }
task = "{repository_id}/{run_id}/{run_attempt}/o"
instance = "{check_run_id}"
[profile.grant.deploy]
audiences = ["https://foreign.example"]
"#;

async fn broker() -> Broker {
    Broker::with(&format!("{DEPLOY}{OTHERS}")).await
}

async fn preview(
    client: &Client,
    token: &str,
    key: Option<&SessionKey>,
    more: &[(&str, &str)],
) -> Answer {
    let url = format!("{}/api/v1/preview", client.issuer);
    let mut form = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ID_TOKEN),
    ];
    form.extend_from_slice(more);
    let mut request = client.http.post(&url).form(&form);
    if let Some(key) = key {
        request = request.header("DPoP", client.proof(key, "POST", &url, None));
    }
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        json: response.json().await.unwrap(),
    }
}

async fn job(broker: &Broker, environment: &str) -> StartedJob {
    let jobs = vec![StartJob::new("deploy").in_environment(environment)];
    run_with(broker, jobs).await.jobs.remove(0)
}

async fn bound(client: &Client, job: &StartedJob, key: &SessionKey) -> String {
    let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
    client.id_token(job, &audience).await
}

#[tokio::test]
async fn a_job_learns_who_it_is_what_fits_and_what_does_not_and_gets_nothing() {
    let broker = broker().await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker, ENVIRONMENT).await;
    let token = bound(&client, &job, &key).await;
    let before = broker.recorded().await;
    let told = preview(&client, &token, Some(&key), &[]).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert!(
        told.text("spiffe_id")
            .starts_with("spiffe://test.example/github/")
    );
    assert_eq!(told.text("outcome"), "permitted");
    assert_eq!(told.text("profile"), "deploy");
    assert_eq!(
        told.json["profiles"],
        json!([
            { "name": "deploy", "failed": [] },
            { "name": "staging", "failed": [
                { "claim": "environment", "shown": "production" },
                { "claim": "ref", "shown": "refs/heads/main" },
            ] },
        ])
    );
    // Neither what a profile would take nor that others have profiles is told.
    let text = told.json.to_string();
    assert!(
        !text.contains("canary") && !text.contains("foreign"),
        "{text}"
    );
    for member in ["access_token", "refresh_token"] {
        assert!(told.json.get(member).is_none());
    }
    assert_eq!(broker.recorded().await, before);
    // The evidence is as good as it was.
    let issued = client.exchange_token(&token, Some(&key), &[]).await;
    issued.assert_issued();
}

#[tokio::test]
async fn whoever_shows_no_evidence_that_verifies_learns_nothing_at_all() {
    let broker = broker().await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker, ENVIRONMENT).await;
    let token = bound(&client, &job, &key).await;
    let other = SessionKey::generate().unwrap();
    let cut = token[..token.len() - 4].to_owned();
    let before = broker.recorded().await;
    for (token, key, code) in [
        ("a.b.c", Some(&key), "evidence_invalid"),
        (&cut, Some(&key), "evidence_invalid"),
        (&token, None, "proof_required"),
        (&token, Some(&other), "key_mismatch"),
    ] {
        let told = preview(&client, token, key, &[]).await;
        assert_eq!(told.code(), code, "{told:?}");
        assert!(told.status.is_client_error(), "{told:?}");
        for member in ["profiles", "spiffe_id", "outcome"] {
            assert!(told.json.get(member).is_none(), "{told:?}");
        }
    }
    assert_eq!(broker.recorded().await, before);
}

#[tokio::test]
async fn a_refusal_is_foretold_with_its_code_and_field_and_ends_nothing() {
    let broker = broker().await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker, ENVIRONMENT).await;
    let held = client.exchange(&job, Some(&key), &[]).await;
    held.assert_issued();
    let refused = async |more: &[(&str, &str)]| {
        let token = bound(&client, &job, &key).await;
        preview(&client, &token, Some(&key), more).await
    };
    for (more, code, field) in [
        (
            &[("profile", "staging")][..],
            "profile_unmatched",
            json!("environment"),
        ),
        (
            &[("audience", "https://x.example")],
            "target_refused",
            json!("audience"),
        ),
        (&[("scope", "admin")], "scope_refused", json!("scope")),
    ] {
        let told = refused(more).await;
        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!((told.text("outcome"), told.code()), ("denied", code));
        assert_eq!(told.json["field"], field);
        assert_eq!(told.json.get("denial_id"), None);
    }
    // An environment that changed would end the lineage at the next renewal: a preview does not.
    let site = broker.site();
    site.edit_environment(crate::support::broker::environment(60))
        .unwrap();
    broker.pass(Duration::from_secs(31)).await;
    let told = refused(&[]).await;
    assert_eq!(told.code(), "context_mismatch", "{told:?}");
    site.edit_environment(crate::support::broker::environment(30))
        .unwrap();
    broker.pass(Duration::from_secs(31)).await;
    let renewed = client.renew(&held, &key, &[]).await;
    renewed.assert_issued();
}

#[tokio::test]
async fn what_cannot_be_known_is_foretold_as_that() {
    let broker = broker().await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker, ENVIRONMENT).await;
    let fault = Fault {
        target: Target::Environments,
        mode: Mode::Unavailable,
        delay_ms: 0,
    };
    broker.site().faults().set(fault).unwrap();
    let token = bound(&client, &job, &key).await;
    let told = preview(&client, &token, Some(&key), &[]).await;
    assert_eq!(told.text("outcome"), "undetermined", "{told:?}");
    assert_eq!(told.code(), "context_unavailable");
    assert_eq!(told.json["profiles"][0]["name"], "deploy");
}

#[tokio::test]
async fn a_freeze_is_foretold_to_those_whom_nothing_else_refuses() {
    let broker = broker().await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker, ENVIRONMENT).await;
    let until = broker.clock.now().plus(Duration::from_hours(1)).to_string();
    let order = json!({ "scope": "profile/deploy", "until": until });
    let frozen = Desk::open(&broker).post("/api/v1/freezes", &order).await;
    assert_eq!(frozen.status, 201, "{frozen:?}");
    for (more, outcome, code) in [
        (&[][..], "undetermined", "frozen"),
        (&[("scope", "admin")], "denied", "scope_refused"),
    ] {
        let token = bound(&client, &job, &key).await;
        let told = preview(&client, &token, Some(&key), more).await;
        assert_eq!((told.text("outcome"), told.code()), (outcome, code));
        assert_eq!(told.json.get("profile"), None);
    }
    assert_eq!(broker.recorded().await.credentials, 0);
}

#[tokio::test]
async fn a_request_that_is_no_exchange_is_none_for_a_preview() {
    let broker = broker().await;
    let url = format!("{}/api/v1/preview", broker.issuer);
    let http = broker.client().http;
    for form in [
        &[("subject_token", "a.b.c")][..],
        &[("subject_token_type", ID_TOKEN)],
        &[
            ("subject_token", "a.b.c"),
            ("subject_token_type", ID_TOKEN),
            ("profile", "A b"),
        ],
    ] {
        let answer = http.post(&url).form(form).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{form:?}");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["code"], "request_malformed");
    }
}
