//! A certificate dies with what justified it: its serial number is on its authority's list by the next
//! turn of the job, four times a second.

use std::sync::Arc;
use std::time::Duration;

use writ::broker::administer::Haste;
use writ::broker::revoke::Ending;
use writ::jobs::revocations::{Report, Revocations};
use writ::seams::Clock as _;
use writ_keys::{KeyState, Purpose};

use serde_json::{Value, json};

use super::held;
use super::openssl::{Desk, P256};
use crate::support::client::Answer;
use crate::support::desk::Desk as Night;
use crate::support::held::{Held, order};

const REVOKED: &str = "certificate revoked";

/// A session with a certificate that is believed by the lists.
async fn certified(desk: &Desk) -> (Held, Answer) {
    let held = held().await;
    let answer = held.certified(&desk.request(P256, &[]).csr).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let first = held.broker.list_revoked().await;
    let none = Report {
        listed: 0,
        signed: true,
    };
    assert_eq!(first, none);
    let believed = held.believed_by_lists(desk, &answer).await;
    assert_eq!(believed, Ok(()));
    (held, answer)
}

/// Whether the certificate is on the list after one turn.
async fn is_listed(held: &Held, desk: &Desk, answer: &Answer) -> bool {
    held.broker.list_revoked().await;
    match held.believed_by_lists(desk, answer).await {
        Ok(()) => false,
        Err(why) => {
            assert!(why.contains(REVOKED), "{why}");
            true
        }
    }
}

#[tokio::test]
async fn a_certificate_is_on_the_list_with_the_next_turn_after_its_task_was_revoked() {
    let desk = Desk::new();
    let (held, answer) = certified(&desk).await;
    held.end_task(Ending::Revoke).await;
    assert!(is_listed(&held, &desk, &answer).await);
    let list = held.published("crl").await;
    assert_eq!(list.headers()["content-type"], "application/pkix-crl");
    desk.put("list.der", list.bytes().await.unwrap());
    let told = desk.told(&[
        "crl", "-inform", "DER", "-in", "list.der", "-noout", "-text",
    ]);
    assert!(told.contains(answer.text("serial")), "{told}");
    let refused = held.certified(&desk.request(P256, &[]).csr).await;
    refused.assert_refused(403, "task_revoked");
    assert_eq!(held.certificates().await.len(), 1);
}

#[tokio::test]
async fn the_operator_is_told_what_the_lists_say_of_a_certificate_and_what_hinders_them() {
    let desk = Desk::new();
    let (held, answer) = certified(&desk).await;
    let night = Night::open(&held.broker);
    let state = async || {
        let found = night.find(answer.text("id")).await;
        let one = &found.json["found"][0]["credential"];
        (one["state"].clone(), one["why"].clone())
    };
    assert_eq!(state().await, (json!("live"), Value::Null));
    held.end_task(Ending::Revoke).await;
    // Ended here, and whoever reads the list as it is would take it.
    assert_eq!(state().await, (json!("propagating"), Value::Null));
    assert_eq!(held.believed_by_lists(&desk, &answer).await, Ok(()));
    held.broker.pass(Duration::from_secs(3)).await;
    let (stuck, why) = state().await;
    assert_eq!(stuck, "stuck");
    assert!(
        why.as_str().unwrap().contains("no list has been made"),
        "{why}"
    );
    let shown = night
        .run(&["task", "show", held.first.text("task")], "")
        .await;
    assert!(
        shown.out.contains("not on the list yet: no list"),
        "{shown:?}"
    );
    let order = json!({ "tasks": [held.first.text("task")] });
    let again = night.post("/api/v1/revocations", &order).await;
    let tally = &again.json["results"][0]["credentials"];
    assert_eq!((&tally["stuck"], &tally["listed"]), (&json!(1), &json!(0)));
    assert!(is_listed(&held, &desk, &answer).await);
    assert_eq!(state().await, (json!("listed"), Value::Null));
}

#[tokio::test]
async fn lists_of_a_replica_that_is_behind_the_log_are_stuck_for_that() {
    let desk = Desk::new();
    let (held, answer) = certified(&desk).await;
    held.end_task(Ending::Revoke).await;
    held.broker.clock.advance(Duration::from_secs(30));
    let broker = &held.broker.wired.broker;
    let mut job = Revocations::new(Arc::clone(broker));
    assert!(job.run(broker.clock.now()).await.is_err());
    let night = Night::open(&held.broker);
    let found = night.find(answer.text("id")).await;
    let one = &found.json["found"][0]["credential"];
    assert_eq!(one["state"], "stuck", "{found:?}");
    assert!(
        one["why"].as_str().unwrap().contains("behind the log"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_certificate_dies_with_its_run_its_session_and_the_token_it_was_taken_with() {
    let desk = Desk::new();
    let (cancelled, answer) = certified(&desk).await;
    let site = cancelled.broker.site();
    site.cancel_run(cancelled.run.run_id).await.unwrap();
    cancelled.broker.settle_hooks().await;
    assert!(is_listed(&cancelled, &desk, &answer).await);

    for held_by in ["refresh_token", "access_token"] {
        let (held, answer) = certified(&desk).await;
        let text = held.first.text(held_by).to_owned();
        assert_eq!(held.client.revoke(&text).await.status, 200);
        assert!(is_listed(&held, &desk, &answer).await, "{held_by}");
    }
}

#[tokio::test]
async fn only_what_ended_is_listed() {
    let desk = Desk::new();
    let (held, mine) = certified(&desk).await;
    let key = writ_practice::client::SessionKey::generate().unwrap();
    let other = held
        .client
        .exchange(&held.run.jobs[1], Some(&key), &[])
        .await;
    let csr = desk.request(P256, &[]).csr;
    let theirs = held.client.certificate(&csr, &other, Some(&key)).await;
    assert_eq!(theirs.status, 200, "{theirs:?}");
    let handle = held.first.text("refresh_token").to_owned();
    held.client.revoke(&handle).await;
    assert!(is_listed(&held, &desk, &mine).await);
    assert!(!is_listed(&held, &desk, &theirs).await);
    let idle = held.broker.list_revoked().await;
    let unchanged = Report {
        listed: 1,
        signed: false,
    };
    assert_eq!(idle, unchanged);
}

#[tokio::test]
async fn a_start_finds_everything_that_is_revoked_and_a_list_forgets_what_has_expired() {
    let desk = Desk::new();
    let (held, answer) = certified(&desk).await;
    held.end_task(Ending::Revoke).await;
    let broker = &held.broker;
    let mut fresh = Revocations::new(Arc::clone(&broker.wired.broker));
    let found = fresh.run(broker.clock.now()).await.unwrap();
    assert_eq!(found.listed, 1);
    assert!(held.believed_by_lists(&desk, &answer).await.is_err());
    broker.pass(Duration::from_mins(6)).await;
    let later = fresh.run(broker.clock.now()).await.unwrap();
    assert_eq!((later.listed, later.signed), (0, true));
}

#[tokio::test]
async fn a_list_is_renewed_before_it_runs_out_and_a_replica_that_is_behind_vouches_for_none() {
    let held = held().await;
    let desk = Desk::new();
    assert_eq!(held.published("crl").await.status(), 503);
    held.broker.list_revoked().await;
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let list = held.published("crl").await.bytes().await.unwrap();
        desk.put("list.der", list);
        let wanted = ["-lastupdate", "-nextupdate", "-crlnumber"];
        let file = ["crl", "-inform", "DER", "-in", "list.der", "-noout"];
        let told = desk.told(&[&file[..], &wanted].concat());
        numbers.push(told.lines().last().unwrap().to_owned());
        held.broker.pass(Duration::from_secs(30)).await;
        assert!(held.broker.list_revoked().await.signed);
    }
    assert!(numbers[0] < numbers[1], "{numbers:?}");

    held.broker.clock.advance(Duration::from_secs(60));
    let mut behind = Revocations::new(Arc::clone(&held.broker.wired.broker));
    behind.run(held.broker.clock.now()).await.unwrap_err();
    assert_eq!(held.published("crl").await.status(), 200);
    held.broker.clock.advance(Duration::from_mins(5));
    assert_eq!(held.published("crl").await.status(), 503);
    assert_eq!(held.published("crl/nobody").await.status(), 503);
}

#[tokio::test]
async fn a_certificate_of_a_retired_authority_is_checked_by_that_authoritys_list() {
    let desk = Desk::new();
    let (held, old) = certified(&desk).await;
    let verbs = &held.broker.wired.broker;
    let (by, before) = (order(), verbs.minter.keys.load().authority().id);
    let next = verbs
        .prepare_key(Purpose::CaIntermediate, &by)
        .await
        .unwrap();
    let id = next.id.as_str();
    let activate = verbs.move_key(id, KeyState::Active, Haste::AtOnce, &by);
    activate.await.unwrap();
    held.broker.list_revoked().await;
    let new = held.certified(&desk.request(P256, &[]).csr).await;
    for answer in [&old, &new] {
        assert_eq!(held.believed_by_lists(&desk, answer).await, Ok(()));
    }
    desk.put("chain.pem", old.text("certificate"));
    let points = [
        "x509",
        "-in",
        "chain.pem",
        "-noout",
        "-ext",
        "crlDistributionPoints",
    ];
    let path = format!("crl/{before}");
    assert!(desk.told(&points).contains(&format!("/pki/{path}")));
    assert_eq!(held.published(&path).await.status(), 200);

    let withdraw = verbs.move_key(before.as_str(), KeyState::Withdrawn, Haste::AtOnce, &by);
    withdraw.await.unwrap();
    held.broker.list_revoked().await;
    // Its own list is gone, and its root says that the authority is not to be believed.
    held.believed_by_lists(&desk, &old).await.unwrap_err();
    let end = "-----END CERTIFICATE-----\n";
    let intermediate = old.text("certificate").split_inclusive(end).nth(1).unwrap();
    desk.put("chain.pem", intermediate);
    let more = ["-crl_check", "-CRLfile", "lists.pem"];
    let why = desk.verifies(held.broker.clock.now(), &more).unwrap_err();
    assert!(why.contains(REVOKED), "{why}");
    assert_eq!(held.believed_by_lists(&desk, &new).await, Ok(()));
    assert_eq!(held.published(&path).await.status(), 404);
}

#[tokio::test]
async fn nothing_is_certified_while_it_is_frozen_and_what_is_out_is_not_listed() {
    let desk = Desk::new();
    let (held, answer) = certified(&desk).await;
    let until = held.broker.clock.now().plus(Duration::from_mins(2));
    let order = json!({ "scope": "issuer/github", "until": until.to_string() });
    let night = Night::open(&held.broker);
    assert_eq!(night.post("/api/v1/freezes", &order).await.status, 201);
    let refused = held.certified(&desk.request(P256, &[]).csr).await;
    refused.assert_refused(503, "frozen");
    assert_eq!(held.certificates().await.len(), 1);
    assert!(!is_listed(&held, &desk, &answer).await);
    held.broker.pass(Duration::from_secs(121)).await;
    let thawed = held.certified(&desk.request(P256, &[]).csr).await;
    assert_eq!(thawed.status, 200, "{thawed:?}");
}

#[tokio::test]
async fn a_certificate_that_a_condition_or_its_id_revokes_is_said_to_be_good_without_the_list() {
    let desk = Desk::new();
    for by_condition in [true, false] {
        let (held, answer) = certified(&desk).await;
        let night = Night::open(&held.broker);
        let args = if by_condition {
            ["--where", "profile=deploy", "--expect", "1"].to_vec()
        } else {
            ["--credential", answer.text("id")].to_vec()
        };
        let args = [&["revoke", "-o", "json"], &args[..]].concat();
        let said = night.run(&args, "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let report: Value = serde_json::from_str(&said.out).unwrap();
        let credentials = &report["results"][0]["credentials"];
        assert_eq!(
            (&credentials["propagating"], &report["dead"]),
            (&json!(1), &json!(false))
        );
        assert_eq!(credentials["until"], answer.json["expires_at"]);
        assert!(is_listed(&held, &desk, &answer).await);
    }
}

#[tokio::test]
async fn a_certificate_is_found_by_the_serial_number_that_tools_show() {
    let desk = Desk::new();
    let (held, mine) = certified(&desk).await;
    let operator = Night::open(&held.broker);
    let serial = mine.text("serial").to_owned();
    for text in [format!("serial={serial}\n"), serial.to_lowercase()] {
        let answer = operator.find(&text).await;
        let hit = &answer.json["found"][0];
        assert_eq!(hit["by"], "certificate", "{answer:?}");
        assert_eq!(hit["task_id"], held.first.text("task"));
        assert_eq!(hit["credential"]["id"], mine.json["id"]);
        assert_eq!(hit["credential"]["state"], "live");
    }
    let said = operator.run(&["find", "-"], &serial).await;
    assert!(
        said.out.contains("a certificate's serial number"),
        "{said:?}"
    );

    let last = if serial.ends_with('0') { '1' } else { '0' };
    let other = format!("{}{last}", &serial[..31]);
    assert_eq!(operator.find(&other).await.status, 404);
}
