//! Stopping: what was taken is answered, what was answered is kept.

use writ_practice::client::SessionKey;
use writ_practice::{Fault, Mode, StartJob, StartRun, StartedRun, Target};

use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::Client;
use crate::support::process::{Ground, until};

async fn run(ground: &Ground) -> StartedRun {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    ground.site().start_run(spec).await.unwrap()
}

#[tokio::test]
async fn a_request_that_was_taken_before_the_stop_is_answered() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let client = ground.client();
    let run = run(&ground).await;
    slow_environment(&ground, 1500);
    let asked = tokio::spawn(async move { client.exchange(&run.jobs[0], None, &[]).await });
    until(async || ground.site().faults().requests().of(Target::Environments) > 0).await;
    server.terminate();
    until(async || ground.platform("/livez").await.is_none()).await;
    assert!(!asked.is_finished(), "it was answered before the stop");

    let first = asked.await.unwrap();
    first.assert_issued();
    let mut server = server;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.said());

    ground.site().faults().clear();
    let again = ground.start().await;
    let tasks = ground.operator(&["task", "list"], "").await;
    assert!(tasks.out.contains(first.text("task")), "{tasks:?}");
    again.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_leaves_a_whole_log_and_can_ask_again() {
    let ground = Ground::new().await;
    let server = ground.start().await;
    let (client, key) = (ground.client(), SessionKey::generate().unwrap());
    let run = run(&ground).await;
    let token = bound_token(&client, &run, &key).await;
    slow_environment(&ground, 1000);
    {
        let exchange = client.exchange_token(&token, Some(&key), &[]);
        let asked = until(async || ground.site().faults().requests().of(Target::Environments) > 0);
        tokio::select! {
            answer = exchange => panic!("answered before it hung up: {answer:?}"),
            () = asked => {}
        }
    }
    ground.site().faults().clear();

    let again = client.exchange_token(&token, Some(&key), &[]).await;
    again.assert_issued();
    let tasks = ground.operator(&["task", "list", "-o", "json"], "").await;
    assert_eq!(tasks.out.matches("\"name\":").count(), 1, "{tasks:?}");
    server.stop().await;
    let server = ground.start().await;
    client.renew(&again, &key, &[]).await.assert_issued();
    sound_log(&ground).await;
    server.stop().await;
}

async fn bound_token(client: &Client, run: &StartedRun, key: &SessionKey) -> String {
    let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
    client.id_token(&run.jobs[0], &audience).await
}

/// The environment is read at the source, which takes its time.
fn slow_environment(ground: &Ground, delay_ms: u64) {
    let fault = Fault {
        target: Target::Environments,
        mode: Mode::Slow,
        delay_ms,
    };
    ground.site().faults().set(fault).unwrap();
}

/// The exported log is whole, and each credential in it was allowed.
pub async fn sound_log(ground: &Ground) {
    let out = ["audit", "export", "--file", "log.jsonl"];
    until(async || ground.operator(&out, "").await.code == Some(0)).await;
    for check in ["verify", "replay"] {
        let said = ground.operator(&["audit", check, "log.jsonl"], "").await;
        assert_eq!(said.code, Some(0), "{check}: {said:?}");
    }
}
