//! What a change must find, and what is left when it does not.

use std::sync::Arc;

use writ::domain::ids::{LineageId, Realm, TaskId};
use writ::domain::key::Digest;
use writ::domain::task::End;
use writ::error::Code;
use writ::ledger::bar::{Bar, BarKey};
use writ::ledger::change::{Change, Expectation, Lane, OnceKind, Write};
use writ::ledger::entry::Event;
use writ::ledger::rows::Refusal;
use writ::seams::SystemEntropy;
use writ::store::{CommitError, Receipt};

use super::durability::admitted;
use super::fixtures::{Job, REALM, deadline, evidence, grant, identity, name, record};
use super::{NOW, World};

pub(super) async fn an_opening_change_is_admitted_and_everything_of_it_is_there(world: World) {
    let job = Job::new("1/1", "a");
    let change = job.open();
    let receipt = world.store.commit(change.clone()).await.unwrap();
    assert_eq!(receipt.change(), change.id);
    assert_eq!(receipt.position().n, 1);
    let held = world.store.held(REALM, job.session.id).await.unwrap();
    let held = held.unwrap();
    assert_eq!(held.task, job.task);
    assert_eq!(held.lineage, job.lineage);
    assert_eq!(held.session, job.session);
    let live = world.store.credentials(REALM, job.task.id, NOW).await;
    let live = live.unwrap();
    assert_eq!(live.len(), 1);
    let found = world.store.credential(REALM, job.lineage.id, live[0].id);
    assert_eq!(found.await.unwrap().as_ref(), Some(&live[0]));
}

pub(super) async fn a_refused_change_leaves_nothing_and_takes_no_number(world: World) {
    let job = Job::new("1/1", "a");
    let mut change = job.open();
    change.expects.push(Expectation::Before { at: NOW });
    assert_eq!(refusal(&world, change).await, Refusal::TooLate);
    let stands = world
        .store
        .standing(REALM, &job.task.name, &job.lineage.instance, None)
        .await
        .unwrap();
    assert_eq!(
        (stands.task, stands.lineage, stands.session),
        (None, None, None)
    );
    let bound = world.store.bound(REALM, &record("1/1")).await;
    assert!(bound.unwrap().is_empty());
    assert_eq!(world.store.view().task(job.task.id), None);
    assert_eq!(admitted(&world, job.open()).await.n, 1);
}

pub(super) async fn each_expectation_refuses_by_its_own_name(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let ended = Job::new("2/1", "a");
    admitted(&world, ended.open()).await;
    let end = || End::new(Code::SessionEnded, NOW);
    let over = vec![
        Write::Session(ended.session.clone().end(end()).unwrap()),
        Write::Lineage(ended.lineage.clone().end(end()).unwrap()),
        Write::Task(ended.task.clone().end(end()).unwrap()),
    ];
    admitted(&world, ended.issuing(vec![], over)).await;
    let barred = BarKey::Workload(identity().id().clone());
    let bar = Write::Bar(bar(barred.clone()));
    admitted(&world, job.issuing(vec![], vec![bar])).await;
    let elsewhere = Expectation::CredentialStanding {
        lineage: job.lineage.id,
        credential: job.credential().id,
    };
    let moved = Expectation::TaskOpen {
        task: job.task.id,
        epoch: job.task.epoch.next(),
    };
    let absent = Expectation::LineageLive {
        lineage: LineageId::new(NOW, &SystemEntropy),
        epoch: job.lineage.epoch,
    };
    let other_policies = Expectation::PolicySet {
        digest: Digest::of(&[b"others"]),
    };
    for (expectation, refused) in [
        (ended.task_open(), Refusal::TaskOver),
        (ended.lineage_live(), Refusal::LineageEnded),
        (ended.session_live(), Refusal::SessionEnded),
        (elsewhere, Refusal::CredentialDead),
        (moved, Refusal::Moved),
        (absent, Refusal::Moved),
        (other_policies, Refusal::PolicyChanged),
        (Expectation::Before { at: NOW }, Refusal::TooLate),
        (
            Expectation::NotBarred {
                key: barred.clone(),
            },
            Refusal::Barred(barred.clone()),
        ),
    ] {
        let mut change = job.issue();
        change.expects = vec![expectation];
        assert_eq!(refusal(&world, change).await, refused);
    }
    let live = world.store.credentials(REALM, job.task.id, NOW).await;
    assert_eq!(live.unwrap().len(), 1);
    admitted(&world, job.issue()).await;
}

pub(super) async fn of_two_openings_of_one_name_exactly_one_wins(world: World) {
    let (one, two) = (Job::new("1/1", "a"), Job::new("1/1", "b"));
    let (first, second) = tokio::join!(
        world.store.commit(one.open()),
        world.store.commit(two.open())
    );
    let (won, lost) = if first.is_ok() {
        (&one, second)
    } else {
        (&two, first)
    };
    assert_eq!(refused(lost), Refusal::Moved);
    let task = world.store.task_named(REALM, &name("1/1")).await.unwrap();
    assert_eq!(task.map(|task| task.id), Some(won.task.id));
    let lineages = world.store.lineages(REALM, won.task.id).await.unwrap();
    assert_eq!(lineages, std::slice::from_ref(&won.lineage));
}

pub(super) async fn of_many_openings_of_one_instance_exactly_one_wins(world: World) {
    let first = Job::new("1/1", "a");
    admitted(&world, first.open()).await;
    let rivals: Vec<_> = (0..16).map(|_| first.beside("b").join()).collect();
    let outcomes = all(&world, rivals).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(refused(outcome), Refusal::Moved);
    }
    let lineages = world.store.lineages(REALM, first.task.id).await.unwrap();
    assert_eq!(lineages.len(), 2);
}

pub(super) async fn a_single_use_key_is_used_once_and_names_its_session(world: World) {
    let job = Job::new("1/1", "a");
    let once = evidence("token 1", Some(job.session.id));
    let mut open = job.open();
    open.writes.push(Write::Once(once.clone()));
    admitted(&world, open).await;
    let again = || {
        let mut again = job.issue();
        again.writes.push(Write::Once(evidence("token 1", None)));
        again
    };
    let taken = Refusal::OnceTaken {
        kind: OnceKind::Evidence,
        session: Some(job.session.id),
    };
    for outcome in all(&world, vec![again(), again(), again()]).await {
        assert_eq!(refused(outcome), taken);
    }
    let used = world.store.once(REALM, once.kind, once.until, once.digest);
    assert_eq!(used.await.unwrap().unwrap().session, Some(job.session.id));
    let unused = world
        .store
        .once(REALM, OnceKind::Proof, once.until, once.digest);
    assert_eq!(unused.await.unwrap(), None);
    let race = || {
        let mut race = job.issue();
        race.writes.push(Write::Once(evidence("token 2", None)));
        race
    };
    let outcomes = all(&world, vec![race(), race(), race(), race()]).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
}

pub(super) async fn uses_are_counted_over_changes_and_batches(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let spend = || {
        let mut spend = job.issue();
        spend.writes.push(Write::Spend {
            task: job.task.id,
            grant: grant(),
            uses: 1,
        });
        spend
    };
    admitted(&world, spend()).await;
    let outcomes = all(&world, vec![spend(), spend(), spend(), spend()]).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 2);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(refused(outcome), Refusal::UsesExhausted(grant()));
    }
    let world = world.restarted().await;
    assert_eq!(
        refusal(&world, spend()).await,
        Refusal::UsesExhausted(grant())
    );
}

pub(super) async fn a_parent_that_was_barred_gives_nothing(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let live = world.store.credentials(REALM, job.task.id, NOW).await;
    let parent = live.unwrap()[0].id;
    let child = || {
        let mut child = job.credential();
        child.parent = Some(parent);
        job.issuing(vec![job.lineage_live()], vec![Write::Credential(child)])
    };
    admitted(&world, child()).await;
    let bar = Write::Bar(bar(BarKey::Credential(parent)));
    admitted(&world, job.issuing(vec![], vec![bar])).await;
    assert_eq!(refusal(&world, child()).await, Refusal::CredentialDead);
    admitted(&world, job.issue()).await;
}

pub(super) async fn nothing_is_issued_under_a_task_that_ends_in_the_same_batch(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    // Issues wait already when the revocation comes, and most of them share a batch with it.
    let mut changes: Vec<_> = (0..64).map(|_| job.issue()).collect();
    changes.push(job.revoke());
    let outcomes = all(&world, changes).await;
    let (revoked, issues) = outcomes.split_last().unwrap();
    let revoked_at = revoked.as_ref().unwrap().position().n;
    let mut count = 0;
    for outcome in issues {
        match outcome {
            Ok(receipt) => {
                assert!(receipt.position().n < revoked_at);
                count += 1;
            }
            Err(error) => assert!(matches!(error, CommitError::Refused(Refusal::TaskOver))),
        }
    }
    let live = world.store.credentials(REALM, job.task.id, NOW).await;
    assert_eq!(live.unwrap().len(), 1 + count);
    assert_eq!(refusal(&world, job.issue()).await, Refusal::TaskOver);
}

pub(super) async fn rows_of_two_realms_do_not_meet(world: World) {
    let (here, there) = (Job::new("1/1", "a"), Job::new("1/1", "a"));
    let other = Realm::from_number(2);
    let mut elsewhere = there.open();
    elsewhere.realm = other;
    let outcomes = all(&world, vec![here.open(), elsewhere]).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let task = |realm| world.store.task_named(realm, &here.task.name);
    let id = |task: Option<writ::domain::task::Task>| task.map(|task| task.id);
    assert_eq!(id(task(REALM).await.unwrap()), Some(here.task.id));
    assert_eq!(id(task(other).await.unwrap()), Some(there.task.id));
    let crossed = world.store.task(other, here.task.id).await.unwrap();
    assert_eq!(crossed.map(|task| task.id), None::<TaskId>);
    let mut revoke = here.issue();
    revoke.realm = other;
    assert_eq!(refusal(&world, revoke).await, Refusal::Moved);
}

/// Commits all of them at once.
pub(super) async fn all(world: &World, changes: Vec<Change>) -> Vec<Result<Receipt, CommitError>> {
    let waiting: Vec<_> = changes
        .into_iter()
        .map(|change| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.commit(change).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for one in waiting {
        outcomes.push(one.await.unwrap());
    }
    outcomes
}

pub(super) async fn refusal(world: &World, change: Change) -> Refusal {
    refused(world.store.commit(change).await)
}

fn refused(outcome: Result<Receipt, CommitError>) -> Refusal {
    match outcome {
        Err(CommitError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn bar(key: BarKey) -> Bar {
    Bar {
        key,
        at: NOW,
        until: deadline(),
        by: Some("ada".to_owned()),
        reason: None,
    }
}

/// A bar as an operator sets it.
pub(super) fn set_bar(job: &Job, bar: Bar) -> Change {
    let event = Event::BarSet {
        key: bar.key.clone(),
        by: "ada".to_owned(),
        reason: None,
    };
    job.change(Lane::Revoke, event, vec![], vec![Write::Bar(bar)])
}
