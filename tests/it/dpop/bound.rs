//! Tokens and handles that are bound to a key, in the hands of somebody without it.

use writ_practice::client::{Proof, SessionKey};

use crate::support::broker::Broker;
use crate::support::client::{Answer, deploy_run};
use crate::support::forge::{OPEN, bearer, bound, credentials, job, now};
use crate::support::profiles::DEPLOY;
use crate::support::raw::{Raw, read};

const PATH: &str = "ci/prod/db";

async fn put_secret(broker: &Broker) {
    let order = writ::broker::revoke::Order {
        by: "uid:0".to_owned(),
        reason: None,
        repeat: None,
    };
    let value = "hunter2".to_owned().into();
    let path = PATH.parse().unwrap();
    broker
        .wired
        .broker
        .put_secret(&path, &value, &order)
        .await
        .unwrap();
}

async fn ask(broker: &Broker, authorization: &str, proof: Option<String>) -> Raw {
    let url = format!("{}/api/v1/secret/{PATH}", broker.issuer);
    let mut request = broker
        .client()
        .http
        .get(url)
        .header("authorization", authorization);
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    read(request.send().await.unwrap()).await
}

async fn session(broker: &Broker, key: Option<&SessionKey>) -> Answer {
    let run = deploy_run(broker).await;
    let token = match key {
        Some(key) => bound(broker, &run.jobs[0], key),
        None => bearer(broker, &run.jobs[0]),
    };
    let held = broker.client().exchange_token(&token, key, &[]).await;
    held.assert_issued();
    held
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a46_a_bound_token_reads_nothing_without_a_proof_over_it() {
    let broker = Broker::with(DEPLOY).await;
    put_secret(&broker).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let thief = SessionKey::generate().unwrap();
    let held = session(&broker, Some(&key)).await;
    let other = session(&broker, Some(&key)).await;
    let url = format!("{}/api/v1/secret/{PATH}", broker.issuer);
    let (token, another) = (held.text("access_token"), other.text("access_token"));
    let before = credentials(&broker).await.len();
    let proof =
        |by: &SessionKey, method, url: &str, over| Some(client.proof(by, method, url, over));
    let dpop = format!("DPoP {token}");
    for (what, authorization, proof) in [
        ("as bearer", format!("Bearer {token}"), None),
        (
            "as bearer with its proof",
            format!("Bearer {token}"),
            proof(&key, "GET", &url, Some(token)),
        ),
        ("no proof", dpop.clone(), None),
        ("no ath", dpop.clone(), proof(&key, "GET", &url, None)),
        (
            "another token's ath",
            dpop.clone(),
            proof(&key, "GET", &url, Some(another)),
        ),
        (
            "by another key",
            dpop.clone(),
            proof(&thief, "GET", &url, Some(token)),
        ),
        (
            "another method",
            dpop.clone(),
            proof(&key, "POST", &url, Some(token)),
        ),
        (
            "another path",
            dpop.clone(),
            proof(&key, "GET", &url.replace("db", "dc"), Some(token)),
        ),
        (
            "another endpoint",
            dpop.clone(),
            proof(
                &key,
                "GET",
                &format!("{}/oauth2/token", broker.issuer),
                Some(token),
            ),
        ),
    ] {
        let answer = ask(&broker, &authorization, proof).await;
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (401, "proof_invalid"),
            "{what}: {}",
            answer.text
        );
        assert!(!answer.text.contains("hunter2"));
        assert!(answer.text.contains("www-authenticate"));
    }
    assert_eq!(credentials(&broker).await.len(), before);
    let good = proof(&key, "GET", &url, Some(token));
    let read = ask(&broker, &dpop, good.clone()).await;
    assert!(read.text.contains("hunter2"), "{}", read.text);
    let replayed = ask(&broker, &dpop, good).await;
    assert_eq!(
        (replayed.status, replayed.code.as_str()),
        (401, "proof_invalid")
    );
}

#[tokio::test]
async fn a46_an_unbound_token_is_not_made_bound_by_whoever_shows_it() {
    let broker = Broker::with(DEPLOY).await;
    put_secret(&broker).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let held = session(&broker, None).await;
    assert_eq!(held.json["token_type"], "Bearer");
    assert!(held.json.get("refresh_token").is_none());
    let url = format!("{}/api/v1/secret/{PATH}", broker.issuer);
    let token = held.text("access_token");
    let proof = client.proof(&key, "GET", &url, Some(token));
    for (authorization, proof) in [
        (format!("DPoP {token}"), Some(proof)),
        (format!("DPoP {token}"), None),
    ] {
        let answer = ask(&broker, &authorization, proof).await;
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (401, "proof_invalid")
        );
    }
    assert!(
        ask(&broker, &format!("Bearer {token}"), None)
            .await
            .text
            .contains("hunter2")
    );
}

#[tokio::test]
async fn a41_a_handle_is_worth_nothing_without_the_session_key() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let thief = SessionKey::generate().unwrap();
    let job = job(&broker).await;
    let held = client
        .exchange_token(&bound(&broker, &job, &key), Some(&key), &[])
        .await;
    held.assert_issued();
    let handle = held.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", handle)];
    let bare = client.token_endpoint(&form, None).await;
    bare.assert_refused(400, "proof_required");
    assert_eq!(bare.text("error"), "invalid_dpop_proof");
    let stolen = client.renew(&held, &thief, &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    assert_eq!(stolen.text("error"), "invalid_grant");
    // Not even with fresh evidence that is nobody's in particular.
    let fresh = bearer(&broker, &job);
    let with = [
        ("subject_token", fresh.as_str()),
        ("subject_token_type", crate::support::client::ID_TOKEN),
    ];
    client
        .renew(&held, &thief, &with)
        .await
        .assert_refused(400, "key_mismatch");
    assert_eq!(credentials(&broker).await.len(), 1);
    // An attempt ends nothing for the owner.
    client.renew(&held, &key, &[]).await.assert_issued();
}

#[tokio::test]
async fn a_proof_lives_a_minute_and_may_be_ten_seconds_early() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker).await;
    let held = client
        .exchange_token(&bound(&broker, &job, &key), Some(&key), &[])
        .await;
    let (handle, url) = (
        held.text("refresh_token"),
        format!("{}/oauth2/token", broker.issuer),
    );
    let body =
        crate::support::raw::encode(&[("grant_type", "refresh_token"), ("refresh_token", handle)]);
    for (shift, status) in [(-61, 400), (-59, 200), (0, 200), (10, 200), (11, 400)] {
        let jti = format!("shift-{shift}");
        let proof = key
            .proof(&Proof {
                htm: "POST",
                htu: &url,
                iat: now(&broker) + shift,
                jti: &jti,
                access_token: None,
                nonce: None,
            })
            .unwrap();
        let answer = crate::support::raw::form(&broker, &[("dpop", &proof)], &body).await;
        assert_eq!(answer.status, status, "{shift}: {}", answer.text);
    }
}
