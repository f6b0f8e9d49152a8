//! Whoever holds a token or handle may end it (RFC 7009), and ends just that.

use writ_practice::client::SessionKey;

use crate::support::held::{BILLING, Held};
use crate::support::profiles::DEPLOY;

#[tokio::test]
async fn a_token_dies_alone() {
    let held = Held::billing(DEPLOY).await;
    let second = held.renew().await;
    let revoked = held.client.revoke(held.first.text("access_token")).await;
    assert_eq!(revoked.status, 200);
    assert!(!held.is_active().await);
    assert!(held.client.is_active(&second).await);
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a39_a_revoked_token_reads_no_secret() {
    let held = Held::asking(DEPLOY, &[]).await;
    held.broker.put_secret("ci/prod/db", "value-canary").await;
    let read = || {
        held.client
            .secret("ci/prod/db", &held.first, Some(&held.key))
    };
    assert_eq!(read().await.text("value"), "value-canary");
    held.client.revoke(held.first.text("access_token")).await;
    let before = held.broker.recorded().await;
    read().await.assert_refused(403, "credential_revoked");
    assert_eq!(held.broker.recorded().await, before);
}

#[tokio::test]
async fn a_handle_ends_its_session_and_not_the_others_of_the_job() {
    let held = Held::billing(DEPLOY).await;
    let other_key = SessionKey::generate().unwrap();
    let other = held
        .client
        .exchange(held.job(), Some(&other_key), BILLING)
        .await;
    other.assert_issued();
    assert_eq!(other.text("lineage"), held.first.text("lineage"));

    let revoked = held.client.revoke(held.first.text("refresh_token")).await;
    assert_eq!(revoked.status, 200);
    assert!(!held.is_active().await);
    held.assert_never_again("session_ended").await;
    assert!(held.client.is_active(&other).await);
    held.client
        .renew(&other, &other_key, &[])
        .await
        .assert_issued();
}

#[tokio::test]
async fn what_is_no_token_or_no_longer_one_is_revoked_without_a_word_and_without_an_entry() {
    let held = Held::billing(DEPLOY).await;
    let handle = held.first.text("refresh_token").to_owned();
    let token = held.first.text("access_token").to_owned();
    let id_token = held.client.id_token(held.job(), &held.broker.issuer).await;
    let before = held.broker.log().await.len();
    let altered = format!("{}A", &token[..token.len() - 1]);
    let altered = if altered == token {
        format!("{}B", &token[..token.len() - 1])
    } else {
        altered
    };
    for unknown in [
        "x",
        "wrh_",
        "wrh_AAAA",
        &format!("{handle}A"),
        &id_token,
        &altered,
        "a.b.c",
    ] {
        let answer = held.client.revoke(unknown).await;
        assert_eq!(answer.status, 200, "{unknown}");
    }
    assert_eq!(held.broker.log().await.len(), before);
    assert!(held.is_active().await);

    let missing = held
        .client
        .http
        .post(format!("{}/oauth2/revoke", held.broker.issuer));
    let missing = missing
        .form(&[("token_type_hint", "access_token")])
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 400);
}

#[tokio::test]
async fn revoking_twice_is_as_good_as_once() {
    let held = Held::billing(DEPLOY).await;
    for part in [
        "access_token",
        "access_token",
        "refresh_token",
        "refresh_token",
    ] {
        let answer = held.client.revoke(held.first.text(part)).await;
        assert_eq!(answer.status, 200);
    }
    assert!(!held.is_active().await);
}
