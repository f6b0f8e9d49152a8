//! A real OpenID Provider that somebody else wrote, and that changes its keys: `oidc-provider` of npm.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use writ_practice::client::SessionKey;

use super::config;
use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::process::within;

const AUDIENCE: &str = "https://writ.example/builds";

struct Provider {
    issuer: String,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Provider {
    async fn start() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/node");
        let installed = dir.join("node_modules/oidc-provider").is_dir();
        assert!(installed, "the clients are not installed: run tests/setup");
        let mut process = Command::new("node")
            .args(["provider.mjs", AUDIENCE])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut provider = Self {
            issuer: String::new(),
            orders,
            answers,
            _process: process,
        };
        provider.issuer = provider.answer().await;
        provider
    }

    async fn order(&mut self, order: &str) -> String {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> String {
        let line = within(self.answers.next_line()).await.unwrap();
        line.expect("an answer of the provider")
    }
}

async fn exchange(broker: &Broker, token: &str) -> Answer {
    let key = SessionKey::generate().unwrap();
    let client = broker.client();
    client.exchange_token(token, Some(&key), &[]).await
}

#[tokio::test]
async fn new_keys_are_found_old_ones_count_while_published_and_dropped_ones_do_not() {
    let mut provider = Provider::start().await;
    let audience = format!("preset = \"oidc\"\naudience = \"{AUDIENCE}\"");
    let source = config(&provider.issuer).replace("preset = \"oidc\"", &audience);
    let broker = Broker::with(&source).await;
    // The provider's clock is the machine's: the broker's is to be ahead of it, not behind.
    broker.pass(Duration::from_secs(30)).await;

    let first = provider.order("token").await;
    let second = provider.order("token").await;
    let third = provider.order("token").await;
    let answer = exchange(&broker, &first).await;
    answer.assert_issued();
    assert_eq!(answer.text("task_name"), "builds/p-812/1");

    provider.order("rotate").await;
    let rotated = provider.order("token").await;
    let early = exchange(&broker, &rotated).await;
    early.assert_refused(503, "issuer_unavailable");
    broker.pass(Duration::from_secs(31)).await;
    exchange(&broker, &rotated).await.assert_issued();
    exchange(&broker, &second).await.assert_issued();

    provider.order("drop").await;
    broker.pass(Duration::from_mins(5)).await;
    let before = broker.recorded().await;
    let dropped = exchange(&broker, &third).await;
    dropped.assert_refused(400, "evidence_invalid");
    assert_eq!(broker.recorded().await, before);
    let current = provider.order("token").await;
    exchange(&broker, &current).await.assert_issued();
}
