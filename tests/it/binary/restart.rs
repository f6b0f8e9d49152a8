//! A server that was started again has met no task: it judges evidence by what stands all the same.

use writ_practice::client::SessionKey;
use writ_practice::{Mint, StartJob, StartRun, StartedRun};

use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::Answer;
use crate::support::process::Ground;

/// A job that has what it asked for, and the server that gave it is gone.
struct Left {
    ground: Ground,
    run: StartedRun,
    key: SessionKey,
    token: String,
    first: Answer,
}

impl Left {
    async fn new() -> Self {
        let (ground, key) = (Ground::new().await, SessionKey::generate().unwrap());
        let server = ground.start().await;
        let jobs = vec![StartJob::new("deploy").in_environment(ENVIRONMENT)];
        let run = ground.site().start_run(StartRun::new(REPO, jobs)).await;
        let run = run.unwrap();
        let client = ground.client();
        let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
        let token = client.id_token(&run.jobs[0], &audience).await;
        let first = client.exchange_token(&token, Some(&key), &[]).await;
        first.assert_issued();
        server.stop().await;
        Self {
            ground,
            run,
            key,
            token,
            first,
        }
    }

    async fn in_a_freeze_of(scope: &[&str]) -> Self {
        let left = Self::new().await;
        let server = left.ground.start().await;
        let freeze = [&["freeze"], scope, &["--until", "1h"]].concat();
        let said = left.ground.operator(&freeze, "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        server.stop().await;
        left
    }

    /// The same job's evidence, of another owner.
    async fn impostor(&self) -> Answer {
        let client = self.ground.client();
        let audience = format!("{}/jkt/{}", client.issuer, self.key.thumbprint());
        let claims = [("repository_owner_id".to_owned(), "424242".into())];
        let mint = Mint {
            job_id: Some(self.run.jobs[0].job_id),
            audience: Some(audience),
            claims: claims.into_iter().collect(),
            ..Mint::default()
        };
        let token = self.ground.site().mint(mint).unwrap();
        client.exchange_token(&token, Some(&self.key), &[]).await
    }

    async fn recorded(&self) -> usize {
        let show = ["task", "show", self.first.text("task"), "-o", "json"];
        let shown = self.ground.operator(&show, "").await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        let task: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        task["credentials"].as_array().unwrap().len()
    }
}

#[tokio::test]
async fn evidence_shown_again_gives_its_key_the_same_session_and_nobody_else_anything() {
    let left = Left::new().await;
    let server = left.ground.start().await;
    let client = left.ground.client();
    let before = left.recorded().await;

    let other = SessionKey::generate().unwrap();
    let stolen = client.exchange_token(&left.token, Some(&other), &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    assert_eq!(left.recorded().await, before);

    let again = client
        .exchange_token(&left.token, Some(&left.key), &[])
        .await;
    again.assert_issued();
    for name in ["task", "lineage", "refresh_token"] {
        assert_eq!(again.text(name), left.first.text(name));
    }
    server.stop().await;
}

#[tokio::test]
async fn another_identity_is_refused_and_ends_the_lineage() {
    let left = Left::new().await;
    let server = left.ground.start().await;
    let client = left.ground.client();
    let before = left.recorded().await;

    let impostor = left.impostor().await;
    impostor.assert_refused(400, "identity_mismatch");
    assert_eq!(left.recorded().await, before);
    let renewed = client.renew(&left.first, &left.key, &[]).await;
    renewed.assert_refused(400, "lineage_ended");
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_was_revoked_before_gives_nothing() {
    let left = Left::new().await;
    let server = left.ground.start().await;
    let (client, task) = (left.ground.client(), left.first.text("task"));
    let revoke = ["task", "revoke", task, "--reason", "leaked"];
    let said = left.ground.operator(&revoke, "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    server.stop().await;

    let server = left.ground.start().await;
    let before = left.recorded().await;
    for key in [&left.key, &SessionKey::generate().unwrap()] {
        let fresh = client.exchange(&left.run.jobs[0], Some(key), &[]).await;
        fresh.assert_refused(400, "task_revoked");
    }
    assert_eq!(left.recorded().await, before);
    server.stop().await;
}

#[tokio::test]
async fn in_a_freeze_whoever_is_denied_is_told_so_and_what_has_to_end_ends() {
    let left = Left::in_a_freeze_of(&["all"]).await;
    let server = left.ground.start().await;
    let (client, before) = (left.ground.client(), left.recorded().await);
    let impostor = left.impostor().await;
    impostor.assert_refused(400, "identity_mismatch");
    // A client that waited for the thaw would wait for nothing.
    let renewed = client.renew(&left.first, &left.key, &[]).await;
    renewed.assert_refused(400, "lineage_ended");
    assert_eq!(left.recorded().await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_freeze_holds_for_those_that_nothing_else_refuses() {
    let left = Left::in_a_freeze_of(&["profile", "deploy"]).await;
    let server = left.ground.start().await;
    let (client, before) = (left.ground.client(), left.recorded().await);
    let key = SessionKey::generate().unwrap();
    for key in [&left.key, &key] {
        let fresh = client.exchange(&left.run.jobs[0], Some(key), &[]).await;
        fresh.assert_refused(503, "frozen");
    }
    assert_eq!(left.recorded().await, before);
    server.stop().await;
}
