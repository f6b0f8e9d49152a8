//! What a permit is not good for, and what stands between its reservation and its use.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use writ::broker::revoke::{Ending, Order};
use writ::domain::constraint::Narrowing;
use writ::domain::ids::ReservationId;
use writ_practice::Target;

use super::{FIX, Script, at_work, wanted};
use crate::gitlab::outage::fault;
use crate::support::desk::Desk;
use crate::support::held::{Held, order};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_permit_is_for_its_action_on_its_target_and_for_nothing_else() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    let other = script.consume("db-8", permit, "a").await;
    other.assert_denied("permit_mismatch", "permit");
    let foreign = script.consume("web-1", permit, "b").await;
    foreign.assert_denied("resource_refused", "resource");
    for none in [
        "",
        "permit_7",
        &ReservationId::from_bytes([7; 16]).to_string(),
    ] {
        let absent = script.consume("db-7", none, "c").await;
        absent.assert_denied("permit_required", "permit");
    }
    let without = script.consuming(&script.asked("restart", "db-7"));
    let without = script.client.answer(without.header("Idempotency-Key", "d"));
    without.await.assert_denied("permit_required", "permit");
    // A read takes none, and none is taken for it.
    let mut read = script.asked("status", "db-7");
    read["context"] = json!({ "permit": permit });
    let read = script.consuming(&read).header("Idempotency-Key", "e");
    let read = script.client.answer(read).await;
    read.assert_denied("action_refused", "action");
    let read = script.reserving(&wanted("status", "db-7"));
    let read = script.client.answer(read.header("Idempotency-Key", "f"));
    read.await.assert_refused(403, "action_refused");
    // None of it has used the permit, or another.
    script
        .consume("db-7", permit, "g")
        .await
        .assert_consumed(false);
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 1));
}

#[tokio::test]
async fn what_is_not_granted_is_not_reserved() {
    let (held, script) = at_work().await;
    let asked = [
        (wanted("drop", "db-7"), "action_refused"),
        (wanted("restart", "web-1"), "resource_refused"),
        (
            json!({
                "audience": "https://deploy.example",
                "action": {"name": "restart"},
                "resource": {"type": "host", "id": "db-7"},
            }),
            "action_refused",
        ),
    ];
    for (n, (body, code)) in asked.iter().enumerate() {
        let request = script.reserving(body);
        let request = request.header("Idempotency-Key", format!("k{n}"));
        script
            .client
            .answer(request)
            .await
            .assert_refused(403, code);
    }
    assert_eq!(held.spent().await, 0);
}

#[tokio::test]
async fn a_permit_is_reserved_with_a_token_for_the_broker_and_the_proof_of_its_key() {
    let (held, script) = at_work().await;
    let url = format!("{}/api/v1/permit", script.client.issuer);
    let body = wanted("restart", "db-7");
    let sent = |token: &str, scheme: &str, proof: Option<String>| {
        let request = script.client.http.post(&url).json(&body);
        let request = request
            .header("Idempotency-Key", "k")
            .header("Authorization", format!("{scheme} {token}"));
        let request = match proof {
            Some(proof) => request.header("DPoP", proof),
            None => request,
        };
        script.client.answer(request)
    };
    let (own, service) = (
        script.own.text("access_token"),
        script.service.text("access_token"),
    );
    let proof = |token| script.client.proof(&script.key, "POST", &url, Some(token));
    // A service that was shown a token cannot reserve with it.
    let other = sent(service, "DPoP", Some(proof(service))).await;
    other.assert_refused(401, "token_invalid");
    let bare = sent(own, "DPoP", None).await;
    bare.assert_refused(401, "proof_invalid");
    let bare = sent(own, "Bearer", None).await;
    bare.assert_refused(403, "proof_required");
    let thief = writ_practice::client::SessionKey::generate().unwrap();
    let theirs = script.client.proof(&thief, "POST", &url, Some(own));
    sent(own, "DPoP", Some(theirs))
        .await
        .assert_refused(401, "proof_invalid");
    let once = proof(own);
    sent(own, "DPoP", Some(once.clone())).await.permit();
    // Under its key the same request is answered, and under another the proof was used.
    let request = script.reserving(&body).header("Idempotency-Key", "other");
    let mut request = request.build().unwrap();
    request.headers_mut().insert("DPoP", once.parse().unwrap());
    let replayed = script.client.http.execute(request).await.unwrap();
    assert_eq!(replayed.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(held.spent().await, 1);
}

#[tokio::test]
async fn a_revocation_between_reserving_and_consuming_leaves_nothing_to_consume() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    held.end_task(Ending::Revoke).await;
    let late = script.consume("db-7", reserved.permit(), "a").await;
    late.assert_denied("task_revoked", "");
    let more = script.reserve("db-7", "step-2").await;
    more.assert_refused(403, "task_revoked");
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 0));
}

#[tokio::test]
async fn a_run_that_is_over_between_reserving_and_consuming_leaves_nothing_to_consume() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    held.broker
        .site()
        .cancel_run(held.run.run_id)
        .await
        .unwrap();
    held.broker.settle_hooks().await;
    let late = script.consume("db-7", reserved.permit(), "a").await;
    let field = late.json["context"]["field"].as_str().unwrap();
    assert!(
        ["job.status", "pipeline.status"].contains(&field),
        "{late:?}"
    );
    late.assert_denied("context_ended", field);
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_known_consumes_nothing_and_the_permit_is_good_afterwards() {
    let (held, script) = at_work().await;
    held.broker.pass(Duration::from_secs(31)).await;
    let reserved = script.reserve("db-7", "step-1").await;
    held.broker.pass(Duration::from_secs(31)).await;
    let faults = held.broker.site().faults();
    fault(
        faults,
        Target::Environments,
        writ_practice::Mode::Unavailable,
    );
    let unknown = script.consume("db-7", reserved.permit(), "a").await;
    unknown.assert_refused(503, "context_unavailable");
    faults.clear();
    held.broker.pass(Duration::from_secs(11)).await;
    drop(script.consume("db-7", reserved.permit(), "b").await);
    let known = script.consume("db-7", reserved.permit(), "b").await;
    known.assert_permitted();
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 1));
}

#[tokio::test]
async fn in_a_freeze_nothing_is_reserved_and_what_was_is_consumed() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let desk = Desk::open(&held.broker);
    let said = desk.run(&["freeze", "all", "--until", "1h"], "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let more = script.reserve("db-7", "step-2").await;
    more.assert_refused(503, "frozen");
    script
        .consume("db-7", reserved.permit(), "a")
        .await
        .assert_consumed(false);
    assert_eq!(held.spent().await, 1);
}

#[tokio::test]
async fn a_quarantine_stops_a_permit_and_a_release_does_not_bring_it_back() {
    let (held, mut script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let lineage = script.own.text("lineage").parse().unwrap();
    let broker = &held.broker.wired.broker;
    broker.quarantine(lineage, &order()).await.unwrap();
    let stopped = script.consume("db-7", reserved.permit(), "a").await;
    stopped.assert_denied("quarantined", "");
    let more = script.reserve("db-7", "step-2").await;
    more.assert_refused(403, "quarantined");

    let less = Narrowing {
        scopes: ["deploy:write".parse().unwrap()].into(),
        ..Narrowing::default()
    };
    let other = Order {
        by: "uid:7".to_owned(),
        ..order()
    };
    broker.release(lineage, &less, &other).await.unwrap();
    held.broker.pass(Duration::from_secs(1)).await;
    for (token, audience) in [
        (&mut script.own, script.client.issuer.as_str()),
        (&mut script.service, "https://billing.example"),
    ] {
        let audience = [("audience", audience), ("scope", "deploy:read")];
        let renewed = script.client.renew(token, &script.key, &audience).await;
        renewed.assert_issued();
        *token = renewed;
    }
    let old = script.consume("db-7", reserved.permit(), "b").await;
    old.assert_denied("permit_expired", "permit");
    let next = script.reserve("db-7", "step-3").await;
    script
        .consume("db-7", next.permit(), "c")
        .await
        .assert_consumed(false);
    assert_eq!((held.spent().await, held.logged().await.1.len()), (2, 1));
}

#[tokio::test]
async fn tokens_are_no_uses_of_what_is_counted_by_its_writes() {
    let one = FIX.replace("uses = 3", "uses = 1");
    let held = Held::asking(&format!("{DEPLOY}{one}"), &[]).await;
    for _ in 0..3 {
        let script = Script::of(&held).await;
        script.evaluate("status", "db-7").await.assert_permitted();
    }
    let script = Script::of(&held).await;
    script.reserve("db-7", "step-1").await.permit();
    assert_eq!(held.spent().await, 1);
}
