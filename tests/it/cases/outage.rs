//! The desk cannot be asked: nobody is let in and nobody is thrown out.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Fault, Mode, Target};

use super::Held;
use crate::gitlab::outage::fault;

#[tokio::test]
async fn whatever_a_broken_desk_answers_it_decides_nothing() {
    for mode in [
        Mode::Down,
        Mode::Html,
        Mode::Garbage,
        Mode::Unavailable,
        Mode::RateLimited,
    ] {
        let held = Held::new().await;
        let desk = held.broker.desk();
        desk.open("4712", "AC-9", Some("a-7")).unwrap();
        held.broker.pass(Duration::from_secs(61)).await;
        fault(desk.faults(), Target::Cases, mode);
        let before = held.broker.recorded().await;
        let renewal = held.renew().await;
        renewal.assert_refused(503, "context_unavailable");
        assert_eq!(renewal.field(), "case");
        assert!(renewal.headers.contains_key("retry-after"));
        let newcomer = held.broker.ask("a-7", "desk/case/4712", None).await;
        newcomer.assert_refused(503, "context_unavailable");
        assert_eq!(held.broker.recorded().await, before, "{mode:?}");
        assert!(held.is_active().await, "{mode:?}");
        desk.faults().clear();
        held.broker.pass(Duration::from_secs(11)).await;
        // Only one call tries whether the desk is back; those beside it are told to wait.
        drop(held.renew().await);
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_status_that_nobody_configured_says_nothing() {
    for state in ["reopened", "Open", "", "open "] {
        let held = Held::new().await;
        held.broker.desk().set_state("4711", state).await.unwrap();
        held.broker.pass(Duration::from_secs(61)).await;
        held.renew()
            .await
            .assert_refused(503, "context_unavailable");
        assert!(held.is_active().await, "{state:?}");
        held.broker.desk().set_state("4711", "open").await.unwrap();
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_desk_that_has_lost_the_case_refuses_and_revokes_nothing() {
    let held = Held::new().await;
    held.broker.desk().delete("4711");
    held.broker.pass(Duration::from_secs(61)).await;
    let before = held.broker.recorded().await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_unknown");
    assert_eq!(renewal.field(), "case");
    assert_eq!(held.broker.recorded().await, before);
    assert!(held.is_active().await);
}

#[tokio::test]
async fn a_desk_that_shows_an_older_version_is_not_believed() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    desk.assign("4711", Some("a-7")).await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew().await.assert_issued();
    // A replica that lags behind.
    desk.change("4711", |case| case.version = 0).await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    held.renew()
        .await
        .assert_refused(503, "context_unavailable");
    assert!(held.is_active().await);
}

#[tokio::test]
async fn a_slow_desk_holds_nobody_longer_than_its_deadline() {
    let held = Held::new().await;
    let slow = Fault {
        target: Target::Cases,
        mode: Mode::Slow,
        delay_ms: 60_000,
    };
    held.broker.desk().faults().set(slow).unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let asked = || held.broker.desk().faults().requests().of(Target::Cases);
    let before = asked();
    let key = SessionKey::generate().unwrap();
    let waiting = async {
        let (renewal, other) = tokio::join!(
            held.renew(),
            held.broker.ask("a-7", "desk/case/4711", Some(&key))
        );
        renewal.assert_refused(503, "context_unavailable");
        other.assert_refused(503, "context_unavailable");
    };
    let late = async {
        while asked() == before {
            tokio::task::yield_now().await;
        }
        held.broker.clock.advance(Duration::from_secs(6));
        // Who waited for the first read reads in turn.
        while asked() == before + 1 {
            tokio::task::yield_now().await;
        }
        held.broker.clock.advance(Duration::from_secs(6));
    };
    tokio::join!(waiting, late);
    held.broker.hear().await;
    assert!(held.is_active().await);
}
