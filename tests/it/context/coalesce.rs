//! Many who ask about one record cost one read.

use std::time::Duration;

use futures_util::future::join_all;
use writ_practice::Target;
use writ_practice::client::SessionKey;

use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn sixty_four_renewals_of_two_lineages_at_once_read_each_record_once() {
    let held = Held::billing(DEPLOY).await;
    let keys: Vec<_> = (0..64).map(|_| SessionKey::generate().unwrap()).collect();
    let opened = keys.iter().enumerate().map(|(n, key)| {
        let job = &held.run.jobs[n % 2];
        let held = &held;
        async move { (held_exchange(held, job, key).await, key) }
    });
    let sessions = join_all(opened).await;
    held.broker.pass(Duration::from_secs(61)).await;
    held.broker.site().faults().forget_requests();

    let renewals = sessions
        .iter()
        .map(|(first, key)| held.client.renew(first, key, &[]));
    for answer in join_all(renewals).await {
        answer.assert_issued();
    }
    assert_eq!(held.broker.asked(Target::Environments), 1);
    assert_eq!(held.broker.asked(Target::Runs), 1);
    assert_eq!(held.broker.asked(Target::CheckRuns), 2);
}

async fn held_exchange(
    held: &Held,
    job: &writ_practice::StartedJob,
    key: &SessionKey,
) -> crate::support::client::Answer {
    let answer = held.client.exchange(job, Some(key), &[]).await;
    answer.assert_issued();
    answer
}

#[tokio::test]
async fn within_max_age_a_renewal_reads_nothing() {
    let held = Held::billing(DEPLOY).await;
    held.renew().await.assert_issued();
    held.broker.site().faults().forget_requests();
    held.broker.pass(Duration::from_secs(20)).await;
    held.renew().await.assert_issued();
    assert_eq!(held.broker.asked(Target::Api), 0);
}
