//! A service that knows nothing of permits, behind a gateway: a request for an action that is counted goes on once
//! for each permit, and to nobody twice.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::gateway::code;
use super::nginx::Front;
use super::{ACTIONS, Held};
use crate::cases::SUPPORT;

/// Refunds are posted, and counted.
const REFUNDS: &str = r#"
[profile.grant.refunds]
audiences = ["https://billing.example"]
writes = ["post"]
uses = 2
[[profile.grant.refunds.resource]]
type = "http"
id = "/accounts/{case.account}/refunds"
"#;

pub(super) const PLACE: &str = "/accounts/AC-9/refunds";

pub(super) fn profile() -> String {
    format!("{SUPPORT}{ACTIONS}{REFUNDS}")
}

async fn at_work() -> (Held, Front) {
    let held = Held::under(&profile()).await;
    let front = Front::before(&held.client.issuer).await;
    (held, front)
}

impl Held {
    /// A permit for one refund, taken with a token for the broker.
    pub(super) async fn permit(&self, step: &str) -> String {
        let own = [("audience", self.client.issuer.as_str())];
        let own = self.client.renew(&self.first, &self.key, &own).await;
        own.assert_issued();
        let (url, token) = (
            format!("{}/api/v1/permit", self.client.issuer),
            own.text("access_token"),
        );
        let proof = self.client.proof(&self.key, "POST", &url, Some(token));
        let request = self.client.http.post(&url).json(&json!({
            "audience": "https://billing.example",
            "action": {"name": "post"},
            "resource": {"type": "http", "id": PLACE},
        }));
        let request = request
            .header("Authorization", format!("DPoP {token}"))
            .header("DPoP", proof)
            .header("Idempotency-Key", step);
        let reserved = self.client.answer(request).await;
        reserved.text("permit").to_owned()
    }
}

impl Front {
    fn refund(&self, held: &Held, permit: &str) -> RequestBuilder {
        let request = self.asks(held, &Method::POST, PLACE);
        request.header("Writ-Permit", permit)
    }
}

#[tokio::test]
async fn a_request_with_a_permit_goes_on_once() {
    let (held, front) = at_work().await;
    let bare = front.asks(&held, &Method::POST, PLACE);
    let bare = held.client.answer(bare).await;
    assert_eq!(code(&bare), (403, "permit_required"));
    let permit = held.permit("a").await;
    for (expected, through) in [((200, ""), 1), ((403, "permit_spent"), 1)] {
        let answer = held.client.answer(front.refund(&held, &permit)).await;
        assert_eq!((code(&answer), front.through()), (expected, through));
    }
    // It is for what it is for: not for what takes none, and not for anything else.
    let other = held.permit("b").await;
    let read = front.get(&held, "/accounts/AC-9/invoices/7");
    let read = held.client.answer(read.header("Writ-Permit", &other)).await;
    assert_eq!(code(&read), (403, "action_refused"));
    let two = front.refund(&held, &other).header("Writ-Permit", &permit);
    let two = held.client.answer(two).await;
    assert_eq!(code(&two), (403, "request_malformed"));
    let answer = held.client.answer(front.refund(&held, &other)).await;
    assert_eq!((code(&answer), front.through()), ((200, ""), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_of_32_requests_at_once_with_one_permit_exactly_one_goes_on() {
    let (held, front) = at_work().await;
    let permit = held.permit("a").await;
    let all = (0..32).map(|_| held.client.answer(front.refund(&held, &permit)));
    let all = join_all(all).await;
    let on = all.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((on, front.through()), (1, 1));
    for answer in all.iter().filter(|answer| answer.status != 200) {
        assert_eq!(code(answer), (403, "permit_spent"));
    }
}

#[tokio::test]
async fn a_case_that_closes_stops_a_request_with_a_permit() {
    let (held, front) = at_work().await;
    let permit = held.permit("a").await;
    let desk = held.broker.desk();
    desk.set_state("4711", "solved").await.unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let answer = held.client.answer(front.refund(&held, &permit)).await;
    assert_eq!(code(&answer), (403, "context_ended"));
    assert_eq!(front.through(), 0);
}
