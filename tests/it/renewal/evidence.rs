//! Fresh evidence beside the handle: of the same job, newer than before, used once, for this key.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Mint, StartedJob};

use crate::support::client::{Answer, ID_TOKEN};
use crate::support::held::Held;
use crate::support::profiles::PROOF;

/// The least that a form says of the evidence beside the handle.
fn beside(token: &str) -> [(&str, &str); 2] {
    [("subject_token", token), ("subject_token_type", ID_TOKEN)]
}

async fn fresh() -> Held {
    Held::asking(PROOF, &[]).await
}

impl Held {
    async fn token_for(&self, job: &StartedJob, key: &SessionKey) -> String {
        let audience = format!("{}/jkt/{}", self.broker.issuer, key.thumbprint());
        self.client.id_token(job, &audience).await
    }

    async fn renew_with(&self, token: &str) -> Answer {
        self.client
            .renew(&self.first, &self.key, &beside(token))
            .await
    }

    /// Refused with this code, and nothing was recorded; the session goes on.
    async fn assert_only_refused(&self, token: &str, code: &str) {
        let before = self.broker.recorded().await;
        let answer = self.renew_with(token).await;
        answer.assert_refused(400, code);
        assert_eq!(self.broker.recorded().await, before);
        self.broker.pass(Duration::from_secs(2)).await;
        let honest = self.token_for(self.job(), &self.key).await;
        self.renew_with(&honest).await.assert_issued();
    }
}

#[tokio::test]
async fn where_fresh_evidence_is_demanded_the_handle_alone_does_not_renew() {
    let held = fresh().await;
    let before = held.broker.recorded().await;
    let bare = held.renew().await;
    bare.assert_refused(400, "evidence_required");
    assert_eq!(bare.field(), "subject_token");
    assert_eq!(held.broker.recorded().await, before);

    held.broker.pass(Duration::from_secs(150)).await;
    let token = held.token_for(held.job(), &held.key).await;
    held.renew_with(&token).await.assert_issued();
}

#[tokio::test]
async fn evidence_that_renewed_once_does_not_renew_again() {
    let held = fresh().await;
    held.broker.pass(Duration::from_secs(10)).await;
    let token = held.token_for(held.job(), &held.key).await;
    held.renew_with(&token).await.assert_issued();
    held.assert_only_refused(&token, "evidence_replayed").await;
}

#[tokio::test]
async fn evidence_older_than_what_the_session_has_shown_is_stale() {
    let held = fresh().await;
    held.broker.pass(Duration::from_secs(10)).await;
    let older = held.token_for(held.job(), &held.key).await;
    held.broker.pass(Duration::from_secs(10)).await;
    let newer = held.token_for(held.job(), &held.key).await;
    held.renew_with(&newer).await.assert_issued();
    held.assert_only_refused(&older, "evidence_stale").await;
}

#[tokio::test]
async fn evidence_of_another_job_of_the_run_proves_nothing_for_this_one() {
    let held = fresh().await;
    let other = held.token_for(&held.run.jobs[1], &held.key).await;
    held.assert_only_refused(&other, "profile_unmatched").await;
}

#[tokio::test]
async fn evidence_of_another_attempt_of_the_run_is_of_another_task() {
    let held = fresh().await;
    let audience = format!("{}/jkt/{}", held.broker.issuer, held.key.thumbprint());
    let claims = serde_json::json!({ "run_attempt": "2" });
    let mint = Mint {
        claims: claims.as_object().unwrap().clone(),
        ..Mint::default()
    };
    let other = held.broker.mint(held.job(), &audience, mint);
    held.assert_only_refused(&other, "profile_unmatched").await;
}

#[tokio::test]
async fn evidence_tied_to_another_key_is_refused_whoever_shows_it() {
    let held = fresh().await;
    let other = SessionKey::generate().unwrap();
    let token = held.token_for(held.job(), &other).await;
    held.assert_only_refused(&token, "key_mismatch").await;
}

#[tokio::test]
async fn a34_evidence_without_its_type_or_of_another_type_is_not_taken() {
    let held = fresh().await;
    let before = held.broker.recorded().await;
    let token = held.token_for(held.job(), &held.key).await;
    let access = "urn:ietf:params:oauth:token-type:access_token";
    let forms: [&[(&str, &str)]; 4] = [
        &[("subject_token", &token)],
        &[("subject_token_type", ID_TOKEN)],
        &[("subject_token", &token), ("subject_token_type", access)],
        &[
            ("subject_token", &token),
            ("subject_token", &token),
            ("subject_token_type", ID_TOKEN),
        ],
    ];
    for form in forms {
        let answer = held.client.renew(&held.first, &held.key, form).await;
        answer.assert_refused(400, "request_malformed");
    }
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn a_job_that_no_longer_gets_tokens_keeps_what_it_has_no_longer_than_its_token() {
    let held = fresh().await;
    let site = held.broker.site();
    site.cancel_run(held.run.run_id).await.unwrap();
    let refused = held
        .client
        .ask_id_token(held.job(), &held.broker.issuer)
        .await;
    assert!(!refused.status.is_success(), "{refused:?}");
    held.renew().await.assert_refused(400, "evidence_required");
}
