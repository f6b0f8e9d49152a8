//! Who a token speaks of: immutable ids, the run, and the circumstances that a profile has to name.

use serde_json::{Value, json};
use writ_practice::client::SessionKey;
use writ_practice::{NewRepo, RunnerEnvironment, StartJob, StartRun};

use crate::support::broker::{Broker, ENVIRONMENT, REPO};
use crate::support::client::{Answer, run_with};
use crate::support::forge::{
    OPEN, after_hints, assert_none, bearer, bound, credentials, honest, job, mint, tasks,
    with_claims,
};
use crate::support::profiles::DEPLOY;
use crate::support::trap::Trap;

#[tokio::test]
async fn a17_an_unknown_issuer_is_refused_before_anybody_is_asked() {
    let broker = Broker::with(OPEN).await;
    let (job, trap) = (job(&broker).await, Trap::set().await);
    let known = broker.site().issuer().to_owned();
    for issuer in [
        trap.url.clone(),
        format!("{known}/"),
        format!("{known}/octo"),
        known.to_uppercase(),
        known.replace("127.0.0.1", "localhost"),
        format!("{known}#"),
        format!("{known}?a=b"),
        String::new(),
        broker.issuer.clone(),
        "https://token.actions.githubusercontent.com".to_owned(),
    ] {
        let token = with_claims(&broker, &job, json!({ "iss": issuer }));
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        assert_eq!(answer.code(), "evidence_invalid", "{issuer}: {answer:?}");
        answer.assert_refused(400, "evidence_invalid");
    }
    trap.assert_untouched().await;
    let asked = broker.site().faults().requests();
    assert!(asked.targets.is_empty(), "{asked:?}");
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn a27_a_repository_registered_again_under_the_old_name_is_another() {
    let broker = Broker::with(DEPLOY).await;
    let run = run_with(
        &broker,
        vec![StartJob::new("deploy").in_environment(ENVIRONMENT)],
    )
    .await;
    let foreign = (broker.repo.repository_id + 1).to_string();
    let client = broker.client();
    for (claim, value) in [
        ("repository_id", json!(foreign)),
        (
            "repository_id",
            json!(format!("0{}", broker.repo.repository_id)),
        ),
        (
            "repository_id",
            json!(format!("{}0", broker.repo.repository_id)),
        ),
    ] {
        let token = with_claims(&broker, &run.jobs[0], json!({ claim: value }));
        let answer = client.exchange_token(&token, None, &[]).await;
        answer.assert_refused(400, "profile_unmatched");
        assert_eq!(answer.field(), "repository_id");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

#[tokio::test]
async fn a27_another_repository_of_the_same_owner_is_another() {
    let broker = Broker::with(OPEN).await;
    let site = broker.site();
    site.create_repo(NewRepo::new("octo", "other")).unwrap();
    let run = site
        .start_run(StartRun::new("octo/other", vec![StartJob::new("a")]))
        .await
        .unwrap();
    // Its own name is as good as any: names identify nothing.
    let token = with_claims(&broker, &run.jobs[0], json!({ "repository": REPO }));
    let answer = broker.client().exchange_token(&token, None, &[]).await;
    answer.assert_refused(400, "profile_unmatched");
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}

async fn started(broker: &Broker, run: StartRun) -> Answer {
    let run = broker.site().start_run(run).await.unwrap();
    broker.site().hooks().settle().await.unwrap();
    after_hints(broker).await;
    let token = bearer(broker, &run.jobs[0]);
    broker.client().exchange_token(&token, None, &[]).await
}

#[tokio::test]
async fn a28_a_pull_request_is_refused_unless_the_profile_names_it() {
    let pull = |event: &str, reference: &str| StartRun {
        event: event.to_owned(),
        git_ref: Some(reference.to_owned()),
        ..StartRun::new(REPO, vec![StartJob::new("a")])
    };
    let broker = Broker::with(OPEN).await;
    for (event, reference) in [
        ("pull_request", "refs/pull/7/merge"),
        ("pull_request_target", "refs/heads/main"),
        ("pull_request_review", "refs/pull/7/merge"),
        ("push", "refs/pull/7/head"),
    ] {
        let answer = started(&broker, pull(event, reference)).await;
        answer.assert_refused(400, "pull_request_refused");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let allowed = OPEN.replace(
        "[[profile.binding]]",
        "allow = [\"pull-request\"]\n[[profile.binding]]",
    );
    let broker = Broker::with(&allowed).await;
    started(&broker, pull("pull_request", "refs/pull/7/merge"))
        .await
        .assert_issued();
}

#[tokio::test]
async fn a28_a_self_hosted_runner_is_refused_unless_the_profile_names_it() {
    let job = StartJob {
        runner_environment: RunnerEnvironment::SelfHosted,
        ..StartJob::new("a")
    };
    let run = StartRun::new(REPO, vec![job]);
    let broker = Broker::with(OPEN).await;
    let answer = started(&broker, run.clone()).await;
    answer.assert_refused(400, "self_hosted_refused");
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let allowed = OPEN.replace(
        "[[profile.binding]]",
        "allow = [\"self-hosted\"]\n[[profile.binding]]",
    );
    let broker = Broker::with(&allowed).await;
    started(&broker, run).await.assert_issued();
}

#[tokio::test]
async fn a28_a_job_without_the_environment_or_of_another_workflow_is_refused() {
    let broker = Broker::with(DEPLOY).await;
    let outside = job(&broker).await;
    let answer = broker
        .client()
        .exchange_token(&bearer(&broker, &outside), None, &[])
        .await;
    answer.assert_refused(400, "profile_unmatched");
    assert_eq!(answer.field(), "environment");
    for other in ["Production", "production ", "production/x", "prod"] {
        let token = with_claims(&broker, &outside, json!({ "environment": other }));
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        answer.assert_refused(400, "profile_unmatched");
        assert_eq!(answer.field(), "environment");
    }
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
    let main = "octo/app/.github/workflows/deploy.yml@refs/heads/main";
    let pinned = OPEN.replace(
        "repository_id = \"{repo}\"",
        &format!("repository_id = \"{{repo}}\", job_workflow_ref = \"{main}\""),
    );
    let broker = Broker::with(&pinned).await;
    let job = job(&broker).await;
    for other in [
        "octo/app/.github/workflows/deploy.yml@refs/heads/feature",
        "octo/app/.github/workflows/deploy.yml@refs/heads/main2",
        "evil/app/.github/workflows/deploy.yml@refs/heads/main",
        "octo/app/.github/workflows/Deploy.yml@refs/heads/main",
    ] {
        let token = with_claims(&broker, &job, json!({ "job_workflow_ref": other }));
        let answer = broker.client().exchange_token(&token, None, &[]).await;
        answer.assert_refused(400, "profile_unmatched");
        assert_eq!(answer.field(), "job_workflow_ref");
    }
    let token = with_claims(&broker, &job, json!({ "job_workflow_ref": main }));
    broker
        .client()
        .exchange_token(&token, None, &[])
        .await
        .assert_issued();
}

/// `sub` has an old and a new form, and a rename changes it: none of that is another workload.
#[tokio::test]
async fn a29_the_form_of_the_subject_decides_nothing() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let mut lineages = Vec::new();
    for sub in [
        "repo:octo/app:ref:refs/heads/main",
        "repo:octo@1/app@2:ref:refs/heads/main",
        "repo:renamed/app:ref:refs/heads/main",
        "anything",
    ] {
        let token = with_claims(&broker, &job, json!({ "sub": sub }));
        let answer = client.exchange_token(&token, None, &[]).await;
        answer.assert_issued();
        lineages.push(answer.text("lineage").to_owned());
    }
    lineages.dedup();
    assert_eq!(lineages.len(), 1, "{lineages:?}");
}

#[tokio::test]
async fn a30_the_same_token_twice_opens_one_task_and_gives_one_credential() {
    let broker = Broker::with(OPEN).await;
    let (client, token) = (broker.client(), bearer(&broker, &job(&broker).await));
    client
        .exchange_token(&token, None, &[])
        .await
        .assert_issued();
    let again = client.exchange_token(&token, None, &[]).await;
    again.assert_refused(400, "evidence_replayed");
    assert_eq!(again.text("error"), "invalid_request");
    assert_eq!(tasks(&broker).await.len(), 1);
    assert_eq!(credentials(&broker).await.len(), 1);
}

#[tokio::test]
async fn a30_another_attempt_of_a_run_is_another_task() {
    let broker = Broker::with(OPEN).await;
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let site = broker.site();
    let run = run_with(&broker, vec![StartJob::new("a")]).await;
    after_hints(&broker).await;
    let first = client
        .exchange_token(&bound(&broker, &run.jobs[0], &key), Some(&key), &[])
        .await;
    first.assert_issued();
    site.complete_run(run.run_id, writ_practice::Conclusion::Failure)
        .await
        .unwrap();
    let rerun = site.rerun(run.run_id).await.unwrap();
    site.hooks().settle().await.unwrap();
    after_hints(&broker).await;
    let second = client
        .exchange_token(&bound(&broker, &rerun.jobs[0], &key), Some(&key), &[])
        .await;
    second.assert_issued();
    assert_ne!(first.text("task"), second.text("task"));
    assert_ne!(first.text("refresh_token"), second.text("refresh_token"));
    let name = |answer: &Answer| {
        answer
            .text("task_name")
            .rsplit_once('/')
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(
        (name(&first), name(&second)),
        ("1".to_owned(), "2".to_owned())
    );
    // Fresh evidence of the second attempt does not renew what the first was given.
    let fresh = mint(&broker, honest(&broker, &rerun.jobs[0], &broker.issuer));
    let with = [
        ("subject_token", fresh.as_str()),
        ("subject_token_type", crate::support::client::ID_TOKEN),
    ];
    let crossed = client.renew(&first, &key, &with).await;
    crossed.assert_refused(400, "profile_unmatched");
}

/// One instance of a task under another identity is somebody else at work: it ends the lineage.
#[tokio::test]
async fn another_identity_in_the_same_job_ends_the_lineage() {
    let broker = Broker::with(OPEN).await;
    let (client, job) = (broker.client(), job(&broker).await);
    let first = client
        .exchange_token(&bearer(&broker, &job), None, &[])
        .await;
    assert!(client.is_active(&first).await);
    let other = with_claims(&broker, &job, json!({ "ref": "refs/heads/other" }));
    let answer = client.exchange_token(&other, None, &[]).await;
    answer.assert_refused(400, "identity_mismatch");
    assert!(!client.is_active(&first).await);
    let honest = client
        .exchange_token(&bearer(&broker, &job), None, &[])
        .await;
    honest.assert_refused(400, "lineage_ended");
}

#[tokio::test]
async fn a_claim_that_the_task_is_named_by_is_missed_by_name() {
    let broker = Broker::with(OPEN).await;
    let job = job(&broker).await;
    let token = with_claims(&broker, &job, json!({ "check_run_id": Value::Null }));
    let answer = broker.client().exchange_token(&token, None, &[]).await;
    answer.assert_refused(400, "profile_unmatched");
    assert!(answer.text("error_description").contains("check_run_id"));
    assert_none(&tasks(&broker).await, &credentials(&broker).await);
}
