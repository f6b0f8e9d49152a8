//! P12: everybody asks at once, and each use is somebody's once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use writ::broker::revoke::Ending;

use super::at_work;

const CROWD: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_of_64_parallel_redemptions_of_one_permit_exactly_one_wins() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    let keys: Vec<_> = (0..CROWD).map(|n| format!("k{n}")).collect();
    let all = keys.iter().map(|key| script.consume("db-7", permit, key));
    let all = join_all(all).await;
    let (won, lost): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|answer| answer.json["decision"] == json!(true));
    assert_eq!(won.len(), 1, "{all:?}");
    won[0].assert_consumed(false);
    for answer in lost {
        answer.assert_denied("permit_spent", "permit");
    }
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_of_64_parallel_reservations_of_three_uses_exactly_three_are_given() {
    let (held, script) = at_work().await;
    let keys: Vec<_> = (0..CROWD).map(|n| format!("k{n}")).collect();
    let all = keys.iter().map(|key| script.reserve("db-7", key));
    let all = join_all(all).await;
    let given: BTreeSet<_> = all
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.permit().to_owned())
        .collect();
    assert_eq!(given.len(), 3, "{all:?}");
    for answer in all.iter().filter(|answer| answer.status != 200) {
        answer.assert_refused(403, "uses_exhausted");
    }
    assert_eq!(
        (held.spent().await, held.reservations().await.len()),
        (3, 3)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_asked_64_times_at_once_is_one_use_and_one_answer() {
    let (held, script) = at_work().await;
    let all = join_all((0..CROWD).map(|_| script.reserve("db-7", "step-1"))).await;
    let permits: BTreeSet<_> = all
        .iter()
        .map(|answer| answer.permit().to_owned())
        .collect();
    assert_eq!(permits.len(), 1);
    let permit = permits.first().unwrap();
    let all = join_all((0..CROWD).map(|_| script.consume("db-7", permit, "a"))).await;
    for answer in &all {
        answer.assert_permitted();
    }
    let first = all
        .iter()
        .filter(|answer| answer.json["context"]["repeated"] == json!(false));
    assert_eq!(first.count(), 1);
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_nothing_is_reserved_or_consumed_after_a_revocation_that_races_with_it() {
    let (held, script) = at_work().await;
    let permits = [
        script.reserve("db-7", "a").await.permit().to_owned(),
        script.reserve("db-7", "b").await.permit().to_owned(),
    ];
    let script = Arc::new(script);
    let work = (0..CROWD).map(|n| {
        let (script, permit) = (Arc::clone(&script), permits[n % 2].clone());
        tokio::spawn(async move {
            if n % 4 == 3 {
                script.reserve("db-7", &format!("r{n}")).await
            } else {
                script.consume("db-7", &permit, &format!("c{n}")).await
            }
        })
    });
    let work: Vec<_> = work.collect();
    held.end_task(Ending::Revoke).await;
    let (reserved, consumed) = held.logged().await;
    for answer in join_all(work).await {
        answer.unwrap();
    }
    assert_eq!(held.logged().await, (reserved, consumed.clone()));
    assert!(consumed.len() <= 2, "{consumed:?}");
}
