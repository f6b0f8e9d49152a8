//! GitLab, a cluster, agents and a desk, moved by their control calls as a person at a shell moves them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Guest;
use crate::Options;

async fn neighbourhood() -> Guest {
    let named = |name: &str| vec![name.to_owned()];
    Guest::with(Options {
        labs: named("/gitlab"),
        clusters: named("/cluster"),
        agents: named("/agents"),
        desks: named("/desk"),
        ..Options::default()
    })
    .await
}

impl Guest {
    async fn at(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.base);
        let answer = self.http.request(method, url).json(&body).send().await;
        let answer = answer.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn posted(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.at(Method::POST, path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn shown(&self, path: &str, header: &str, token: &str) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.base);
        let answer = self.http.get(url).header(header, token).send().await;
        let answer = answer.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }
}

const BEARER: &str = "Bearer practice-api-token";

#[tokio::test]
async fn a_case_is_opened_given_away_and_solved() {
    let guest = neighbourhood().await;
    let new = json!({ "id": "4711", "account": "AC-9", "assignee": "a-7" });
    guest.posted("/desk/control/cases", new.clone()).await;
    let (again, _) = guest.at(Method::POST, "/desk/control/cases", new).await;
    assert_eq!(again, StatusCode::CONFLICT);
    for (change, assignee, state) in [
        (json!({ "assignee": "a-8" }), json!({ "id": "a-8" }), "open"),
        (json!({ "assignee": "" }), Value::Null, "open"),
        (json!({ "state": "solved" }), Value::Null, "solved"),
    ] {
        guest.posted("/desk/control/cases/4711", change).await;
        let (_, case) = guest
            .shown("/desk/api/cases/4711", "authorization", BEARER)
            .await;
        assert_eq!(
            (&case["assignee"], case["state"].as_str()),
            (&assignee, Some(state))
        );
    }
    let none = guest
        .at(Method::POST, "/desk/control/cases/1", json!({}))
        .await;
    assert_eq!(none.0, StatusCode::NOT_FOUND);
    let wrong = json!({ "asignee": "a-8" });
    let wrong = guest
        .at(Method::POST, "/desk/control/cases/4711", wrong)
        .await;
    assert_eq!(wrong.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_pipeline_is_started_its_job_ended_and_retried() {
    let guest = neighbourhood().await;
    let project = guest
        .posted("/gitlab/control/projects", json!({ "path": "acme/shop" }))
        .await;
    let (id, protection) = (
        &project["project_id"],
        json!({ "access_level": 40, "required_approvals": 1 }),
    );
    let environment = json!({ "project_id": id, "name": "production", "protection": protection });
    guest
        .posted("/gitlab/control/environments", environment)
        .await;
    let pipeline = json!({
        "project_id": id,
        "audience": "https://writ.example",
        "jobs": [{ "name": "deploy", "environment": "production" }],
    });
    let started = guest.posted("/gitlab/control/pipelines", pipeline).await;
    let job = &started["jobs"][0];
    assert!(job["id_token"].as_str().unwrap().starts_with("eyJ"));
    let path = format!("/gitlab/api/v4/projects/{id}/jobs/{}", job["job_id"]);
    for status in ["success", "failed"] {
        let to = format!("/gitlab/control/jobs/{}", job["job_id"]);
        let moved = guest
            .at(Method::POST, &to, json!({ "status": status }))
            .await;
        // What has ended does not move.
        assert_eq!(moved.0.is_success(), status == "success", "{moved:?}");
        let (_, seen) = guest
            .shown(&path, "private-token", "practice-api-token")
            .await;
        assert_eq!(seen["status"], "success");
    }
    let retry = format!("/gitlab/control/jobs/{}/retry", job["job_id"]);
    let again = guest.posted(&retry, Value::Null).await;
    assert_ne!(again["job_id"], job["job_id"]);
}

#[tokio::test]
async fn a_pod_comes_is_given_a_token_and_goes() {
    let guest = neighbourhood().await;
    let account = json!({ "namespace": "shop", "name": "deployer", "uid": "u-1" });
    guest.posted("/cluster/control/accounts", account).await;
    let pod = json!({ "namespace": "shop", "name": "d-0", "account": "deployer" });
    let pod = guest.posted("/cluster/control/pods", pod).await;
    assert_eq!(pod["account_uid"], "u-1");
    let here = "/cluster/control/pods/shop/d-0";
    let wanted = json!({ "audience": "https://writ.example" });
    let token = guest.posted(&format!("{here}/token"), wanted).await;
    assert!(token["value"].as_str().unwrap().starts_with("eyJ"));
    guest.posted(here, json!({ "phase": "Succeeded" })).await;
    let seen = "/cluster/api/v1/namespaces/shop/pods/d-0";
    let (_, shown) = guest.shown(seen, "authorization", BEARER).await;
    assert_eq!(shown["status"]["phase"], "Succeeded");
    assert_eq!(
        guest.at(Method::DELETE, here, Value::Null).await.0,
        StatusCode::OK
    );
    let (gone, _) = guest.shown(seen, "authorization", BEARER).await;
    assert_eq!(gone, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_agent_is_given_a_token_of_its_own() {
    let guest = neighbourhood().await;
    let wanted = json!({ "agent": "a-7", "audience": "https://writ.example" });
    let token = guest.posted("/agents/control/tokens", wanted).await;
    let keys = guest.json("/agents/keys").await;
    let claims = super::verified(token["value"].as_str().unwrap(), &keys).unwrap();
    assert_eq!(claims["agent_id"], "a-7");
    assert_eq!(claims["aud"], "https://writ.example");
}
