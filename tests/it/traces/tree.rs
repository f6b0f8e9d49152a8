//! One request is one trace, from the caller's span down to the calls out.

use reqwest::StatusCode;
use serde_json::json;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun, StartedJob};

use super::collector::{Collector, Span};
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::{EXCHANGE, ID_TOKEN};
use crate::support::process::Ground;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn job(ground: &Ground) -> StartedJob {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    ground.site().start_run(spec).await.unwrap().jobs.remove(0)
}

/// An exchange by a caller that is traced itself.
async fn exchange(ground: &Ground, token: &str, traceparent: &str) -> reqwest::Response {
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ID_TOKEN),
    ];
    let url = format!("{}/oauth2/token?seen=canary-in-the-query", ground.issuer);
    let request = ground.client().http.post(url).form(&form);
    let request = request.header("traceparent", traceparent);
    request
        .header("tracestate", "x=canary-in-the-state")
        .send()
        .await
        .unwrap()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The only span of this name, below that one.
#[track_caller]
fn below<'a>(spans: &'a [Span], name: &str, parent: &Span) -> &'a Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    assert_eq!(found[0].parent, parent.id, "{name}: {spans:#?}");
    found[0]
}

#[tokio::test]
async fn an_exchange_is_one_trace_that_goes_on_from_its_caller() {
    let ground = Ground::new().await;
    let mut collector = Collector::beside(&ground, "1").await;
    let server = ground.start().await;
    let job = job(&ground).await;
    let token = ground.client().id_token(&job, &ground.issuer).await;
    let answer = exchange(&ground, &token, CALLER).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: serde_json::Value = answer.json().await.unwrap();

    let spans = collector.request("POST /oauth2/token").await;
    let root = spans.last().unwrap();
    assert_eq!(root.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(root.parent, "00f067aa0ba902b7");
    assert_eq!(root.service, "writ");
    let told = json!({
        "http.request.method": "POST", "http.route": "/oauth2/token",
        "http.response.status_code": 200, "url.scheme": "http",
    });
    assert_eq!(json!(root.attributes), told);
    let issue = below(&spans, "issue", root);
    let told = json!({
        "writ.profile": "deploy", "writ.task": answer["task_name"], "writ.outcome": "ok",
    });
    assert_eq!(json!(issue.attributes), told);
    for stage in ["attest", "observe", "decide", "mint", "commit"] {
        below(&spans, stage, issue);
    }
    let attest = below(&spans, "attest", issue);
    let asked = named(&spans, "GET").into_iter();
    let keys: Vec<_> = asked
        .clone()
        .filter(|call| call.parent == attest.id)
        .collect();
    assert_eq!(keys.len(), 2, "discovery and keys: {spans:#?}");
    let reads = named(&spans, "read");
    let observe = below(&spans, "observe", issue);
    assert!(reads.iter().all(|read| read.parent == observe.id));
    let mut seen: Vec<_> = reads
        .iter()
        .map(|read| (read.text("writ.record"), &read.attributes["writ.cached"]))
        .collect();
    seen.sort_by_key(|(record, _)| *record);
    let (cached, asked_for) = (json!(true), json!(false));
    // What the ID token proves is not asked for.
    let expected = [
        ("environment", &asked_for),
        ("job", &cached),
        ("pipeline", &cached),
    ];
    assert_eq!(seen, expected, "{spans:#?}");
    let read = reads
        .into_iter()
        .find(|read| read.attributes["writ.cached"] == false)
        .unwrap();
    assert_eq!(read.text("writ.source"), "github");
    let calls: Vec<_> = asked.filter(|call| call.parent == read.id).collect();
    assert!(!calls.is_empty(), "{spans:#?}");
    for call in calls.into_iter().chain(keys) {
        assert_eq!(call.kind, "SPAN_KIND_CLIENT");
        assert_eq!(call.text("server.address"), "127.0.0.1");
        assert_eq!(call.attributes["http.response.status_code"], 200);
        assert!(call.took <= root.took);
    }
    assert!(spans.iter().all(|span| !span.failed), "{spans:#?}");

    // The second job is told of what is still known.
    let again = self::job(&ground).await;
    let token = ground.client().id_token(&again, &ground.issuer).await;
    exchange(&ground, &token, CALLER).await;
    let spans = collector.request("POST /oauth2/token").await;
    let reads = named(&spans, "read");
    assert!(
        reads
            .iter()
            .all(|read| read.attributes["writ.cached"] == true),
        "{spans:#?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_names_the_trace_and_the_trace_names_the_refusal() {
    let ground = Ground::new().await;
    let mut collector = Collector::beside(&ground, "1.0").await;
    let server = ground.start().await;
    let job = StartJob::new("deploy").in_environment("staging");
    let run = ground
        .site()
        .start_run(StartRun::new(REPO, vec![job]))
        .await
        .unwrap();
    let answer = ground.client().exchange(&run.jobs[0], None, &[]).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let spans = collector.request("POST /oauth2/token").await;
    let issue = named(&spans, "issue")[0];
    assert_eq!(answer.text("trace_id"), issue.trace);
    assert_eq!(answer.text("denial_id"), issue.text("writ.denial_id"));
    assert_eq!(answer.code(), issue.text("writ.outcome"));
    assert!(!issue.failed, "a refusal is no failure");

    let url = format!("{}/api/v1/secret/ci/prod/canary-in-the-path", ground.issuer);
    let answer = ground.client().http.get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = answer.json().await.unwrap();
    let spans = collector.request("GET /api/v1/secret/{*path}").await;
    assert_eq!(problem["trace_id"], spans[0].trace);
    let nowhere = ground
        .client()
        .http
        .get(format!("{}/nowhere", ground.issuer));
    nowhere.send().await.unwrap();
    let spans = collector.request("GET").await;
    assert_eq!(spans[0].attributes["http.response.status_code"], 404);
    server.stop().await;
    assert!(!String::from_utf8_lossy(&collector.kept()).contains("canary"));
}

#[tokio::test]
async fn a_caller_cannot_have_itself_traced_and_a_broken_parent_is_none() {
    let ground = Ground::new().await;
    let mut collector = Collector::beside(&ground, "1").await;
    let server = ground.start().await;
    let ask = async |traceparent: &str| {
        let answer = exchange(&ground, "no token", traceparent).await;
        answer.json::<serde_json::Value>().await.unwrap()
    };
    let quiet = ask(&CALLER.replace("-01", "-00")).await;
    assert_eq!(quiet.get("trace_id"), None, "{quiet}");
    let broken = ask(&CALLER.to_ascii_uppercase()).await;
    let own = broken["trace_id"].as_str().unwrap();
    assert!(!CALLER.contains(own), "{broken}");
    let spans = collector.request("POST /oauth2/token").await;
    assert_eq!(spans[0].trace, own);
    assert_eq!(spans.last().unwrap().parent, "");
    server.stop().await;

    let text = ground
        .read("writ.toml")
        .replace("sampling = 1\n", "sampling = 0\n");
    ground.write("writ.toml", &text);
    let server = ground.start().await;
    for _ in 0..20 {
        assert_eq!(ask(CALLER).await.get("trace_id"), None);
    }
    let before = collector.kept().len();
    server.stop().await;
    assert_eq!(collector.kept().len(), before);
}

#[tokio::test]
async fn a_stop_lets_the_last_trace_out() {
    let ground = Ground::new().await;
    let mut collector = Collector::beside(&ground, "1").await;
    let server = ground.start().await;
    let key = SessionKey::generate().unwrap();
    let job = job(&ground).await;
    ground
        .client()
        .exchange(&job, Some(&key), &[])
        .await
        .assert_issued();
    server.stop().await;
    let spans = collector.request("POST /oauth2/token").await;
    assert_eq!(named(&spans, "commit").len(), 1);
}
