//! A collector that is down, slow, or somebody else: requests go on as if it were not there.

use tokio::net::TcpListener;
use writ_practice::{StartJob, StartRun};

use super::{KEY, telemetry};
use crate::support::broker::{ENVIRONMENT, REPO, secret_file};
use crate::support::process::{Ground, Server, until};
use crate::support::raw::answers_always;

/// A broker whose traces go there.
async fn sending_to(ground: &Ground, endpoint: &str) -> Server {
    secret_file(ground.dir(), "collector", KEY);
    let text = ground.read("writ.toml") + &telemetry(endpoint, "1");
    ground.write("writ.toml", &text);
    ground.start().await
}

async fn exchanged(ground: &Ground) {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    ground
        .client()
        .exchange(&run.jobs[0], None, &[])
        .await
        .assert_issued();
}

async fn count(ground: &Ground, line: &str) -> u64 {
    let (_, text) = ground.platform("/metrics").await.unwrap();
    let value = text.lines().find_map(|l| l.strip_prefix(line));
    let value = value.unwrap_or_else(|| panic!("no {line} in {text}"));
    value.trim().parse().unwrap()
}

const UNSENT: &str = "writ_trace_spans_dropped_total{reason=\"unsent\"}";
const EXPORTED: &str = "writ_trace_spans_exported_total";

#[tokio::test]
async fn without_a_collector_exchanges_go_on_and_what_is_dropped_is_counted() {
    let ground = Ground::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let server = sending_to(&ground, &endpoint).await;
    assert_eq!(count(&ground, UNSENT).await, 0);
    for _ in 0..3 {
        exchanged(&ground).await;
    }
    until(async || count(&ground, UNSENT).await >= 3 * 7).await;
    assert_eq!(count(&ground, EXPORTED).await, 0);
    let log = server.stop().await;
    assert_eq!(log.matches("does not take traces").count(), 1, "{log}");
}

#[tokio::test]
async fn a_stranger_in_the_collectors_place_takes_nothing() {
    let ground = Ground::new().await;
    let endpoint = answers_always(200, "{\"partialSuccess\":{}}").await;
    let server = sending_to(&ground, &endpoint).await;
    exchanged(&ground).await;
    until(async || count(&ground, UNSENT).await > 0).await;
    assert_eq!(count(&ground, EXPORTED).await, 0);
    assert!(server.stop().await.contains("no OTLP receiver"));
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_a_request_nor_a_stop() {
    let ground = Ground::new().await;
    // The system takes the connection; nobody reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let server = sending_to(&ground, &endpoint).await;
    exchanged(&ground).await;
    let (held, _) = silent.accept().await.unwrap();
    // While it is being waited for.
    exchanged(&ground).await;
    let log = server.stop().await;
    assert!(
        log.contains("did not take the last traces in time"),
        "{log}"
    );
    drop(held);
}
