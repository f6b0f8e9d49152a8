//! Asked again: a lost answer costs nothing, a repeated refusal writes nothing, a used proof is none.

use std::time::Duration;

use writ::broker::revoke::Ending;
use writ_practice::client::SessionKey;

use crate::support::client::{Answer, deploy_run};
use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_lost_answer_is_simply_asked_for_again() {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(150)).await;
    let lost = held.renew().await;
    let again = held.renew().await;
    again.assert_issued();
    for part in ["refresh_token", "lineage", "task"] {
        assert_eq!(again.text(part), lost.text(part));
    }
    assert!(held.client.is_active(&again).await);
}

#[tokio::test]
async fn a_proof_that_renewed_once_renews_nothing_more() {
    let held = Held::billing(DEPLOY).await;
    let url = format!("{}/oauth2/token", held.broker.issuer);
    let proof = held.client.proof(&held.key, "POST", &url, None);
    let handle = held.first.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", handle)];
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = held.client.http.post(&url).form(&form);
        let answer = request.header("DPoP", &proof).send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn renewals_of_one_session_at_once_are_served_or_told_to_ask_again() {
    let held = Held::billing(DEPLOY).await;
    let asked = (0..4).map(|_| held.renew());
    for answer in futures_util::future::join_all(asked).await {
        answer.assert_issued();
    }
    let asked = (0..32).map(|_| held.renew());
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.assert_refused(503, "overloaded");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(held.is_active().await);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_refusal_repeated_within_a_minute_answers_the_first_id_and_writes_nothing() {
    let held = Held::billing(DEPLOY).await;
    held.end_task(Ending::Revoke).await;
    let first = held.renew().await;
    first.assert_refused(400, "task_revoked");
    let written = held.broker.log().await.len();
    for _ in 0..20 {
        let again = held.renew().await;
        again.assert_refused(400, "task_revoked");
        assert_eq!(again.text("denial_id"), first.text("denial_id"));
    }
    assert_eq!(held.broker.log().await.len(), written);

    held.broker.pass(Duration::from_secs(60)).await;
    let later = held.renew().await;
    assert_ne!(later.text("denial_id"), first.text("denial_id"));
    assert_eq!(held.broker.log().await.len(), written + 1);
}

#[tokio::test]
async fn the_operator_finds_by_the_id_what_the_caller_is_not_told() {
    let held = Held::billing(DEPLOY).await;
    let thief = SessionKey::generate().unwrap();
    let refused = held.client.renew(&held.first, &thief, &[]).await;
    let id = refused.text("denial_id").parse().unwrap();
    let (_, leaf) = held.broker.wired.broker.explain(id).await.unwrap();
    assert_eq!(leaf.subject.task, Some(held.task()));
    assert_eq!(leaf.event.name(), "denied");
}

#[tokio::test]
async fn the_same_refusal_of_another_run_has_its_own_id() {
    let held = Held::billing(DEPLOY).await;
    held.end_task(Ending::Revoke).await;
    let other_run = deploy_run(&held.broker).await;
    let other = held
        .client
        .exchange(&other_run.jobs[0], Some(&held.key), BILLING)
        .await;
    other.assert_issued();
    let thief = SessionKey::generate().unwrap();
    let mine: Answer = held.client.renew(&other, &thief, &[]).await;
    mine.assert_refused(400, "key_mismatch");
    let theirs = held.renew().await;
    assert_ne!(mine.text("denial_id"), theirs.text("denial_id"));
}
