//! Nothing that is worth something to a thief is in a trace.

use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use super::KEY;
use super::collector::Collector;
use crate::support::broker::{API_TOKEN, BILLING_SECRET, ENVIRONMENT, HOOK_SECRET, REPO};
use crate::support::process::Ground;

const SECRET: &str = "stored-secret-canary-77e1";

#[tokio::test]
async fn p8_no_secret_is_in_what_a_collector_gets() {
    let ground = Ground::new().await;
    let mut collector = Collector::beside(&ground, "1").await;
    let server = ground.start().await;
    ground.put_secret("ci/prod/db", SECRET).await;
    let client = ground.client();
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    let key = SessionKey::generate().unwrap();
    let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
    let id_token = client.id_token(&run.jobs[0], &audience).await;
    let own = client.exchange_token(&id_token, Some(&key), &[]).await;
    own.assert_issued();
    let renewed = client
        .renew(&own, &key, &[("audience", "https://billing.example")])
        .await;
    renewed.assert_issued();
    assert_eq!(
        client
            .secret("ci/prod/db", &own, Some(&key))
            .await
            .text("value"),
        SECRET
    );
    let svid = client.svid("https://db.example", &own, Some(&key)).await;
    assert!(client.is_active(&renewed).await);
    client.revoke(own.text("refresh_token")).await;
    for route in [
        "POST /oauth2/token",
        "GET /api/v1/secret/{*path}",
        "POST /api/v1/svid/jwt",
        "POST /oauth2/introspect",
        "POST /oauth2/revoke",
    ] {
        collector.request(route).await;
    }
    server.stop().await;

    let kept = collector.kept();
    let text = String::from_utf8_lossy(&kept);
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for (what, canary) in [
        ("the ID token", signature(&id_token)),
        ("the access token", signature(own.text("access_token"))),
        ("the renewed token", signature(renewed.text("access_token"))),
        ("the JWT-SVID", signature(svid.text("svid"))),
        ("the handle", own.text("refresh_token").to_owned()),
        ("the secret", SECRET.to_owned()),
        ("the path of the secret", "ci/prod/db".to_owned()),
        ("the API's token", API_TOKEN.to_owned()),
        ("the webhook's secret", HOOK_SECRET.to_owned()),
        ("the resource server's secret", BILLING_SECRET.to_owned()),
        ("the collector's own token", KEY.to_owned()),
        ("the key's thumbprint", key.thumbprint().clone()),
        ("the repository", REPO.to_owned()),
        ("the beginning of a token", "eyJ".to_owned()),
    ] {
        assert!(
            canary.len() > 2 && !text.contains(&canary),
            "{what} is in the export"
        );
    }
    // What is looked for would be found: the export is not encoded.
    assert!(text.contains(own.text("task_name")), "{text}");
}
