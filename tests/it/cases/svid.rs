//! A workload of this trust domain works on a case: it shows a JWT-SVID that it got in the task where it is
//! at work already. The SVID is worth as much as that task.

use std::time::Duration;

use serde_json::json;
use writ::broker::revoke::{Ending, TaskRef};
use writ_practice::client::SessionKey;

use super::{DESK, details};
use crate::support::broker::Broker;
use crate::support::client::{Answer, Client, ID_TOKEN};
use crate::support::held::{order, two_jobs};

/// A deployment, which may prove who it is to the broker, and to a database.
const JOB: &str = r#"
[[profile]]
name = "deploy"
source = "github"
match = { repository_id = "{repo}", environment = "production" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"
token_ttl = "{ttl}"
[profile.grant.deploy]
audiences = ["https://deploy.example"]
jwt_svids = ["{issuer}", "https://db.example"]
x509_svid = true
"#;

/// The same workload, known by its SVID, at work on a case.
const CASE: &str = r#"
[[source]]
name = "own"
preset = "jwt-svid"
issuer = "{issuer}/svid"

[[profile]]
name = "repair"
source = "own"
match = { spiffe_id = "spiffe://test.example/github/{owner}/{repo}/environment/production" }
case_of = "desk"
opens_when = { assignee = "spiffe_id" }
instance = "{lineage}"
[[profile.binding]]
record = "case"
require = { status = "open" }
max_age = "60s"
via = ["pull"]
[profile.grant.case]
audiences = ["https://billing.example"]
"#;

/// A job with a token of its own, and a case that names its workload.
pub(super) struct Job {
    pub(super) broker: Broker,
    pub(super) client: Client,
    pub(super) key: SessionKey,
    pub(super) token: Answer,
}

impl Job {
    pub(super) async fn new() -> Self {
        Self::holding("5m").await
    }

    /// A job whose tokens end so soon.
    pub(super) async fn holding(ttl: &str) -> Self {
        let job = JOB.replace("{ttl}", ttl);
        let broker = Broker::with(&format!("{DESK}{job}{CASE}")).await;
        let run = two_jobs(&broker).await;
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let token = client.exchange(&run.jobs[0], Some(&key), &[]).await;
        token.assert_issued();
        let seen = format!(
            "spiffe://test.example/github/{}/{}/environment/production",
            broker.repo.owner_id, broker.repo.repository_id
        );
        broker.desk().open("4711", "AC-9", Some(&seen)).unwrap();
        Self {
            broker,
            client,
            key,
            token,
        }
    }

    pub(super) async fn svid(&self, audience: &str) -> String {
        let answer = self
            .client
            .svid(audience, &self.token, Some(&self.key))
            .await;
        answer.text("svid").to_owned()
    }

    /// Shows evidence for the case.
    pub(super) async fn ask(&self, evidence: &str, key: &SessionKey) -> Answer {
        let named = details("desk/case/4711");
        let more = [
            ("authorization_details", named.as_str()),
            ("audience", "https://billing.example"),
        ];
        self.client.exchange_token(evidence, Some(key), &more).await
    }

    async fn renew(&self, first: &Answer, key: &SessionKey, svid: &str) -> Answer {
        let fresh = [("subject_token", svid), ("subject_token_type", ID_TOKEN)];
        self.client.renew(first, key, &fresh).await
    }
}

#[tokio::test]
async fn a_workload_shows_its_svid_and_works_on_the_case_that_names_it() {
    let job = Job::new().await;
    let key = SessionKey::generate().unwrap();
    let first = job.ask(&job.svid(&job.broker.issuer).await, &key).await;
    first.assert_issued();
    assert_eq!(first.text("task_name"), "desk/case/4711");
    let seen = job.client.introspect(first.text("access_token")).await;
    assert_ne!(first.text("task"), job.token.text("task"));
    assert!(seen.text("sub").ends_with("/environment/production"));

    job.broker.pass(Duration::from_secs(2)).await;
    let quiet = job.client.renew(&first, &key, &[]).await;
    quiet.assert_refused(400, "evidence_required");
    let svid = job.svid(&job.broker.issuer).await;
    job.renew(&first, &key, &svid).await.assert_issued();
}

#[tokio::test]
async fn an_svid_is_worth_as_much_as_the_task_that_it_was_made_for() {
    for how in ["task", "session", "expired"] {
        let job = Job::new().await;
        let key = SessionKey::generate().unwrap();
        let first = job.ask(&job.svid(&job.broker.issuer).await, &key).await;
        first.assert_issued();
        job.broker.pass(Duration::from_secs(2)).await;
        let (late, later) = (
            job.svid(&job.broker.issuer).await,
            job.svid(&job.broker.issuer).await,
        );
        let code = match how {
            "task" => {
                let which = TaskRef::Id(job.token.text("task").parse().unwrap());
                let broker = &job.broker.wired.broker;
                let ended = broker.end_task(&which, Ending::Revoke, &order()).await;
                assert!(!ended.unwrap().already);
                "credential_revoked"
            }
            "session" => {
                let handle = job.token.text("refresh_token");
                assert_eq!(job.client.revoke(handle).await.status, 200);
                "credential_revoked"
            }
            _ => {
                job.broker.pass(Duration::from_secs(306)).await;
                "evidence_expired"
            }
        };
        let before = job.broker.recorded().await;
        job.renew(&first, &key, &late)
            .await
            .assert_refused(400, code);
        let other = SessionKey::generate().unwrap();
        job.ask(&later, &other).await.assert_refused(400, code);
        assert_eq!(job.broker.recorded().await, before, "{how}");
    }
}

#[tokio::test]
async fn an_svid_for_another_service_and_a_token_of_another_kind_are_no_evidence() {
    let job = Job::new().await;
    let key = SessionKey::generate().unwrap();
    let elsewhere = job.ask(&job.svid("https://db.example").await, &key).await;
    elsewhere.assert_refused(400, "evidence_invalid");
    assert_eq!(elsewhere.field(), "aud");
    let token = job.token.text("access_token").to_owned();
    job.ask(&token, &key)
        .await
        .assert_refused(400, "evidence_invalid");
    let svid = job.svid(&job.broker.issuer).await;
    let forged = format!("{}AAAA", &svid[..svid.len() - 4]);
    job.ask(&forged, &key)
        .await
        .assert_refused(400, "evidence_invalid");
    let unnamed = job.client.exchange_token(&svid, Some(&key), &[]).await;
    unnamed.assert_refused(400, "profile_unmatched");
    job.ask(&svid, &key).await.assert_issued();
    // Whoever copied it has another key.
    let thief = SessionKey::generate().unwrap();
    let before = job.broker.recorded().await;
    job.ask(&svid, &thief)
        .await
        .assert_refused(400, "evidence_replayed");
    assert_eq!(job.broker.recorded().await, before);
}

#[tokio::test]
async fn a_case_that_names_another_workload_is_not_opened_by_an_svid() {
    let job = Job::new().await;
    job.broker
        .desk()
        .assign("4711", Some("spiffe://test.example/github"))
        .await
        .unwrap();
    let key = SessionKey::generate().unwrap();
    let refused = job.ask(&job.svid(&job.broker.issuer).await, &key).await;
    refused.assert_refused(400, "context_mismatch");
    assert_eq!(refused.field(), "case.assignee");
    let tasks: Vec<_> = job.broker.wired.broker.tasks(None, 10).await.unwrap();
    assert!(
        tasks
            .iter()
            .all(|task| task.name.as_str() != "desk/case/4711"),
        "{tasks:?}"
    );
    assert_eq!(json!(refused.json["access_token"]), json!(null));
}
