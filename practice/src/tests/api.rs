//! What the API shows of runs and environments, and to whom.

use super::*;

#[tokio::test]
async fn a_run_is_shown_only_to_the_token_and_only_in_its_repository() {
    let guest = Guest::arrive().await;
    let run = guest
        .start(json!({ "name": "deploy", "environment": "prod" }))
        .await;
    let (id, job) = (run["run_id"].to_string(), &run["jobs"][0]);
    let path = format!("/api/repos/acme/shop/actions/runs/{id}");
    assert_eq!(
        guest.get(&path).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );

    let shown = guest.api_json(&format!("/actions/runs/{id}")).await;
    assert_eq!(shown["status"], "in_progress");
    assert_eq!(shown["repository"]["id"], 812_345);
    let check_run = guest
        .api_json(&format!("/check-runs/{}", job["check_run_id"]))
        .await;
    assert_eq!(check_run["status"], "in_progress");
    assert_eq!(check_run["deployment"]["environment"], "prod");

    for path in [
        format!("/actions/runs/{id}/attempts/3"),
        "/check-runs/1".to_owned(),
    ] {
        assert_eq!(
            guest.api(&path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    guest
        .control("/repos", json!({ "owner": "acme", "name": "other" }))
        .await;
    let elsewhere = format!("{}/api/repos/acme/other/actions/runs/{id}", guest.base);
    let asked = guest.http.get(elsewhere).bearer_auth("practice-api-token");
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_that_was_run_again_shows_each_attempt_with_its_own_jobs() {
    let guest = Guest::arrive().await;
    let run = guest.start(json!({ "name": "deploy" })).await;
    let (id, job) = (run["run_id"].to_string(), &run["jobs"][0]);
    guest
        .control(&format!("/runs/{id}/cancel"), json!({}))
        .await;
    guest.control(&format!("/runs/{id}/rerun"), json!({})).await;
    let latest = guest.api_json(&format!("/actions/runs/{id}")).await;
    assert_eq!(
        (&latest["run_attempt"], &latest["status"]),
        (&json!(2), &json!("in_progress"))
    );
    let first = guest
        .api_json(&format!("/actions/runs/{id}/attempts/1"))
        .await;
    assert_eq!(
        (&first["status"], &first["conclusion"]),
        (&json!("completed"), &json!("cancelled"))
    );
    let old_job = guest
        .api_json(&format!("/actions/jobs/{}", job["job_id"]))
        .await;
    assert_eq!(
        (&old_job["run_attempt"], &old_job["conclusion"]),
        (&json!(1), &json!("cancelled"))
    );
    let jobs = guest
        .api_json(&format!("/actions/runs/{id}/jobs?filter=all"))
        .await;
    assert_eq!(jobs["total_count"], 2);
    let jobs = guest
        .api_json(&format!("/actions/runs/{id}/attempts/2/jobs"))
        .await;
    assert_ne!(jobs["jobs"][0]["id"], job["job_id"]);
}

#[tokio::test]
async fn asking_again_with_the_etag_is_free_and_the_budget_ends() {
    let guest = Guest::arrive().await;
    let run = guest.start(json!({ "name": "deploy" })).await;
    assert_eq!(
        guest.put("/rate_limit", json!({ "limit": 1 })).await,
        StatusCode::OK
    );
    let path = format!("/actions/runs/{}", run["run_id"]);
    let first = guest.api(&path).await;
    assert_eq!(first.headers()["x-ratelimit-remaining"], "0");
    let etag = first.headers()["etag"].clone();
    let url = format!("{}/api/repos/acme/shop{path}", guest.base);
    let again = guest.http.get(&url).bearer_auth("practice-api-token");
    let again = again.header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(guest.api(&path).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn editing_an_environment_keeps_its_id_and_making_it_anew_does_not() {
    let guest = Guest::arrive().await;
    let rules = json!({ "wait_timer": 30, "branch_policy": "protected",
                        "required_reviewers": [{ "type": "Team", "id": 5, "login": "ops" }] });
    let prod = json!({ "repo": "acme/shop", "name": "eu/prod", "rules": rules });
    let made = guest.control("/environments", prod).await;
    let shown = guest.api_json("/environments/eu%2Fprod").await;
    assert_eq!(shown["id"], made["environment_id"]);
    let kinds: Vec<_> = shown["protection_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["type"].clone())
        .collect();
    assert_eq!(kinds, ["wait_timer", "required_reviewers", "branch_policy"]);
    assert_eq!(
        shown["deployment_branch_policy"]["protected_branches"],
        true
    );

    guest.put("/clock", json!({ "offset_secs": 60 })).await;
    let bare = json!({ "repo": "acme/shop", "name": "eu/prod" });
    assert_eq!(
        guest.put("/environments", bare.clone()).await,
        StatusCode::OK
    );
    let edited = guest.api_json("/environments/eu%2Fprod").await;
    assert_eq!(edited["id"], shown["id"]);
    assert_eq!(edited["protection_rules"], json!([]));
    assert_ne!(edited["updated_at"], shown["updated_at"]);
    guest.control("/environments/recreate", bare).await;
    let other = guest.api_json("/environments/eu%2Fprod").await;
    assert_ne!(other["id"], shown["id"]);
}
