//! What the OpenID Provider gives, to whom, and how it can be made to deviate.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_running_job_gets_a_token_that_verifies_and_a_completed_one_gets_none() {
    let guest = Guest::arrive().await;
    let run = guest
        .start(json!({ "name": "deploy", "environment": "eu:prod" }))
        .await;
    let job = &run["jobs"][0];
    let answer: Value = guest
        .id_token(job, "https%3A%2F%2Fwrit.example")
        .await
        .json()
        .await
        .unwrap();
    let token = answer["value"].as_str().unwrap();
    assert_eq!(answer["count"], token.len());
    let claims = verified(token, &jwks(&guest).await).expect("signed by a published key");
    assert_eq!(claims["iss"], guest.base);
    assert_eq!(claims["aud"], "https://writ.example");
    assert_eq!(
        claims["sub"],
        "repo:acme@40101/shop@812345:environment:eu%3Aprod"
    );
    assert_eq!(claims["run_id"], run["run_id"].to_string());
    assert_eq!(claims["check_run_id"], job["check_run_id"].to_string());
    assert_ne!(job["check_run_id"], job["job_id"]);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );

    let mut stranger = job.clone();
    stranger["request_token"] = json!("0000");
    assert_eq!(
        guest.id_token(&stranger, "a").await.status(),
        StatusCode::UNAUTHORIZED
    );

    guest
        .control(&format!("/jobs/{}/complete", job["job_id"]), json!({}))
        .await;
    let refused = guest.id_token(job, "a").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        body["message"],
        "Can't issue ID_TOKEN for job in 'Completed' state."
    );
    assert!(body.get("value").is_none());
}

#[tokio::test]
async fn every_claim_but_the_times_is_a_string_and_the_old_subject_form_can_be_had() {
    let guest = Guest::arrive().await;
    let repo = json!({ "owner": "acme", "name": "old", "subject": "legacy", "visibility": "public",
                       "properties": { "tier": "gold" } });
    guest.control("/repos", repo).await;
    let jobs = json!([{ "name": "test", "runner_environment": "self-hosted" }]);
    let spec = json!({ "repo": "acme/old", "event": "pull_request", "ref": "refs/pull/7/merge",
                       "head_ref": "fix", "base_ref": "main", "jobs": jobs });
    let run = guest.control("/runs", spec).await;
    let answer: Value = guest
        .id_token(&run["jobs"][0], "a")
        .await
        .json()
        .await
        .unwrap();
    let claims = verified(answer["value"].as_str().unwrap(), &jwks(&guest).await).unwrap();
    assert_eq!(claims["sub"], "repo:acme/old:pull_request");
    assert_eq!(claims["repo_property_tier"], "gold");
    assert_eq!(claims["runner_environment"], "self-hosted");
    assert_eq!(
        claims["workflow_ref"],
        "acme/old/.github/workflows/deploy.yml@refs/pull/7/merge"
    );
    assert!(claims.get("environment").is_none());
    for (name, value) in claims.as_object().unwrap() {
        let is_time = ["iat", "nbf", "exp"].contains(&name.as_str());
        assert_eq!(value.is_string(), !is_time, "{name}");
    }
}

#[tokio::test]
async fn discovery_names_the_issuer_and_the_keys_that_rotation_changes() {
    let guest = Guest::arrive().await;
    let found: Value = guest.json("/.well-known/openid-configuration").await;
    assert_eq!(found["issuer"], guest.base);
    assert_eq!(
        found["jwks_uri"],
        format!("{}/.well-known/jwks", guest.base)
    );
    let run = guest.start(json!({ "name": "deploy" })).await;
    let before = jwks(&guest).await;
    guest.control("/keys/rotate", json!({})).await;
    let answer: Value = guest
        .id_token(&run["jobs"][0], "a")
        .await
        .json()
        .await
        .unwrap();
    let token = answer["value"].as_str().unwrap();
    assert!(
        verified(token, &before).is_none(),
        "the old set does not hold the next key"
    );
    assert!(verified(token, &jwks(&guest).await).is_some());
    let unknown = json!({ "published": ["mine"], "signing": "mine" });
    assert_eq!(guest.put("/keys", unknown).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dishonest_tokens_are_what_they_were_ordered_to_be() {
    let guest = Guest::arrive().await;
    let run = guest.start(json!({ "name": "deploy" })).await;
    let order = json!({ "job_id": run["jobs"][0]["job_id"], "audience": "a",
                        "claims": { "exp": 4_102_444_800_i64, "jti": null, "extra": [1] } });
    let minted = guest.control("/mint", order).await;
    let published = jwks(&guest).await;
    let claims = verified(minted["value"].as_str().unwrap(), &published).unwrap();
    assert_eq!(
        (&claims["exp"], &claims["extra"]),
        (&json!(4_102_444_800_i64), &json!([1]))
    );
    assert!(claims.get("jti").is_none());
    assert_eq!(claims["run_id"], run["run_id"].to_string());

    let site = guest.world.site("").unwrap();
    let foreign = Mint {
        key: Some("writ-practice-test-4".to_owned()),
        ..Mint::default()
    };
    assert!(verified(&site.mint(foreign).unwrap(), &published).is_none());
    let tampered = Mint {
        signature: SignatureForm::Tampered,
        ..Mint::default()
    };
    assert!(verified(&site.mint(tampered).unwrap(), &published).is_none());
    let unsigned = site
        .mint(Mint {
            alg: Alg::Unsigned,
            ..Mint::default()
        })
        .unwrap();
    assert!(unsigned.ends_with('.'));
    let confused = site
        .mint(Mint {
            alg: Alg::HS256,
            ..Mint::default()
        })
        .unwrap();
    assert!(verified(&confused, &published).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_of_distinct_runs_that_exist() {
    let guest = Guest::arrive().await;
    let run = json!({ "repo": "acme/shop", "jobs": [{ "name": "load" }] });
    let order = json!({ "count": 7, "run": run, "audiences": ["a", "b"], "lifetime_secs": 900 });
    let batch = guest.control("/mint_many", order).await;
    let published = jwks(&guest).await;
    let tokens = batch["tokens"].as_array().unwrap();
    let claims: Vec<Value> = tokens
        .iter()
        .map(|t| verified(t.as_str().unwrap(), &published).unwrap())
        .collect();
    let runs: BTreeSet<&str> = claims
        .iter()
        .map(|c| c["run_id"].as_str().unwrap())
        .collect();
    assert_eq!(runs.len(), 7);
    assert_eq!(claims.iter().filter(|c| c["aud"] == "a").count(), 4);
    let last = runs.iter().next_back().unwrap();
    let shown = guest.api_json(&format!("/actions/runs/{last}")).await;
    assert_eq!(shown["status"], "in_progress");
    let too_many = json!({ "count": 100_001, "run": run, "audiences": ["a"] });
    let url = format!("{}/control/mint_many", guest.base);
    let refused = guest.http.post(url).json(&too_many).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}
