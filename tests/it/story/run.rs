//! A run from its first token to its end.

use std::time::Duration;

use writ::broker::revoke::Order;
use writ_practice::client::SessionKey;

use crate::support::broker::{Broker, environment};
use crate::support::client::deploy_run;
use crate::support::profiles::DEPLOY;

const BILLING: &[(&str, &str)] = &[("audience", "https://billing.example")];

fn operator() -> Order {
    Order {
        by: "uid:0".to_owned(),
        reason: None,
        repeat: None,
    }
}

async fn put_secret(broker: &Broker, path: &str, value: &str) {
    let secret = value.to_owned().into();
    broker
        .wired
        .broker
        .put_secret(&path.parse().unwrap(), &secret, &operator())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_run_gets_a_token_and_a_secret_and_renews_while_it_lives() {
    let broker = Broker::with(DEPLOY).await;
    put_secret(&broker, "ci/prod/db", "hunter2").await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let run = deploy_run(&broker).await;
    let first = client.exchange(&run.jobs[0], Some(&key), &[]).await;
    first.assert_issued();
    assert_eq!(first.json["token_type"], "DPoP");
    let secret = client.secret("ci/prod/db", &first, Some(&key)).await;
    assert_eq!(secret.text("value"), "hunter2");

    broker.pass(Duration::from_secs(150)).await;
    let second = client.renew(&first, &key, &[]).await;
    second.assert_issued();
    assert_eq!(second.text("lineage"), first.text("lineage"));
    assert_eq!(second.text("refresh_token"), first.text("refresh_token"));
}

#[tokio::test]
async fn a_cancelled_run_loses_everything_without_anybody_asking() {
    let broker = Broker::with(DEPLOY).await;
    put_secret(&broker, "ci/prod/db", "hunter2").await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let run = deploy_run(&broker).await;
    let own = client.exchange(&run.jobs[0], Some(&key), &[]).await;
    let billing = client.renew(&own, &key, BILLING).await;
    assert!(client.is_active(&billing).await);

    broker.site().cancel_run(run.run_id).await.unwrap();
    broker.settle_hooks().await;

    assert!(!client.is_active(&billing).await);
    let renewal = client.renew(&own, &key, &[]).await;
    renewal.assert_refused(400, "context_ended");
    assert_eq!(renewal.text("error"), "invalid_grant");
    assert_eq!(renewal.field(), "pipeline.status");
    client
        .secret("ci/prod/db", &own, Some(&key))
        .await
        .assert_refused(403, "context_ended");
}

#[tokio::test]
async fn an_environment_whose_rules_were_edited_ends_what_was_pinned_to_it() {
    let broker = Broker::with(DEPLOY).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let run = deploy_run(&broker).await;
    let first = client.exchange(&run.jobs[0], Some(&key), BILLING).await;
    first.assert_issued();

    broker.site().edit_environment(environment(0)).unwrap();
    broker.pass(Duration::from_secs(31)).await;
    let renewal = client.renew(&first, &key, &[]).await;
    renewal.assert_refused(400, "context_mismatch");
    assert_eq!(renewal.field(), "environment.protection_rules");
    assert!(!client.is_active(&first).await);
    let again = client.exchange(&run.jobs[0], Some(&key), &[]).await;
    again.assert_refused(400, "context_mismatch");
    assert_eq!(again.text("error"), "invalid_request");
}
