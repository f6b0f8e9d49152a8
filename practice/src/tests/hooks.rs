//! What webhooks tell, and what can become of them.

use super::*;

#[tokio::test]
async fn each_change_is_told_once_signed_and_in_order() {
    let guest = Guest::arrive().await;
    let (url, mut hears, _serving) = receiver().await;
    let targets = json!({ "targets": [{ "url": url, "secret": "s3cret" }] });
    assert_eq!(guest.put("/hooks", targets).await, StatusCode::OK);
    let run = guest
        .start(json!({ "name": "deploy", "environment": "prod" }))
        .await;
    guest
        .control(&format!("/runs/{}/complete", run["run_id"]), json!({}))
        .await;
    guest.control("/hooks/settle", json!({})).await;
    let mut told = Vec::new();
    while let Ok((headers, body)) = hears.try_recv() {
        assert!(signed_by("s3cret", &headers, &body));
        assert!(
            headers["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("GitHub-Hookshot/")
        );
        assert!(headers.contains_key("x-github-hook-id"));
        let event: Value = serde_json::from_slice(&body).unwrap();
        let name = headers["x-github-event"].to_str().unwrap().to_owned();
        told.push(format!("{name}.{}", event["action"].as_str().unwrap()));
    }
    let expected = [
        "workflow_run.requested",
        "workflow_job.queued",
        "workflow_run.in_progress",
        "workflow_job.in_progress",
        "workflow_job.completed",
        "workflow_run.completed",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn deliveries_can_be_lost_replayed_and_forged() {
    let guest = Guest::arrive().await;
    let (url, mut hears, _serving) = receiver().await;
    let target = json!([{ "url": url, "secret": "s3cret" }]);
    guest
        .put("/hooks", json!({ "enabled": false, "targets": target }))
        .await;
    guest.start(json!({ "name": "lost" })).await;
    guest.put("/hooks", json!({ "targets": target })).await;
    guest.start(json!({ "name": "told" })).await;
    guest.control("/hooks/settle", json!({})).await;
    let sent: Value = guest.json("/control/deliveries").await;
    assert_eq!(
        sent.as_array().unwrap().len(),
        4,
        "what was switched off is lost"
    );
    assert_eq!(sent[0]["status"], 202);

    let (first, body) = hears.try_recv().unwrap();
    while hears.try_recv().is_ok() {}
    let guid = sent[0]["guid"].as_str().unwrap();
    guest
        .control(&format!("/deliveries/{guid}/replay"), json!({}))
        .await;
    let (again, same) = hears.try_recv().unwrap();
    assert_eq!(again["x-github-delivery"], first["x-github-delivery"]);
    assert_eq!(same, body);

    let event = json!({ "action": "completed" });
    let forged = json!({ "event": "workflow_run", "body": event, "secret": "guessed" });
    let answer = guest.control("/deliveries/forge", forged).await;
    assert_eq!(answer["status"], 202);
    let (headers, body) = hears.try_recv().unwrap();
    assert!(!signed_by("s3cret", &headers, &body));
    assert!(signed_by("guessed", &headers, &body));
}

#[tokio::test]
async fn a_target_that_is_away_does_not_stop_the_world() {
    let guest = Guest::arrive().await;
    let nobody = json!({ "targets": [{ "url": "http://127.0.0.1:9/hook" }] });
    guest.put("/hooks", nobody).await;
    guest.start(json!({ "name": "deploy" })).await;
    guest.control("/hooks/settle", json!({})).await;
    let sent: Value = guest.json("/control/deliveries").await;
    assert!(sent[0]["status"].is_null());
    assert!(sent[0]["error"].is_string());
}
