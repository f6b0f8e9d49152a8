//! What an answer means.

use std::collections::BTreeSet;
use std::time::Duration;

use writ::domain::freeze::{Freeze, FreezeScope};
use writ::domain::ids::Realm;
use writ::domain::key::Digest;
use writ::domain::position::Position;
use writ::domain::task::Epoch;
use writ::ledger::answered::{Answer, Repeat};
use writ::ledger::bar::BarKey;
use writ::ledger::change::Write;
use writ::ledger::entry::Life;
use writ::ledger::rows::Refusal;
use writ::store::CommitError;

use super::admission::{all, bar, refusal, set_bar};
use super::fixtures::{Job, REALM, deadline, evidence, identity};
use super::{NOW, World};

pub(super) async fn a_dropped_caller_does_not_undo_the_commit(world: World) {
    let job = Job::new("1/1", "a");
    {
        let commit = world.store.commit(job.open());
        let gone = futures_util::future::ready(());
        // Polled once, then dropped: the client has hung up.
        futures_util::future::select(commit, gone).await;
    }
    // The next change waits behind it.
    world.store.commit(job.issue()).await.unwrap();
    let live = world.store.credentials(REALM, job.task.id, NOW).await;
    assert_eq!(live.unwrap().len(), 2);
}

pub(super) async fn numbers_have_no_gaps_under_concurrency(world: World) {
    let job = Job::new("1/1", "a");
    world.store.commit(job.open()).await.unwrap();
    let mut changes = Vec::new();
    for n in 0..64 {
        let mut change = job.issue();
        // Every third one is refused, and takes no number.
        let label = if n % 3 == 0 { "same" } else { &format!("{n}") };
        change.writes.push(Write::Once(evidence(label, None)));
        changes.push(change);
    }
    let outcomes = all(&world, changes).await;
    let numbers: BTreeSet<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .map(|receipt| receipt.position().n)
        .collect();
    let admitted = numbers.len() as u64;
    assert_eq!(admitted, 43);
    assert_eq!(numbers, (2..=admitted + 1).collect());
    let entries = world.store.entries(REALM, job.task.id, 100).await.unwrap();
    assert_eq!(entries.len() as u64, admitted + 1);
}

pub(super) async fn everything_is_there_after_a_restart(world: World) {
    let job = Job::new("1/1", "a");
    let receipt = world.store.commit(job.open()).await.unwrap();
    let world = world.restarted().await;
    let held = world.store.held(REALM, job.session.id).await.unwrap();
    assert_eq!(held.map(|held| held.task), Some(job.task.clone()));
    let entry = world.store.entry(receipt.position()).await.unwrap();
    assert_eq!(entry.map(|entry| entry.position), Some(receipt.position()));
    let next = world.store.commit(job.issue()).await.unwrap().position();
    assert_eq!(next.n, 1);
    assert!(next.writer > receipt.position().writer);
}

pub(super) async fn a_tombstone_is_in_the_view_before_the_answer(world: World) {
    let job = Job::new("1/1", "a");
    world.store.commit(job.open()).await.unwrap();
    let life = |world: &World| world.store.view().task(job.task.id).map(|seen| seen.life);
    assert_eq!(life(&world), Some(Life::Live));
    world.store.commit(job.revoke()).await.unwrap();
    assert_eq!(life(&world), Some(Life::Over));
    let stored = world.store.task(REALM, job.task.id).await.unwrap();
    assert!(stored.is_some_and(|task| !task.is_open()));
}

pub(super) async fn a_bar_is_in_the_view_after_a_restart_and_never_shortened(world: World) {
    let job = Job::new("1/1", "a");
    let key = BarKey::Workload(identity().id().clone());
    world
        .store
        .commit(set_bar(&job, bar(key.clone())))
        .await
        .unwrap();
    let mut shorter = bar(key.clone());
    shorter.until = NOW.plus(Duration::from_secs(1));
    world.store.commit(set_bar(&job, shorter)).await.unwrap();
    let late = deadline().minus(Duration::from_secs(1));
    assert!(world.store.view().is_barred(&key, late));
    let world = world.restarted().await;
    assert!(world.store.view().is_barred(&key, late));
    assert!(!world.store.view().is_barred(&key, deadline()));
    let named = BarKey::TaskName(job.task.name.clone());
    world
        .store
        .commit(set_bar(&job, bar(named.clone())))
        .await
        .unwrap();
    assert_eq!(refusal(&world, job.open()).await, Refusal::Barred(named));
}

pub(super) async fn a_closed_store_takes_no_change(world: World) {
    let job = Job::new("1/1", "a");
    let waiting = all(
        &world,
        (0..32)
            .map(|n| Job::new("1/1", &format!("{n}")).open())
            .collect(),
    );
    let (outcomes, ()) = tokio::join!(waiting, world.store.close());
    // Each is answered one way or the other, and what was admitted is there afterwards.
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(won <= 1, "{outcomes:?}");
    let after = world.store.commit(job.issue()).await;
    assert!(matches!(after, Err(CommitError::Down(_))), "{after:?}");
    assert!(!world.fatal.is_cancelled());
    let world = world.restarted().await;
    let task = world.store.task_named(REALM, &job.task.name).await.unwrap();
    assert_eq!(usize::from(task.is_some()), won);
}

/// The position of a change that must be admitted.
pub(super) async fn admitted(world: &World, change: writ::ledger::change::Change) -> Position {
    world.store.commit(change).await.unwrap().position()
}

pub(super) async fn a_freeze_binds_after_a_restart_until_it_is_lifted(world: World) {
    let job = Job::new("1/1", "a");
    world.store.commit(job.open()).await.unwrap();
    let scope: FreezeScope = "issuer/github".parse().unwrap();
    let freeze = Freeze {
        scope: scope.clone(),
        epoch: Epoch::FIRST,
        at: NOW,
        until: deadline(),
        by: "ada".to_owned(),
        reason: None,
        lifted_at: None,
    };
    let write = |freeze: &Freeze| job.issuing(vec![], vec![Write::Freeze(freeze.clone())]);
    world.store.commit(write(&freeze)).await.unwrap();
    // Whoever orders without having read the newest row is told to read it.
    assert_eq!(refusal(&world, write(&freeze)).await, Refusal::Moved);
    let world = world.restarted().await;
    let view = world.store.view();
    assert_eq!(view.frozen_until(&scope, NOW), Some(deadline()));
    assert_eq!(view.frozen_until(&scope, deadline()), None);
    let frozen = Refusal::Frozen(scope.clone());
    assert_eq!(refusal(&world, job.issue()).await, frozen);
    assert_eq!(refusal(&world, Job::new("2/1", "a").open()).await, frozen);
    let kept = world.store.freezes(REALM).await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&freeze));
    world
        .store
        .commit(write(&freeze.lifted(NOW)))
        .await
        .unwrap();
    assert_eq!(world.store.view().frozen_until(&scope, NOW), None);
    world.store.commit(job.issue()).await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.store.view().frozen_until(&scope, NOW), None);
    world.store.commit(job.issue()).await.unwrap();
}

pub(super) async fn an_order_is_known_by_its_key_after_a_restart_until_its_time_is_over(
    world: World,
) {
    let job = Job::new("1/1", "a");
    world.store.commit(job.open()).await.unwrap();
    let repeat = Repeat {
        key: Digest::of(&[b"key"]),
        request: Digest::of(&[b"request"]),
    };
    let answered = repeat.answered(Answer::Task(Box::new(job.task.clone())), NOW);
    let write = || job.issuing(vec![], vec![Write::Answered(answered.clone())]);
    world.store.commit(write()).await.unwrap();
    assert_eq!(refusal(&world, write()).await, Refusal::OrderGiven);
    let world = world.restarted().await;
    assert_eq!(refusal(&world, write()).await, Refusal::OrderGiven);
    let kept = world.store.answered(REALM, repeat.key).await.unwrap();
    assert_eq!(kept, Some(answered.clone()));
    let other = world
        .store
        .answered(Realm::from_number(7), repeat.key)
        .await;
    assert_eq!(other.unwrap(), None);
    world.store.sweep(answered.until, 10_000).await.unwrap();
    let kept = world.store.answered(REALM, repeat.key).await.unwrap();
    assert!(kept.is_some(), "it was swept before its grace was over");
    let later = answered.until.plus(Duration::from_hours(2));
    world.store.sweep(later, 10_000).await.unwrap();
    assert_eq!(world.store.answered(REALM, repeat.key).await.unwrap(), None);
}
