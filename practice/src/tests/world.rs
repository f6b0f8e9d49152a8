//! The world as a whole: faults, several issuers, start and end.

use super::*;

#[tokio::test]
async fn faults_break_their_target_alone_and_can_be_mended() {
    let guest = Guest::arrive().await;
    let run = guest.start(json!({ "name": "deploy" })).await;
    guest
        .fault(json!({ "target": "jwks", "mode": "down" }))
        .await;
    guest
        .fault(json!({ "target": "api", "mode": "html" }))
        .await;
    guest
        .fault(json!({ "target": "runs", "mode": "garbage" }))
        .await;
    guest
        .fault(json!({ "target": "token", "mode": "not_found", "delay_ms": 1 }))
        .await;
    let down = guest.get("/.well-known/jwks").await;
    assert!(
        down.unwrap_err().status().is_none(),
        "closed without an answer"
    );
    let page = guest.api("/environments/prod").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let garbage = guest.api(&format!("/actions/runs/{}", run["run_id"])).await;
    assert!(garbage.json::<Value>().await.unwrap_err().is_decode());
    assert_eq!(
        guest.id_token(&run["jobs"][0], "a").await.status(),
        StatusCode::NOT_FOUND
    );
    let fine = guest
        .get("/.well-known/openid-configuration")
        .await
        .unwrap();
    assert_eq!(fine.status(), StatusCode::OK);

    guest.fault(json!({ "target": "jwks", "mode": "ok" })).await;
    assert_eq!(
        guest.get("/.well-known/jwks").await.unwrap().status(),
        StatusCode::OK
    );
    let seen: Value = guest.json("/control/requests").await;
    assert_eq!(
        seen["targets"],
        json!({ "discovery": 1, "jwks": 2, "token": 1, "api": 2,
                                        "runs": 1, "environments": 1 })
    );
    let log = guest.world.site("").unwrap().faults().requests();
    assert_eq!(log.of(Target::Jwks), 2);
}

#[tokio::test]
async fn two_issuers_have_runs_of_the_same_id_and_nothing_in_common() {
    let issuers = vec![String::new(), "/other".to_owned()];
    let guest = Guest::with(Options {
        issuers,
        ..Options::default()
    })
    .await;
    let mut other = Guest::arrive().await;
    other.base = format!("{}/other", guest.base);
    other
        .control("/repos", json!({ "owner": "acme", "name": "shop" }))
        .await;
    let ours = guest.start(json!({ "name": "deploy" })).await;
    let theirs = other.start(json!({ "name": "deploy" })).await;
    assert_eq!(ours["run_id"], theirs["run_id"]);
    let answer: Value = other
        .id_token(&theirs["jobs"][0], "a")
        .await
        .json()
        .await
        .unwrap();
    let claims = verified(answer["value"].as_str().unwrap(), &jwks(&other).await).unwrap();
    assert_eq!(claims["iss"], format!("{}/other", guest.base));

    let mut crossed = ours["jobs"][0].clone();
    crossed["request_token"] = theirs["jobs"][0]["request_token"].clone();
    assert_eq!(
        guest.id_token(&crossed, "a").await.status(),
        StatusCode::UNAUTHORIZED
    );
    other
        .control(&format!("/runs/{}/cancel", theirs["run_id"]), json!({}))
        .await;
    assert_eq!(
        guest.id_token(&ours["jobs"][0], "a").await.status(),
        StatusCode::OK
    );
    other
        .control("/faults", json!({ "target": "jwks", "mode": "down" }))
        .await;
    assert_eq!(
        guest.get("/.well-known/jwks").await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_world_is_not_started_beyond_loopback_or_under_an_unclear_prefix() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let open = World::start(Options {
        listen,
        ..Options::default()
    })
    .await;
    assert!(matches!(open, Err(WorldError::Invalid(_))));
    for prefix in ["other", "/", "/a/b", "/control", "/a?b"] {
        let issuers = vec![prefix.to_owned()];
        let refused = World::start(Options {
            issuers,
            ..Options::default()
        })
        .await;
        assert!(matches!(refused, Err(WorldError::Invalid(_))), "{prefix}");
    }
}

#[tokio::test]
async fn a_stopped_world_answers_no_more() {
    let guest = Guest::arrive().await;
    guest.world.stop().await;
    let url = format!("{}/.well-known/jwks", guest.base);
    assert!(
        guest
            .http
            .get(url)
            .send()
            .await
            .unwrap_err()
            .status()
            .is_none()
    );
}
