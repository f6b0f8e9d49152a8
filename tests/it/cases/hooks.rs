//! The desk tells of changes: hints that expire what is known, and decide nothing.

use writ_practice::{DeskHook, DeskSecret};

use super::Held;
use crate::support::broker::{Broker, HOOK_SECRET, SIGNING_KEY};

fn hook(broker: &Broker, secret: DeskSecret) -> DeskHook {
    DeskHook {
        url: format!("{}/hooks/desk", broker.issuer),
        secret,
    }
}

#[tokio::test]
async fn a_signed_hint_is_read_at_the_desk_and_ends_what_is_over() {
    for secret in [
        DeskSecret::Body(HOOK_SECRET.to_owned()),
        DeskSecret::Signing(SIGNING_KEY.to_vec()),
    ] {
        let held = Held::new().await;
        let desk = held.broker.desk();
        desk.set_hook(Some(hook(&held.broker, secret)));
        let delivery = desk.set_state("4711", "solved").await.unwrap().unwrap();
        assert_eq!(delivery.status, Some(202));
        held.broker.reread_all().await;
        held.assert_never_again("context_ended", "case.status")
            .await;
    }
}

#[tokio::test]
async fn a_hint_about_a_case_that_goes_on_ends_nothing_and_costs_a_read() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    desk.set_hook(Some(hook(
        &held.broker,
        DeskSecret::Body(HOOK_SECRET.to_owned()),
    )));
    desk.tell("4711").await.unwrap().unwrap();
    held.broker.reread_all().await;
    assert!(held.is_active().await);
    held.renew().await.assert_issued();
    // Reassigned, and told: the agent does not even have to ask.
    desk.assign("4711", Some("a-8")).await.unwrap();
    held.broker.reread_all().await;
    held.assert_never_again("context_mismatch", "case.assignee")
        .await;
}

#[tokio::test]
async fn a45_an_unsigned_or_misnamed_hint_changes_nothing() {
    let held = Held::new().await;
    let desk = held.broker.desk();
    for secret in [
        DeskSecret::Nothing,
        DeskSecret::Body("another-secret-0123456789".to_owned()),
        DeskSecret::Signing(HOOK_SECRET.as_bytes().to_vec()),
        DeskSecret::Body(String::from_utf8(SIGNING_KEY.to_vec()).unwrap()),
    ] {
        desk.set_hook(Some(hook(&held.broker, secret)));
        let delivery = desk.tell("4711").await.unwrap().unwrap();
        assert_eq!(delivery.status, Some(401));
    }
    desk.set_hook(Some(hook(
        &held.broker,
        DeskSecret::Body(HOOK_SECRET.to_owned()),
    )));
    for elsewhere in ["../4711", "github/812345", "", "0"] {
        let delivery = desk.tell(elsewhere).await.unwrap().unwrap();
        assert_eq!(delivery.status, Some(202), "it concerns nobody");
    }
    held.broker.reread_all().await;
    assert!(held.is_active().await);
    held.renew().await.assert_issued();
}
