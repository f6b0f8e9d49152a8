//! An account was rotated, and still carries a scope from before: its token says `accounts:admin`, as the service that
//! never forgot the word would want. What it may do is what its task is granted now, so the gateway stops it.

use reqwest::Method;
use serde_json::json;
use writ_practice::client::SessionKey;

use super::gateway::code;
use super::nginx::Front;
use super::{ACTIONS, Held};
use crate::cases::SUPPORT;

/// The old scope was left in the profile; the endpoints that it was for were not.
fn profile() -> String {
    let before = "scopes = [\"case:read\", \"case:reply\"]";
    assert!(SUPPORT.contains(before));
    let carried = SUPPORT.replace(before, "scopes = [\"case:read\", \"accounts:admin\"]");
    format!("{carried}{ACTIONS}")
}

/// Paths that the old scope was for, and one that the grant has.
const OLD: [&str; 3] = ["/admin/accounts", "/admin/export", "/accounts"];
const OWN: &str = "/accounts/AC-9/invoices/7";

#[tokio::test]
async fn an_old_scope_in_a_token_opens_no_endpoint_that_its_grant_has_not() {
    let held = Held::under(&profile()).await;
    let told = held.client.introspect(held.token()).await;
    let scopes: Vec<_> = told.text("scope").split(' ').collect();
    assert!(scopes.contains(&"accounts:admin"), "{told:?}");

    let front = Front::before(&held.client.issuer).await;
    for path in OLD {
        let answer = held.client.answer(front.get(&held, path)).await;
        assert_eq!(code(&answer), (403, "resource_refused"), "{path}");
    }
    let written = front.asks(&held, &Method::DELETE, OWN);
    let answer = held.client.answer(written).await;
    assert_eq!(code(&answer), (403, "action_refused"));
    assert_eq!(front.through(), 0);
    // It is a mistake, and no attack: what the account is at work on goes on.
    let answer = held.client.answer(front.get(&held, OWN)).await;
    assert_eq!((answer.status.as_u16(), front.through()), (200, 1));
}

#[tokio::test]
async fn a_rotation_does_not_bring_back_what_the_grant_has_lost() {
    let mut held = Held::under(&profile()).await;
    let front = Front::before(&held.client.issuer).await;
    // The account has another key now, and fresh evidence; it asks for the old scope by name.
    let key = SessionKey::generate().unwrap();
    let named = crate::cases::details("desk/case/4711");
    let more = [
        ("authorization_details", named.as_str()),
        ("audience", "https://billing.example"),
        ("scope", "accounts:admin"),
    ];
    let evidence = held.broker.agents().token("a-7", &held.broker.issuer);
    let evidence = evidence.unwrap();
    let rotated = held.client.exchange_token(&evidence, Some(&key), &more);
    let rotated = rotated.await;
    rotated.assert_issued();
    assert_eq!(rotated.json["scope"], json!("accounts:admin"));
    (held.key, held.first) = (key, rotated);
    for path in OLD {
        let answer = held.client.answer(front.get(&held, path)).await;
        assert_eq!(code(&answer), (403, "resource_refused"), "{path}");
    }
    assert_eq!(front.through(), 0);
    let wider = [("scope", "accounts:root")];
    let refused = held.client.renew(&held.first, &held.key, &wider).await;
    refused.assert_refused(400, "scope_refused");
}
