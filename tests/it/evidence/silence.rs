//! A68: what is secret in a request appears in no answer, no log and no entry of the audit log,
//! whether the request was good, bad or broken.

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tracing_subscriber::fmt::MakeWriter;
use writ_practice::client::SessionKey;

use crate::support::broker::{API_TOKEN, BILLING_SECRET, Broker, HOOK_SECRET};
use crate::support::client::{EXCHANGE, ID_TOKEN};
use crate::support::forge::{OPEN, bound, honest, job, mint};
use crate::support::raw::{Raw, encode, form, post, read};

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Logs everything at the finest level. The tests' runtime has one thread, the broker's included.
fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    (log, guard)
}

/// A token's every part that could be used: the whole, and its signature.
fn parts(token: &str) -> Vec<String> {
    let mut all = vec![token.to_owned()];
    all.extend(
        token
            .rsplit_once('.')
            .map(|(_, signature)| signature.to_owned()),
    );
    all
}

async fn assert_not_in_ledger(broker: &Broker, secrets: &[String]) {
    let store = &broker.wired.broker.store;
    let entries = store.unsequenced(10_000).await.unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        let leaf = String::from_utf8_lossy(&entry.leaf).into_owned();
        for secret in secrets {
            assert!(!leaf.contains(secret), "{secret} is in {leaf}");
        }
    }
}

fn assert_silent(text: &str, what: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{what} tells {secret}");
    }
}

#[tokio::test]
async fn a68_an_honest_session_leaves_no_secret_in_logs_or_entries() {
    let (log, _guard) = capture();
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let token = bound(&broker, &job(&broker).await, &key);
    let held = client.exchange_token(&token, Some(&key), &[]).await;
    held.assert_issued();
    let renewed = client.renew(&held, &key, &[]).await;
    renewed.assert_issued();
    assert!(client.is_active(&renewed).await);
    let mut secrets = parts(&token);
    for answer in [&held, &renewed] {
        secrets.extend(parts(answer.text("access_token")));
        secrets.push(answer.text("refresh_token").to_owned());
    }
    secrets.extend([API_TOKEN, HOOK_SECRET, BILLING_SECRET].map(str::to_owned));
    let log = log.text();
    assert!(log.contains("writ"), "nothing was captured");
    assert_silent(&log, "the log", &secrets);
    assert_not_in_ledger(&broker, &secrets).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a68_a_refused_or_broken_request_is_never_quoted() {
    let (log, _guard) = capture();
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let job = job(&broker).await;
    let canary = "canary-5f1c-canary";
    let foreign = mint(&broker, honest(&broker, &job, "https://other.example"));
    let tied = bound(&broker, &job, &key);
    let proof = client.proof(&key, "GET", "https://elsewhere.example", None);
    let mut answers: Vec<Raw> = Vec::new();
    for pairs in [
        vec![("grant_type", canary), ("subject_token", canary)],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", canary),
            ("subject_token_type", canary),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", canary),
            ("subject_token", canary),
            ("subject_token_type", ID_TOKEN),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", canary),
            ("subject_token_type", ID_TOKEN),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &foreign),
            ("subject_token_type", ID_TOKEN),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &tied),
            ("subject_token_type", ID_TOKEN),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &tied),
            ("subject_token_type", ID_TOKEN),
            ("profile", canary),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &tied),
            ("subject_token_type", ID_TOKEN),
            ("audience", canary),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &tied),
            ("subject_token_type", ID_TOKEN),
            ("audience", "canary-5f1c-canary with space"),
        ],
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &tied),
            ("subject_token_type", ID_TOKEN),
            ("scope", canary),
        ],
        vec![("grant_type", "refresh_token"), ("refresh_token", canary)],
        vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", "wrh_canary-5f1c-canary"),
        ],
    ] {
        answers.push(form(&broker, &[], &encode(&pairs)).await);
        answers.push(form(&broker, &[("dpop", canary)], &encode(&pairs)).await);
        answers.push(form(&broker, &[("dpop", &proof)], &encode(&pairs)).await);
        let good = client.proof(
            &key,
            "POST",
            &format!("{}/oauth2/token", broker.issuer),
            None,
        );
        if pairs
            .iter()
            .any(|(name, value)| *value == tied && *name == "subject_token")
            && pairs.len() > 3
        {
            answers.push(form(&broker, &[("dpop", &good)], &encode(&pairs)).await);
        }
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("billing:{canary}")));
    let token = encode(&[("token", canary)]);
    let typed = ("content-type", "application/x-www-form-urlencoded");
    answers.push(
        post(
            &broker,
            "/oauth2/introspect",
            &[typed, ("authorization", &basic)],
            token.clone(),
        )
        .await,
    );
    answers.push(post(&broker, "/oauth2/revoke", &[typed], token).await);
    answers.push(
        post(
            &broker,
            "/hooks/github",
            &[("x-hub-signature-256", canary)],
            canary,
        )
        .await,
    );
    let url = format!("{}/api/v1/secret/{canary}", broker.issuer);
    let asked = client
        .http
        .get(url)
        .bearer_auth(canary)
        .send()
        .await
        .unwrap();
    answers.push(read(asked).await);

    let secrets: Vec<String> = [
        vec![canary.to_owned()],
        parts(&foreign),
        parts(&tied),
        parts(&proof),
    ]
    .concat();
    for answer in &answers {
        assert!(!answer.text.contains("access_token"), "{}", answer.text);
        assert_silent(&answer.text, "an answer", &secrets);
    }
    let log = log.text();
    assert!(log.contains("refused"), "nothing was captured");
    assert_silent(&log, "the log", &secrets);
}
