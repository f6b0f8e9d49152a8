//! ID tokens that leak: what they are worth to somebody who has only them.

use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::forge::{OPEN, assert_none, bearer, bound, credentials, job, tasks};

#[tokio::test]
async fn a46_a_leaked_token_that_names_a_key_is_useless_without_it() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let thief = SessionKey::generate().unwrap();
    let token = bound(&broker, &job(&broker).await, &key);
    let bare = client.exchange_token(&token, None, &[]).await;
    bare.assert_refused(400, "proof_required");
    assert_eq!(bare.text("error"), "invalid_dpop_proof");
    let stolen = client.exchange_token(&token, Some(&thief), &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    // The attempts did not use it up.
    client
        .exchange_token(&token, Some(&key), &[])
        .await
        .assert_issued();
}

/// Whoever copies a token that names no key can make a key of their own: a profile that demands a
/// key takes neither.
#[tokio::test]
async fn a_profile_that_demands_a_key_takes_no_token_that_names_none() {
    let strict = OPEN.replace(
        "[[profile.binding]]",
        "sender = \"required\"\n[[profile.binding]]",
    );
    let broker = Broker::with(&strict).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker).await;
    let leaked = bearer(&broker, &job);
    for key in [None, Some(&key)] {
        let answer = client.exchange_token(&leaked, key, &[]).await;
        answer.assert_refused(400, "proof_required");
        assert_eq!(answer.field(), "aud");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let held = client
        .exchange_token(&bound(&broker, &job, &key), Some(&key), &[])
        .await;
    held.assert_issued();
    assert_eq!(held.json["token_type"], "DPoP");
    client.renew(&held, &key, &[]).await.assert_issued();
}

/// A key of one's own is welcome where none is demanded: the session is then that key's alone.
#[tokio::test]
async fn a_token_that_names_no_key_is_bound_to_the_first_that_is_shown_with_it() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bearer(&broker, &job(&broker).await);
    let held = client.exchange_token(&token, Some(&key), &[]).await;
    held.assert_issued();
    assert_eq!(held.json["token_type"], "DPoP");
    let other = SessionKey::generate().unwrap();
    for key in [None, Some(&other)] {
        let answer = client.exchange_token(&token, key, &[]).await;
        answer.assert_refused(400, "evidence_replayed");
    }
    assert_eq!(credentials(&broker).await.len(), 1);
}
