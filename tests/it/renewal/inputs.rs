//! Key, session, task, context and policies, each moved alone.

use std::time::Duration;

use writ::broker::revoke::Ending;
use writ_practice::Conclusion;
use writ_practice::client::SessionKey;

use crate::support::broker::environment;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

const FORBID: &str = r#"
@id("own.freeze")
@code("policy_denied")
@advice("deployments are frozen")
forbid (principal, action, resource);
"#;

#[tokio::test]
async fn nothing_moved_and_it_renews() {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(150)).await;
    let second = held.renew().await;
    second.assert_issued();
    assert_eq!(second.text("task"), held.first.text("task"));
    assert!(held.client.is_active(&second).await);
}

#[tokio::test]
async fn a41_a_stolen_handle_without_its_key_is_worth_nothing_and_costs_its_owner_nothing() {
    let held = Held::billing(DEPLOY).await;
    let thief = SessionKey::generate().unwrap();
    let before = held.broker.recorded().await;
    let stolen = held.client.renew(&held.first, &thief, &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    assert_eq!(stolen.text("error"), "invalid_grant");
    let handle = held.first.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", handle)];
    let bare = held.client.token_endpoint(&form, None).await;
    bare.assert_refused(400, "proof_required");
    assert_eq!(bare.text("error"), "invalid_dpop_proof");
    assert_eq!(held.broker.recorded().await, before);

    assert!(held.is_active().await);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a16_a_handle_that_was_cut_lengthened_or_altered_is_none() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    let handle = held.first.text("refresh_token").to_owned();
    let cut = handle[..handle.len() - 2].to_owned();
    let mut altered = handle.clone().into_bytes();
    altered[10] = if altered[10] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for wrong in [&cut, &format!("{handle}AA"), &altered, "wrh_", ""] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", wrong)];
        let answer = held.client.token_endpoint(&form, Some(&held.key)).await;
        let code = if wrong.is_empty() {
            "request_malformed"
        } else {
            "token_invalid"
        };
        answer.assert_refused(400, code);
    }
    assert_eq!(held.broker.recorded().await, before);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_session_that_was_not_renewed_in_time_is_over_and_evidence_opens_it_again() {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(15 * 60)).await;
    let before = held.broker.recorded().await;
    let late = held.renew().await;
    late.assert_refused(400, "session_expired");
    assert_eq!(late.field(), "session.expires_at");
    assert_eq!(held.broker.recorded().await, before);
    let evidence = held.client.exchange(held.job(), Some(&held.key), &[]);
    evidence.await.assert_issued();
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn past_the_tasks_deadline_nothing_renews_and_no_token_lasts_beyond_it() {
    let held = Held::billing(DEPLOY).await;
    for _ in 0..5 {
        held.broker.pass(Duration::from_secs(700)).await;
        held.renew().await.assert_issued();
    }
    // A hundred seconds are left of the hour.
    let last = held.renew().await;
    last.assert_issued();
    assert!(last.json["expires_in"].as_u64().unwrap() <= 100, "{last:?}");
    held.broker.pass(Duration::from_secs(100)).await;
    held.assert_never_again("task_expired").await;
    assert!(!held.client.is_active(&last).await);
}

#[tokio::test]
async fn a_task_that_was_closed_or_revoked_says_which() {
    for (ending, code) in [
        (Ending::Close, "task_closed"),
        (Ending::Revoke, "task_revoked"),
    ] {
        let held = Held::billing(DEPLOY).await;
        held.end_task(ending).await;
        held.assert_never_again(code).await;
        assert!(!held.is_active().await);
    }
}

#[tokio::test]
async fn a_job_that_is_over_ends_its_lineage_at_the_next_renewal_even_without_a_webhook() {
    let held = Held::billing(DEPLOY).await;
    silence(&held);
    let site = held.broker.site();
    let done = site.complete_job(held.job().job_id, Conclusion::Success);
    done.await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let before = held.broker.recorded().await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_ended");
    assert_eq!(renewal.field(), "job.status");
    assert_eq!(held.broker.recorded().await, before);
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn an_environment_that_was_deleted_and_made_again_is_another_one() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.recreate_environment(environment(30)).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_mismatch");
    assert_eq!(renewal.field(), "environment.id");
    held.assert_never_again("context_mismatch").await;
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn what_a_mismatch_ended_does_not_come_back_when_the_context_does() {
    let held = Held::billing(DEPLOY).await;
    let site = held.broker.site();
    site.edit_environment(environment(0)).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    held.renew().await.assert_refused(400, "context_mismatch");
    site.edit_environment(environment(30)).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    held.assert_never_again("context_mismatch").await;
    assert!(!held.is_active().await);
    // The other job of the run never met the edit.
    let other = held
        .client
        .exchange(&held.run.jobs[1], Some(&held.key), &[]);
    other.await.assert_issued();
}

#[tokio::test]
async fn a_field_that_is_required_and_fails_ends_the_lineage() {
    let protected = DEPLOY.replace(
        r#"pin = ["id", "protection_rules"]"#,
        r#"require = { protected = "true" }"#,
    );
    let held = Held::billing(&protected).await;
    let mut open = environment(0);
    open.rules.wait_timer = None;
    held.broker.site().edit_environment(open).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_mismatch");
    assert_eq!(renewal.field(), "environment.protected");
    assert!(!held.is_active().await);
    held.assert_never_again("context_mismatch").await;
}

#[tokio::test]
async fn policies_that_forbid_now_stop_a_renewal_and_revoke_nothing() {
    let held = Held::billing(DEPLOY).await;
    held.broker.set_policies(FORBID).await;
    held.assert_never_again("policy_denied").await;
    assert!(held.is_active().await);
    held.broker.set_policies("").await;
    held.renew().await.assert_issued();
}

/// Webhooks are lost from now on.
fn silence(held: &Held) {
    let silent = writ_practice::HookSettings {
        enabled: false,
        targets: Vec::new(),
    };
    held.broker.site().hooks().set(silent).unwrap();
}
