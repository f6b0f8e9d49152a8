//! What goes on in the background.

use std::time::Duration;

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
    let sweep = |at| world.store.sweep(at, 1_000);
    assert_eq!(sweep(NOW.plus(HOUR)).await.unwrap(), 0);
    // Two credentials and the single-use key are over long before their tasks.
    let early = NOW.plus(HOUR).plus(Duration::from_secs(700));
    assert_eq!(sweep(early).await.unwrap(), 3);
    let used = world
        .store
        .once(REALM, OnceKind::Evidence, once.until, once.digest);
    assert_eq!(used.await.unwrap(), None);
    assert!(
        world
            .store
            .held(REALM, short.session.id)
            .await
            .unwrap()
            .is_some()
    );
    let late = deadline().plus(HOUR);
    // Task, lineage, session, count of uses and bar.
    assert_eq!(sweep(late).await.unwrap(), 5);
    assert!(
        world
            .store
            .held(REALM, short.session.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .store
            .task(REALM, short.task.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!world.store.view().is_barred(&key, NOW));
    assert!(
        world
            .store
            .bound(REALM, &record("1/1"))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        world
            .store
            .bound(REALM, &record("2/1"))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        world
            .store
            .held(REALM, long.session.id)
            .await
            .unwrap()
            .is_some()
    );
    let entries = world.store.entries(REALM, short.task.id, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(sweep(late).await.unwrap(), 0);
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
    assert!(world.store.ping().await.is_err());
    assert!(world.store.follow(&[]).await.is_err());
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
