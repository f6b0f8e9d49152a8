//! The token: a signature says who minted it, and the cluster whether it still counts.

use serde_json::{Map, Value, json};
use writ_practice::client::SessionKey;
use writ_practice::{Mode, Target};

use super::{ACCOUNT, BILLING, Ground, LOOSE, SOURCE, UNASKED, run};
use crate::gitlab::outage::fault;

fn bound(pod: &Value, account: &Value) -> Map<String, Value> {
    let claim = json!({
        "namespace": "shop",
        "pod": pod,
        "serviceaccount": account,
    });
    Map::from_iter([("kubernetes.io".to_owned(), claim)])
}

#[tokio::test]
async fn a_token_whose_pod_is_gone_verifies_and_is_refused_by_the_cluster() {
    for (source, refused) in [(SOURCE, true), (UNASKED, false)] {
        let ground = Ground::new(source, LOOSE).await;
        let token = ground.token();
        ground.broker.cluster().delete(&ground.pod).unwrap();
        if refused {
            ground.assert_refused(&token, 400, "evidence_invalid").await;
        } else {
            // What the cluster is not asked about nobody knows: hence the binding that secrets need.
            ground.exchange(&token).await.assert_issued();
        }
    }
}

#[tokio::test]
async fn a_token_of_an_account_that_was_made_again_is_refused_by_the_cluster() {
    let ground = Ground::new(SOURCE, LOOSE).await;
    let token = ground.token();
    let cluster = ground.broker.cluster();
    cluster.remake_account("shop", "deployer").unwrap();
    ground.assert_refused(&token, 400, "evidence_invalid").await;
    let newcomer = run(&ground.broker, "deployer-1", "deployer");
    let newcomer = cluster.token(&newcomer, &ground.broker.issuer).unwrap();
    ground
        .assert_refused(&newcomer, 400, "profile_unmatched")
        .await;
}

#[tokio::test]
async fn what_the_cluster_answers_of_another_pod_or_account_does_not_count() {
    let ground = Ground::new(SOURCE, LOOSE).await;
    let other = "0d2f2cbe-0b1c-4a52-8f6e-6a1f6a0a4f77";
    let cluster = ground.broker.cluster();
    for over in [
        bound(
            &json!({ "name": "deployer-0", "uid": other }),
            &json!({ "name": "deployer", "uid": ACCOUNT }),
        ),
        bound(
            &json!({ "name": "deployer-0", "uid": ground.pod.uid }),
            &json!({ "name": "deployer", "uid": other }),
        ),
        bound(&Value::Null, &json!({ "name": "deployer", "uid": ACCOUNT })),
        Map::from_iter([("kubernetes.io".to_owned(), Value::Null)]),
        Map::from_iter([("kubernetes.io".to_owned(), json!("shop"))]),
    ] {
        let token = cluster.token_with(&ground.pod, &ground.broker.issuer, over);
        let token = token.unwrap();
        ground.assert_refused(&token, 400, "evidence_invalid").await;
    }
}

#[tokio::test]
async fn a_claim_of_the_same_name_outside_its_place_is_not_read() {
    let ground = Ground::new(UNASKED, LOOSE).await;
    let other = "0d2f2cbe-0b1c-4a52-8f6e-6a1f6a0a4f77";
    let mut over = bound(
        &json!({ "name": "x", "uid": other }),
        &json!({ "name": "x", "uid": other }),
    );
    over.insert("serviceaccount_uid".to_owned(), ACCOUNT.into());
    over.insert(
        "sub".to_owned(),
        "system:serviceaccount:shop:deployer".into(),
    );
    let cluster = ground.broker.cluster();
    let token = cluster.token_with(&ground.pod, &ground.broker.issuer, over);
    let token = token.unwrap();
    ground
        .assert_refused(&token, 400, "profile_unmatched")
        .await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_asked_about_the_token_lets_nobody_in() {
    for mode in [
        Mode::Down,
        Mode::Html,
        Mode::Garbage,
        Mode::Unavailable,
        Mode::NotFound,
        Mode::RateLimited,
    ] {
        let ground = Ground::new(SOURCE, LOOSE).await;
        let token = ground.token();
        let cluster = ground.broker.cluster();
        fault(cluster.faults(), Target::Reviews, mode);
        ground
            .assert_refused(&token, 503, "issuer_unavailable")
            .await;
        cluster.faults().clear();
        ground.exchange(&token).await.assert_issued();
    }
}

#[tokio::test]
async fn a_token_for_another_audience_is_not_even_asked_about() {
    let ground = Ground::new(SOURCE, LOOSE).await;
    let cluster = ground.broker.cluster();
    let token = cluster
        .token(&ground.pod, "https://kubernetes.default.svc")
        .unwrap();
    ground.assert_refused(&token, 400, "evidence_invalid").await;
    assert_eq!(cluster.faults().requests().of(Target::Reviews), 0);
    let both = Map::from_iter([(
        "aud".to_owned(),
        json!([ground.broker.issuer, "https://kubernetes.default.svc"]),
    )]);
    let token = cluster.token_with(&ground.pod, &ground.broker.issuer, both);
    ground
        .assert_refused(&token.unwrap(), 400, "evidence_invalid")
        .await;
}

#[tokio::test]
async fn two_pods_of_one_account_are_two_tasks() {
    let ground = Ground::new(SOURCE, LOOSE).await;
    let first = ground.exchange(&ground.token()).await;
    let other = run(&ground.broker, "deployer-1", "deployer");
    let token = ground.broker.cluster().token(&other, &ground.broker.issuer);
    let key = SessionKey::generate().unwrap();
    let client = &ground.client;
    let other = client
        .exchange_token(&token.unwrap(), Some(&key), BILLING)
        .await;
    other.assert_issued();
    assert_ne!(other.text("task"), first.text("task"));
}
