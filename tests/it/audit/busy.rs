//! A busy day: everything that the broker does, once at least, with canaries for secrets.

use std::time::Duration;

use writ::broker::administer::Haste;
use writ::broker::revoke::Ending;
use writ_keys::{KeyState, Purpose};
use writ_practice::client::SessionKey;
use writ_practice::{Conclusion, Mint, Mode, Target};

use crate::support::broker::{API_TOKEN, BILLING_SECRET, HOOK_SECRET, environment};
use crate::support::client::deploy_run;
use crate::support::held::{BILLING, Held, order};
use crate::support::profiles::DEPLOY;

/// The secrets whose appearance anywhere would be a leak.
pub(super) const CANARIES: [&str; 6] = [
    "canary-value-one-4d1c",
    "canary-value-two-77aa",
    "canary-value-gone-0b5e",
    HOOK_SECRET,
    API_TOKEN,
    BILLING_SECRET,
];

/// Plays the day; gives the broker and every token, handle and proof that went over the wire.
pub(super) async fn day() -> (Held, Vec<String>) {
    let held = Held::asking(DEPLOY, &[]).await;
    let mut seen = vec![];
    let [one, two, gone, ..] = CANARIES;
    for (path, value) in [
        ("ci/prod/db", one),
        ("ci/prod/db", two),
        ("ci/prod/gone", gone),
    ] {
        held.broker.put_secret(path, value).await;
    }
    let verbs = &held.broker.wired.broker;
    verbs
        .delete_secret(&"ci/prod/gone".parse().unwrap(), &order())
        .await
        .unwrap();

    let read = held
        .client
        .secret("ci/prod/db", &held.first, Some(&held.key))
        .await;
    assert_eq!(read.text("value"), two);
    held.client
        .secret("ci/staging/db", &held.first, Some(&held.key))
        .await;
    held.broker.pass(Duration::from_secs(61)).await;
    let second = held.client.renew(&held.first, &held.key, BILLING).await;
    second.assert_issued();
    let thief = SessionKey::generate().unwrap();
    held.client
        .renew(&held.first, &thief, &[])
        .await
        .assert_refused(400, "key_mismatch");
    held.broker.fault(Target::Api, Mode::Down);
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew()
        .await
        .assert_refused(503, "context_unavailable");
    held.broker.mend().await;
    held.client.revoke(second.text("access_token")).await;

    let new = verbs
        .prepare_key(Purpose::AccessToken, &order())
        .await
        .unwrap();
    verbs
        .move_key(
            &new.id.to_string(),
            KeyState::Active,
            Haste::AtOnce,
            &order(),
        )
        .await
        .unwrap();
    let site = held.broker.site();
    for end in 0..4 {
        let (run, key) = (
            deploy_run(&held.broker).await,
            SessionKey::generate().unwrap(),
        );
        held.broker.pass(Duration::from_secs(2)).await;
        let token = held
            .client
            .id_token(&run.jobs[0], &audience(&held, &key))
            .await;
        let answer = held
            .client
            .exchange_token(&token, Some(&key), BILLING)
            .await;
        answer.assert_issued();
        held.client.renew(&answer, &key, &[]).await.assert_issued();
        match end {
            0 => site.cancel_run(run.run_id).await.unwrap(),
            1 => site
                .complete_job(run.jobs[0].job_id, Conclusion::Success)
                .await
                .unwrap(),
            2 => {
                site.edit_environment(environment(0)).unwrap();
                held.broker.pass(Duration::from_secs(31)).await;
                held.client
                    .renew(&answer, &key, &[])
                    .await
                    .assert_refused(400, "context_mismatch");
            }
            _ => drop(held.client.revoke(answer.text("refresh_token")).await),
        }
        held.broker.settle_hooks().await;
        let fresh = held
            .broker
            .mint(&run.jobs[0], &audience(&held, &key), Mint::default());
        let again = held
            .client
            .exchange_token(&fresh, Some(&key), BILLING)
            .await;
        assert_eq!(again.status, 400, "{again:?}");
        seen.extend([
            token,
            answer.text("access_token").to_owned(),
            answer.text("refresh_token").to_owned(),
        ]);
    }
    held.end_task(Ending::Revoke).await;
    held.renew().await.assert_refused(400, "task_revoked");
    seen.extend([
        held.first.text("access_token").to_owned(),
        second.text("refresh_token").to_owned(),
    ]);
    (held, seen)
}

fn audience(held: &Held, key: &SessionKey) -> String {
    format!("{}/jkt/{}", held.broker.issuer, key.thumbprint())
}
