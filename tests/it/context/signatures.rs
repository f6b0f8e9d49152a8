//! A45: a webhook that is not signed as configured is not read at all, and expires nothing.

use std::time::Duration;

use ring::hmac;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use writ_practice::{Delivery, Forgery, Mode, Target};

use crate::support::broker::HOOK_SECRET;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

async fn up_to_date() -> Held {
    let held = Held::billing(DEPLOY).await;
    held.broker.pass(Duration::from_secs(3)).await;
    held.renew().await.assert_issued();
    // From now on whatever has to be read cannot be.
    held.broker.fault(Target::Api, Mode::Down);
    held
}

impl Held {
    /// The delivery was refused, and what is known is still known.
    async fn assert_no_effect(&self, delivery: &Delivery, status: u16) {
        assert_eq!(delivery.status, Some(status), "{delivery:?}");
        self.broker.settle_hooks().await;
        self.renew().await.assert_issued();
    }
}

fn signature(algorithm: hmac::Algorithm, secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(algorithm, secret.as_bytes());
    hex::encode(hmac::sign(&key, body))
}

#[tokio::test]
async fn a45_bad_missing_weak_and_foreign_signatures_are_refused_and_expire_nothing() {
    let held = up_to_date().await;
    let honest = || held.broker.run_forgery(&held.run, "completed");
    let body = honest().body.to_string();
    let sha1 = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
    let right = signature(hmac::HMAC_SHA256, HOOK_SECRET, body.as_bytes());
    let flipped = format!("{}0", &right[..63]);
    let other_tenant = signature(hmac::HMAC_SHA256, "another-tenants", body.as_bytes());
    let wrong = [
        String::new(),
        "sha256=".to_owned(),
        right.clone(),
        format!("sha1={}", signature(sha1, HOOK_SECRET, body.as_bytes())),
        format!("sha256={}", signature(sha1, HOOK_SECRET, body.as_bytes())),
        format!("sha256={}", &right[..62]),
        format!("sha256={right}00"),
        format!("sha256={other_tenant}"),
        format!(
            "sha256={}",
            if flipped == right {
                format!("{}1", &right[..63])
            } else {
                flipped
            }
        ),
    ];
    for signature in wrong {
        let forgery = Forgery {
            signature: Some(signature),
            ..honest()
        };
        let delivery = held.broker.forge(forgery).await;
        held.assert_no_effect(&delivery, 401).await;
    }
    let unsigned = Forgery {
        secret: Some(String::new()),
        ..honest()
    };
    let delivery = held.broker.forge(unsigned).await;
    held.assert_no_effect(&delivery, 401).await;
}

#[tokio::test]
async fn a45_a_body_that_was_written_again_is_another_body() {
    let held = up_to_date().await;
    let honest = held.broker.run_forgery(&held.run, "completed");
    let sent = honest.body.to_string();
    let signature = signature(hmac::HMAC_SHA256, HOOK_SECRET, sent.as_bytes());
    let spaced = sent.replace("\":", "\": ");
    assert_ne!(spaced, sent);
    for body in [spaced, format!("{sent}\n"), String::new()] {
        let forgery = Forgery {
            body: body.into(),
            signature: Some(format!("sha256={signature}")),
            ..honest.clone()
        };
        let delivery = held.broker.forge(forgery).await;
        held.assert_no_effect(&delivery, 401).await;
    }
}

#[tokio::test]
async fn a45_a_body_of_fifty_mebibytes_is_refused_before_it_is_sent() {
    let held = up_to_date().await;
    let address = held.broker.issuer.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nhost: {address}\r\nx-github-event: workflow_run\r\n\
         x-hub-signature-256: sha256={}\r\ncontent-length: 52428800\r\n\r\n",
        "0".repeat(64)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_delivery_to_a_source_that_is_not_configured_is_nobodys() {
    let held = up_to_date().await;
    for source in ["gitlab", "GitHub", "github%20", "..%2Fgithub"] {
        let forgery = Forgery {
            url: Some(format!("{}/hooks/{source}", held.broker.issuer)),
            ..held.broker.run_forgery(&held.run, "completed")
        };
        let delivery = held.broker.forge(forgery).await;
        held.assert_no_effect(&delivery, 404).await;
    }
}

#[tokio::test]
async fn a_signed_body_that_is_not_its_event_is_refused_and_expires_nothing() {
    let held = up_to_date().await;
    for body in ["null", "[]", "{\"workflow_run\":{}}", "{", "\u{0}"] {
        let forgery = Forgery {
            body: body.into(),
            ..held.broker.run_forgery(&held.run, "completed")
        };
        let delivery = held.broker.forge(forgery).await;
        held.assert_no_effect(&delivery, 400).await;
    }
}
