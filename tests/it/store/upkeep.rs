//! What goes on in the background.

use std::time::Duration;

use writ::domain::time::Timestamp;
use writ::ledger::bar::BarKey;
use writ::ledger::change::{OnceKind, Write};
use writ::seams::Clock as _;

use super::admission::{bar, set_bar};
use super::durability::admitted;
use super::fixtures::{Job, REALM, deadline, evidence, grant, identity, record};
use super::{NOW, World};

pub(super) async fn the_sweep_deletes_what_is_long_over_and_nothing_else(world: World) {
    let (short, mut long) = (Job::new("1/1", "a"), Job::new("2/1", "a"));
    long.task.deadline = deadline().plus(DAY);
    long.lineage.deadline = long.task.deadline;
    long.session.deadline = long.task.deadline;
    let once = evidence("token", Some(short.session.id));
    let mut open = short.open();
    open.writes.push(Write::Once(once.clone()));
    open.writes.push(Write::Spend {
        task: short.task.id,
        grant: grant(),
        uses: 1,
    });
    admitted(&world, open).await;
    admitted(&world, long.open()).await;
    let key = BarKey::Workload(identity().id().clone());
    admitted(&world, set_bar(&short, bar(key.clone()))).await;
    assert_eq!(swept(&world, NOW.plus(HOUR)).await, 0);
    // Two credentials and the single-use key are over long before their tasks.
    assert_eq!(swept(&world, NOW.plus(HOUR).plus(HOUR / 2)).await, 3);
    let used = world
        .store
        .once(REALM, OnceKind::Evidence, once.until, once.digest);
    assert_eq!(used.await.unwrap(), None);
    assert_eq!(left(&world, &short, "1/1").await, (true, true, 1));
    // Task, lineage, session, count of uses and bar.
    assert_eq!(swept(&world, deadline().plus(HOUR)).await, 5);
    assert_eq!(left(&world, &short, "1/1").await, (false, false, 0));
    assert_eq!(left(&world, &long, "2/1").await, (true, true, 1));
    assert!(!world.store.view().is_barred(&key, NOW));
    let entries = world.store.entries(REALM, short.task.id, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(swept(&world, deadline().plus(HOUR)).await, 0);
}

async fn swept(world: &World, at: Timestamp) -> u64 {
    world.store.sweep(at, 1_000).await.unwrap()
}

/// Whether a job's task and session are there, and how many lineages its run concerns.
async fn left(world: &World, job: &Job, run: &str) -> (bool, bool, usize) {
    let task = world.store.task(REALM, job.task.id).await.unwrap();
    let held = world.store.held(REALM, job.session.id).await.unwrap();
    let bound = world.store.bound(REALM, &record(run)).await.unwrap();
    (task.is_some(), held.is_some(), bound.len())
}

pub(super) async fn the_sweep_never_takes_more_than_it_is_given(world: World) {
    for n in 0..20 {
        admitted(&world, Job::new(&format!("{n}/1"), "a").open()).await;
    }
    let late = deadline().plus(HOUR);
    let mut total = 0;
    loop {
        let swept = world.store.sweep(late, 7).await.unwrap();
        assert!(swept <= 7);
        total += swept;
        if swept == 0 {
            break;
        }
        // Whatever is left is whole: a session still has its lineage and task.
        for task in world.store.tasks(REALM, None, 100).await.unwrap() {
            assert_eq!(task.deadline, deadline());
        }
    }
    assert_eq!(total, 20 * 4);
    assert!(
        world
            .store
            .tasks(REALM, None, 100)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn a_ping_is_a_round_trip_and_a_lone_writer_has_no_news(world: World) {
    world.store.ping().await.unwrap();
    admitted(&world, Job::new("1/1", "a").open()).await;
    assert!(world.store.follow(&[]).await.unwrap().is_empty());
    let bound = Duration::from_secs(1);
    assert!(world.store.view().is_fresh(world.clock.elapsed(), bound));
    world.store.close().await;
    world.store.ping().await.unwrap_err();
    world.store.follow(&[]).await.unwrap_err();
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
