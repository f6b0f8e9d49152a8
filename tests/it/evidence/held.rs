//! Handles and tokens that were shortened, lengthened or altered.

use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::EXCHANGE;
use crate::support::forge::{OPEN, bound, credentials, job};

/// The text with a change at every few places, cut short at both ends, and made longer.
fn altered(text: &str) -> Vec<String> {
    let mut all = vec![
        text[1..].to_owned(),
        text[..text.len() - 1].to_owned(),
        text[..text.len() / 2].to_owned(),
        format!("{text}A"),
        format!("{text}="),
        format!("{text}\n"),
        format!(" {text}"),
        format!("{text}.{text}"),
        format!("{text}{text}"),
        text.to_uppercase(),
        "x".to_owned(),
    ];
    for at in (5..text.len()).step_by(7) {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        all.push(String::from_utf8(bytes).unwrap());
    }
    all.retain(|one| one != text);
    all
}

#[tokio::test]
async fn a16_a_handle_is_whole_or_it_is_nothing() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    let held = client.exchange_token(&token, Some(&key), &[]).await;
    held.assert_issued();
    for wrong in altered(held.text("refresh_token")) {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", wrong.as_str()),
        ];
        let answer = client.token_endpoint(&form, Some(&key)).await;
        assert_eq!(answer.code(), "token_invalid", "{wrong:?}: {answer:?}");
        answer.assert_refused(400, "token_invalid");
        assert_eq!(answer.text("error"), "invalid_grant");
    }
    assert_eq!(credentials(&broker).await.len(), 1);
    client.renew(&held, &key, &[]).await.assert_issued();
}

#[tokio::test]
async fn a16_a_token_is_whole_or_it_is_nothing() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    let held = client.exchange_token(&token, Some(&key), &[]).await;
    held.assert_issued();
    assert!(client.is_active(&held).await);
    for wrong in altered(held.text("access_token")) {
        let answer = client.introspect(&wrong).await;
        assert_eq!(answer.json["active"], false, "{wrong:?}: {answer:?}");
    }
    // Neither does a broken token end anything.
    for wrong in altered(held.text("access_token")).into_iter().take(4) {
        client.revoke(&wrong).await;
    }
    assert!(client.is_active(&held).await);
}

#[tokio::test]
async fn a16_evidence_cut_short_is_not_the_evidence() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    for wrong in altered(&token).into_iter().take(24) {
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", wrong.as_str()),
            ("subject_token_type", crate::support::client::ID_TOKEN),
        ];
        let answer = client.token_endpoint(&form, Some(&key)).await;
        // A token whose key id was touched names a key that the issuer may have by now.
        if answer.status == 503 {
            answer.assert_refused(503, "issuer_unavailable");
        } else {
            answer.assert_refused(400, "evidence_invalid");
        }
    }
    assert!(credentials(&broker).await.is_empty());
}
