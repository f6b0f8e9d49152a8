//! What operators look for without a task: by key, by the order of time, or among the newest.

use std::time::Duration;

use writ::domain::position::Position;
use writ::error::Code;
use writ::ledger::entry::{Event, Refused};
use writ::store::inquiry::{Mark, Sort};

use super::durability::admitted;
use super::fixtures::{Job, REALM};
use super::{NOW, World};

pub(super) async fn refusals_page_in_the_order_of_time_and_nothing_else_is_among_them(
    world: World,
) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let mut made = Vec::new();
    // Times need not rise with the numbers.
    for after in [3, 1, 2, 1, 0] {
        let mut change = job.issue();
        change.entry.at = NOW.plus(Duration::from_secs(after));
        change.entry.event = denied();
        change.writes.clear();
        let position = admitted(&world, change.clone()).await;
        made.push((change.entry.at, position));
    }
    made.sort_unstable();
    made.reverse();
    let mut told: Vec<(_, Position)> = Vec::new();
    let mut before = None;
    loop {
        let page = world.store.newest_entries(REALM, Sort::Refusals, before, 2);
        let page = page.await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(Mark::from(last));
        told.extend(page.iter().map(|entry| (entry.at, entry.position)));
    }
    assert_eq!(told, made);
    let reads = world.store.newest_entries(REALM, Sort::Reads, None, 10);
    assert!(reads.await.unwrap().is_empty());
    let takings = world.store.takings(REALM, job.task.id, 10).await.unwrap();
    assert_eq!(takings.len(), 1);
}

pub(super) async fn an_entry_is_found_by_the_moment_it_was_made_whoever_wrote_it(world: World) {
    let job = Job::new("1/1", "a");
    admitted(&world, job.open()).await;
    let mut made = Vec::new();
    let mut world = world;
    for start in 0..3 {
        for n in 0..20 {
            let mut change = job.issue();
            // Neighbours wait for one another now and then.
            let wait = if n % 7 == 0 { 3 } else { 0 };
            let at = NOW.plus(Duration::from_secs(60 * start + n * 2 - wait.min(n)));
            change.entry.at = at;
            made.push((at, admitted(&world, change).await));
        }
        world.clock.advance(Duration::from_secs(60));
        world = world.restarted().await;
    }
    for (at, position) in &made {
        let until = at.plus(Duration::from_millis(1));
        let found = world
            .store
            .made_between(REALM, *at, until, 10)
            .await
            .unwrap();
        assert!(
            found.iter().any(|entry| entry.position == *position),
            "{at}"
        );
        assert!(found.iter().all(|entry| entry.at == *at));
    }
    let late = NOW.plus(Duration::from_hours(5));
    let found = world
        .store
        .made_between(REALM, late, late.plus(Duration::from_hours(1)), 10);
    assert!(found.await.unwrap().is_empty());
}

pub(super) async fn names_lineages_and_sessions_are_listed_by_their_keys(world: World) {
    let jobs = [
        Job::new("7/1", "a"),
        Job::new("10/1", "a"),
        Job::new("9/2", "a"),
    ];
    for job in &jobs {
        admitted(&world, job.open()).await;
    }
    let named = |job: &Job| job.task.name.clone();
    let names = world.store.names(REALM, "github/", 10).await.unwrap();
    assert_eq!(names, [named(&jobs[1]), named(&jobs[0]), named(&jobs[2])]);
    let from = world
        .store
        .names(REALM, names[1].as_str(), 1)
        .await
        .unwrap();
    assert_eq!(from, [named(&jobs[0])]);
    let mut ids: Vec<_> = jobs.iter().map(|job| job.lineage.id).collect();
    ids.sort_unstable();
    let newest = world.store.newest_lineages(REALM, None, 2).await.unwrap();
    let below = world.store.newest_lineages(REALM, Some(newest[1].id), 2);
    let told: Vec<_> = newest
        .iter()
        .chain(&below.await.unwrap())
        .map(|l| l.id)
        .rev()
        .collect();
    assert_eq!(told, ids);
    let one = world.store.lineage(REALM, ids[0]).await.unwrap().unwrap();
    assert_eq!(one.id, ids[0]);
    let other = writ::domain::ids::Realm::from_number(2);
    assert_eq!(world.store.lineage(other, ids[0]).await.unwrap(), None);
    assert!(world.store.names(other, "", 10).await.unwrap().is_empty());
    let sessions = world.store.sessions(REALM, jobs[0].task.id).await.unwrap();
    assert_eq!(sessions, [jobs[0].session.clone()]);
}

fn denied() -> Event {
    Event::Denied(Refused {
        verb: "renew".to_owned(),
        code: Code::TaskRevoked,
        field: None,
        required: None,
        observed: None,
        public: "it is over".to_owned(),
        internal: None,
        identity: None,
        evidence: None,
        policies: vec![],
        judged: None,
        facts: vec![],
        about: vec![],
        from: None,
        ended_lineage: false,
    })
}
