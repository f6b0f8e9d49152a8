//! For whom a token is and what it may do: within the grant, or refused as a whole.

use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::{Answer, deploy_run};
use crate::support::forge::{OPEN, assert_none, bearer, bound, credentials, job, jobs, tasks};
use crate::support::profiles::DEPLOY;

const BILLING: &str = "https://billing.example";

/// Two grants whose audiences and scopes do not mix.
fn two_grants() -> String {
    format!(
        "{OPEN}\n[profile.grant.ship]\naudiences = [\"https://ship.example\"]\nscopes = [\"ship:go\"]\n"
    )
}

fn scopes(answer: &Answer) -> Vec<&str> {
    answer.json["scope"]
        .as_str()
        .unwrap_or("")
        .split(' ')
        .collect()
}

#[tokio::test]
async fn a36_what_is_wider_than_the_grant_is_refused_and_not_narrowed() {
    let broker = Broker::with(&two_grants()).await;
    let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
    let billing = ("audience", BILLING);
    let target = ("invalid_target", "target_refused");
    let scope = ("invalid_scope", "scope_refused");
    for (more, (error, code)) in [
        (vec![("audience", "https://other.example")], target),
        (vec![("resource", "https://other.example")], target),
        (vec![billing, ("audience", "https://other.example")], target),
        (vec![billing, ("resource", "https://other.example")], target),
        (vec![billing, ("audience", "https://ship.example")], target),
        (vec![("audience", "https://billing.example/")], target),
        (vec![("audience", "https://BILLING.example")], target),
        (vec![("audience", "https://billing.example#x")], target),
        (
            vec![("audience", "https://billing.example https://ship.example")],
            target,
        ),
        (vec![("audience", &broker.issuer)], target),
        // Several audiences could be meant: none is guessed.
        (vec![], target),
        (vec![("scope", "deploy:read")], target),
        (vec![billing, ("scope", "deploy:admin")], scope),
        (vec![billing, ("scope", "deploy:read deploy:admin")], scope),
        (vec![billing, ("scope", "ship:go")], scope),
        (vec![billing, ("scope", "deploy:*")], scope),
        (vec![billing, ("scope", "Deploy:read")], scope),
        (vec![billing, ("scope", "deploy:read\tdeploy:write")], scope),
        (vec![billing, ("scope", "\"deploy:read\"")], scope),
    ] {
        let answer = client.exchange_token(&token, None, &more).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text("error"), answer.code()),
            (400, error, code),
            "{more:?}: {answer:?}"
        );
        answer.assert_refused(400, code);
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let narrow = [billing, ("scope", "deploy:read")];
    let answer = client.exchange_token(&token, None, &narrow).await;
    answer.assert_issued();
    assert_eq!(scopes(&answer), ["deploy:read"]);
    let seen = client.introspect(answer.text("access_token")).await;
    assert_eq!(seen.json["scope"], "deploy:read");
    assert_eq!(seen.json["aud"], serde_json::json!([BILLING]));
}

#[tokio::test]
async fn the_only_audience_need_not_be_named_and_no_scope_means_all_of_the_grant() {
    let broker = Broker::with(OPEN).await;
    let client = broker.client();
    let jobs = jobs(&broker, 3).await;
    for (job, more) in jobs.iter().zip([
        vec![],
        vec![("resource", BILLING)],
        vec![("resource", BILLING), ("audience", BILLING)],
    ]) {
        let answer = client
            .exchange_token(&bearer(&broker, job), None, &more)
            .await;
        answer.assert_issued();
        assert_eq!(scopes(&answer), ["deploy:read", "deploy:write"]);
        let seen = client.introspect(answer.text("access_token")).await;
        assert_eq!(seen.json["aud"], serde_json::json!([BILLING]));
    }
}

#[tokio::test]
async fn a_profile_with_secrets_gives_a_token_for_the_broker_itself() {
    let broker = Broker::with(DEPLOY).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let run = deploy_run(&broker).await;
    let held = client
        .exchange_token(&bound(&broker, &run.jobs[0], &key), Some(&key), &[])
        .await;
    held.assert_issued();
    // It is no other service's: that one learns nothing of it.
    assert!(!client.is_active(&held).await);
    let billing = client.renew(&held, &key, &[("audience", BILLING)]).await;
    assert!(client.is_active(&billing).await);
    let secret = client.secret("ci/prod/db", &billing, Some(&key)).await;
    secret.assert_refused(401, "token_invalid");
}

/// RFC 6749 §6: what a renewal leaves out is what was given before, and nothing that it asks for is
/// beyond the grant.
#[tokio::test]
async fn a36_a_renewal_gives_what_was_given_unless_it_asks_within_the_grant() {
    let broker = Broker::with(&two_grants()).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let narrow = [("audience", BILLING), ("scope", "deploy:read")];
    let token = bound(&broker, &job(&broker).await, &key);
    let held = client.exchange_token(&token, Some(&key), &narrow).await;
    held.assert_issued();
    for more in [
        &[][..],
        &[("audience", BILLING)][..],
        &narrow[1..],
        &narrow[..],
    ] {
        let renewed = client.renew(&held, &key, more).await;
        renewed.assert_issued();
        assert_eq!(scopes(&renewed), ["deploy:read"], "{more:?}");
    }
    let before = credentials(&broker).await.len();
    for (more, code) in [
        (vec![("scope", "deploy:admin")], "scope_refused"),
        (vec![("scope", "ship:go")], "scope_refused"),
        (
            vec![("audience", "https://other.example")],
            "target_refused",
        ),
        (
            vec![("audience", BILLING), ("audience", "https://ship.example")],
            "target_refused",
        ),
    ] {
        client
            .renew(&held, &key, &more)
            .await
            .assert_refused(400, code);
    }
    assert_eq!(credentials(&broker).await.len(), before);
}
