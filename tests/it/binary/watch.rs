//! An operator who looks on while a task is ended.

use serde_json::Value;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::Ground;

#[tokio::test]
async fn what_happens_to_a_task_is_told_as_it_happens_each_thing_once_until_it_is_over() {
    let ground = Ground::new().await;
    let _server = ground.start().await;
    let (client, key) = (ground.client(), SessionKey::generate().unwrap());
    let jobs = vec![StartJob::new("deploy").in_environment(ENVIRONMENT)];
    let run = ground.site().start_run(StartRun::new(REPO, jobs)).await;
    let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
    let token = client.id_token(&run.unwrap().jobs[0], &audience).await;
    let first = client.exchange_token(&token, Some(&key), &[]).await;
    first.assert_issued();
    let task = first.text("task");

    let watch = ["task", "watch", task, "--every", "200ms", "-o", "json"];
    let happen = async {
        client.renew(&first, &key, &[]).await.assert_issued();
        let widened = client.renew(&first, &key, &[("scope", "admin:all")]).await;
        assert_eq!(widened.status, 400, "{widened:?}");
        let said = ground
            .operator(&["task", "revoke", task, "--reason", "over"], "")
            .await;
        assert_eq!(said.code, Some(0), "{said:?}");
    };
    let (told, ()) = tokio::join!(ground.operator(&watch, ""), happen);
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines: Vec<Value> = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = lines
        .iter()
        .filter_map(|line| line["entry"]["event"].as_str())
        .collect();
    assert_eq!(
        events,
        ["issued", "renewed", "denied", "task_revoked"],
        "{told:?}"
    );
    let last = lines.last().unwrap();
    assert_eq!(last["task"]["state"], "over", "{told:?}");
    assert_eq!(last["task"]["ended"]["reason"], "over", "{told:?}");

    let nobody = ground
        .operator(&["task", "watch", "github/1/2/3"], "")
        .await;
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
}
