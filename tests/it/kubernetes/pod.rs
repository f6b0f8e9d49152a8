//! What stands on a pod ends with it.

use std::time::Duration;

use writ_practice::{Mode, PodPhase, Target};

use super::{DEPLOYER, Ground, SOURCE, run};
use crate::gitlab::outage::fault;

#[tokio::test]
async fn a_pod_gets_a_token_and_a_secret_and_renews_while_it_runs() {
    let ground = Ground::new(SOURCE, DEPLOYER).await;
    ground.broker.put_secret("shop/db", "hunter2").await;
    let (client, key) = (&ground.client, Some(&ground.key));
    let token = ground.token();
    let own = client.exchange_token(&token, key, &[]).await;
    own.assert_issued();
    let secret = client.secret("shop/db", &own, key).await;
    assert_eq!(secret.text("value"), "hunter2");
    for _ in 0..3 {
        ground.broker.pass(Duration::from_secs(31)).await;
        client.renew(&own, &ground.key, &[]).await.assert_issued();
    }
}

#[tokio::test]
async fn a_pod_that_ended_or_is_being_deleted_takes_its_lineage() {
    for how in [Some(PodPhase::Succeeded), Some(PodPhase::Failed), None] {
        let ground = Ground::new(SOURCE, DEPLOYER).await;
        let token = ground.token();
        let first = ground.exchange(&token).await;
        first.assert_issued();
        let cluster = ground.broker.cluster();
        match how {
            Some(phase) => cluster.set_phase(&ground.pod, phase).unwrap(),
            None => cluster.terminate(&ground.pod).unwrap(),
        }
        ground.broker.pass(Duration::from_secs(31)).await;
        let renewal = ground.client.renew(&first, &ground.key, &[]).await;
        renewal.assert_refused(400, "context_ended");
        assert!(!ground.client.is_active(&first).await, "{how:?}");
        ground.assert_refused(&token, 400, "context_ended").await;
    }
}

#[tokio::test]
async fn a_pod_that_is_gone_is_refused_even_where_another_has_its_name() {
    for again in [false, true] {
        let ground = Ground::new(SOURCE, DEPLOYER).await;
        let token = ground.token();
        let first = ground.exchange(&token).await;
        first.assert_issued();
        ground.broker.cluster().delete(&ground.pod).unwrap();
        if again {
            run(&ground.broker, "deployer-0", "deployer");
        }
        ground.broker.pass(Duration::from_secs(31)).await;
        let renewal = ground.client.renew(&first, &ground.key, &[]).await;
        renewal.assert_refused(400, "context_unknown");
        ground.assert_refused(&token, 400, "evidence_invalid").await;
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_asked_about_the_pod_decides_nothing() {
    let ground = Ground::new(SOURCE, DEPLOYER).await;
    let first = ground.exchange(&ground.token()).await;
    let cluster = ground.broker.cluster();
    for mode in [Mode::Down, Mode::Html, Mode::Unavailable] {
        ground.broker.pass(Duration::from_secs(31)).await;
        fault(cluster.faults(), Target::Jobs, mode);
        let renewal = ground.client.renew(&first, &ground.key, &[]).await;
        renewal.assert_refused(503, "context_unavailable");
        assert!(ground.client.is_active(&first).await, "{mode:?}");
        cluster.faults().clear();
    }
    cluster.set_phase(&ground.pod, PodPhase::Unknown).unwrap();
    ground.broker.pass(Duration::from_secs(31)).await;
    let renewal = ground.client.renew(&first, &ground.key, &[]).await;
    renewal.assert_refused(503, "context_unavailable");
    cluster.set_phase(&ground.pod, PodPhase::Running).unwrap();
    let back = ground.client.renew(&first, &ground.key, &[]).await;
    back.assert_issued();
}
