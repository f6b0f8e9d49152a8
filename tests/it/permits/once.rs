//! A request whose answer was lost is sent again under its key, and nothing is used twice.

use serde_json::json;

use super::{at_work, wanted};

#[tokio::test]
async fn a_reservation_that_is_asked_again_under_its_key_is_the_same_one() {
    let (held, script) = at_work().await;
    let first = script.reserve("db-7", "step-1").await;
    for _ in 0..5 {
        let again = script.reserve("db-7", "step-1").await;
        assert_eq!(again.permit(), first.permit());
        assert_eq!(again.text("expires_at"), first.text("expires_at"));
    }
    assert_eq!(held.spent().await, 1);
    // Even once nothing is left, and once it was used.
    script.reserve("db-7", "step-2").await.permit();
    script.reserve("db-7", "step-3").await.permit();
    script
        .consume("db-7", first.permit(), "a")
        .await
        .assert_consumed(false);
    let again = script.reserve("db-7", "step-1").await;
    assert_eq!(again.permit(), first.permit());
    assert_eq!(held.logged().await.0.len(), 3);
}

#[tokio::test]
async fn a_consumption_that_is_asked_again_under_its_key_hears_that_it_was() {
    let (held, script) = at_work().await;
    let reserved = script.reserve("db-7", "step-1").await;
    let permit = reserved.permit();
    script
        .consume("db-7", permit, "a")
        .await
        .assert_consumed(false);
    for _ in 0..5 {
        script
            .consume("db-7", permit, "a")
            .await
            .assert_consumed(true);
    }
    script
        .consume("db-7", permit, "b")
        .await
        .assert_denied("permit_spent", "permit");
    assert_eq!(held.logged().await.1.len(), 1);
}

#[tokio::test]
async fn a_key_that_came_with_something_else_does_nothing() {
    let (held, script) = at_work().await;
    let first = script.reserve("db-7", "step-1").await;
    let reused = script.reserve("db-8", "step-1").await;
    reused.assert_refused(422, "idempotency_key_reused");
    let other = script.reserve("db-8", "step-2").await;
    script
        .consume("db-7", first.permit(), "a")
        .await
        .assert_consumed(false);
    let reused = script.consume("db-8", other.permit(), "a").await;
    reused.assert_refused(422, "idempotency_key_reused");
    assert_eq!((held.spent().await, held.logged().await.1.len()), (2, 1));
}

#[tokio::test]
async fn without_a_key_nothing_is_reserved_and_nothing_consumed() {
    let (held, script) = at_work().await;
    let keyless = script.reserving(&wanted("restart", "db-7"));
    let keyless = script.client.answer(keyless).await;
    keyless.assert_refused(400, "request_malformed");
    assert_eq!(keyless.field(), "Idempotency-Key");
    let reserved = script.reserve("db-7", "step-1").await;
    let mut asked = script.asked("restart", "db-7");
    asked["context"] = json!({ "permit": reserved.permit() });
    let keyless = script.client.answer(script.consuming(&asked)).await;
    keyless.assert_refused(400, "request_malformed");
    let two = script.consuming(&asked).header("Idempotency-Key", "a");
    let two = script
        .client
        .answer(two.header("Idempotency-Key", "b"))
        .await;
    two.assert_refused(400, "request_malformed");
    assert_eq!((held.spent().await, held.logged().await.1.len()), (1, 0));
}
