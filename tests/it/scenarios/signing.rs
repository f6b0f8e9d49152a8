//! A release job has artefacts signed. Before each signature its provenance, its environment and the approval that
//! stands before that environment are looked at again: one artefact, one decision, one signature.

use std::time::Duration;

use serde_json::{Value, json};
use writ_practice::client::SessionKey;

use super::subject;
use crate::support::broker::{BILLING_SECRET, ENVIRONMENT, REPO, environment};
use crate::support::client::Answer;
use crate::support::held::Held;

/// The environment lets nobody in without approval, and must not change while the job is at work. What is signed
/// was built from the commit that the run is for, by the workflow that the run is of.
const RELEASE: &str = r#"
[[profile]]
name = "release"
source = "github"
match = { repository_id = "{repo}", environment = "production" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"

[[profile.binding]]
record = "pipeline"
require = { status = "in_progress" }
pin = ["head_sha", "workflow"]
max_age = "30s"
via = ["pull"]

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "30s"
via = ["issuer-proof", "pull"]

[[profile.binding]]
record = "environment"
require = { protected = "true" }
pin = ["id", "protection_rules"]
max_age = "30s"
via = ["pull"]

[profile.grant.sign]
audiences = ["https://billing.example"]
writes = ["sign"]
uses = 3

[[profile.grant.sign.resource]]
type = "artifact"
id = "sha256:*"
properties = { commit = "{pipeline.head_sha}", workflow = "{pipeline.workflow}" }
"#;

/// A job that has its artefacts signed.
struct Release {
    held: Held,
    subject: Value,
    commit: String,
    workflow: String,
}

impl Release {
    async fn new() -> Self {
        let held = Held::asking(RELEASE, &[]).await;
        let service = [("audience", "https://billing.example")];
        let shown = held.client.renew(&held.first, &held.key, &service).await;
        shown.assert_issued();
        let subject = subject(&held.client, &shown, &held.key).await;
        let first = &held.broker.log().await[0];
        let pin = |name: &str| {
            let mut bindings = first.writes.iter().filter_map(|write| match write {
                writ::ledger::change::Write::Lineage(lineage) => Some(&lineage.bindings),
                _ => None,
            });
            let bindings = bindings.next().unwrap();
            let pinned = bindings.iter().find_map(|binding| binding.pins.get(name));
            pinned.unwrap().clone()
        };
        Self {
            subject,
            commit: pin("head_sha"),
            workflow: pin("workflow"),
            held,
        }
    }

    fn artefact(&self, digest: &str) -> Value {
        let provenance = json!({"commit": self.commit, "workflow": self.workflow});
        json!({"type": "artifact", "id": format!("sha256:{digest}"), "properties": provenance})
    }

    /// The job asks for a permit to have this signed.
    async fn reserve(&self, artefact: &Value, step: &str) -> Answer {
        let url = format!("{}/api/v1/permit", self.held.client.issuer);
        let token = self.held.first.text("access_token");
        let body = json!({
            "audience": "https://billing.example",
            "action": {"name": "sign"},
            "resource": artefact,
        });
        let proof = self
            .held
            .client
            .proof(&self.held.key, "POST", &url, Some(token));
        let request = self.held.client.http.post(&url).json(&body);
        let request = request
            .header("Authorization", format!("DPoP {token}"))
            .header("DPoP", proof)
            .header("Idempotency-Key", step);
        self.held.client.answer(request).await
    }

    /// The signer has looked at the artefact's provenance, and asks before it signs.
    async fn sign(&self, artefact: &Value, permit: &str, request: &str) -> Answer {
        let url = format!("{}/access/v1/consumption", self.held.client.issuer);
        let body = json!({
            "subject": self.subject,
            "action": {"name": "sign"},
            "resource": artefact,
            "context": {"permit": permit},
        });
        let sent = self.held.client.http.post(url).json(&body);
        let sent = sent.header("Idempotency-Key", request);
        let sent = sent.basic_auth("billing", Some(BILLING_SECRET));
        self.held.client.answer(sent).await
    }

    /// Long enough that everything is read again.
    async fn later(&self) {
        self.held.broker.pass(Duration::from_secs(31)).await;
    }

    async fn assert_dead(&self) {
        let renewed = self.held.renew().await;
        assert_eq!(renewed.status, 400, "{renewed:?}");
    }
}

#[tokio::test]
async fn each_artefact_is_decided_and_signed_once() {
    let release = Release::new().await;
    for digest in ["aa", "bb"] {
        let artefact = release.artefact(digest);
        let permit = release.reserve(&artefact, digest).await;
        let permit = permit.text("permit");
        release
            .sign(&artefact, permit, digest)
            .await
            .assert_permitted();
        let twice = release.sign(&artefact, permit, "again").await;
        twice.assert_denied("permit_spent", "permit");
    }
    let (one, other) = (release.artefact("cc"), release.artefact("dd"));
    let permit = release.reserve(&one, "cc").await;
    let swapped = release.sign(&other, permit.text("permit"), "dd").await;
    swapped.assert_denied("permit_mismatch", "permit");
    release
        .sign(&one, permit.text("permit"), "cc")
        .await
        .assert_permitted();
}

#[tokio::test]
async fn what_was_built_from_another_commit_or_by_another_workflow_is_not_signed_and_all_is_dead() {
    for name in ["commit", "workflow"] {
        let release = Release::new().await;
        let artefact = release.artefact("aa");
        let permit = release.reserve(&artefact, "aa").await;
        // The job says one thing of it; its provenance, which the signer has verified, another.
        let mut foreign = artefact.clone();
        foreign["properties"][name] = "0000000".into();
        let field = if name == "commit" {
            "pipeline.head_sha"
        } else {
            "pipeline.workflow"
        };
        let denied = release.sign(&foreign, permit.text("permit"), "aa").await;
        denied.assert_denied("resource_mismatch", field);
        release.assert_dead().await;
    }
}

#[tokio::test]
async fn an_artefact_without_provenance_is_not_signed() {
    let release = Release::new().await;
    let artefact = release.artefact("aa");
    let permit = release.reserve(&artefact, "aa").await;
    let mut bare = artefact.clone();
    bare["properties"] = json!({});
    let denied = release.sign(&bare, permit.text("permit"), "aa").await;
    denied.assert_denied("resource_refused", "resource");
    release
        .sign(&artefact, permit.text("permit"), "bb")
        .await
        .assert_permitted();
}

#[tokio::test]
async fn an_environment_whose_approval_has_changed_stops_the_next_signature() {
    let release = Release::new().await;
    let artefact = release.artefact("aa");
    let first = release.reserve(&artefact, "aa").await;
    release
        .sign(&artefact, first.text("permit"), "aa")
        .await
        .assert_permitted();
    let next = release.reserve(&release.artefact("bb"), "bb").await;
    let site = release.held.broker.site();
    site.edit_environment(environment(45)).unwrap();
    release.later().await;
    let artefact = release.artefact("bb");
    let denied = release.sign(&artefact, next.text("permit"), "bb").await;
    denied.assert_denied("context_mismatch", "environment.protection_rules");
    release.assert_dead().await;
}

#[tokio::test]
async fn a_release_that_is_cancelled_stops_the_next_signature() {
    let release = Release::new().await;
    let artefact = release.artefact("aa");
    let permit = release.reserve(&artefact, "aa").await;
    let site = release.held.broker.site();
    site.cancel_run(release.held.run.run_id).await.unwrap();
    release.held.broker.settle_hooks().await;
    let denied = release.sign(&artefact, permit.text("permit"), "aa").await;
    assert_eq!(
        denied.json["context"]["code"], "context_ended",
        "{denied:?}"
    );
    release.assert_dead().await;
}

#[tokio::test]
async fn an_environment_that_anybody_may_deploy_to_has_nothing_signed() {
    let release = Release::new().await;
    let artefact = release.artefact("aa");
    let permit = release.reserve(&artefact, "aa").await;
    let open = writ_practice::EnvironmentSpec {
        repo: REPO.to_owned(),
        name: ENVIRONMENT.to_owned(),
        rules: writ_practice::Rules::default(),
    };
    release.held.broker.site().edit_environment(open).unwrap();
    release.later().await;
    let denied = release.sign(&artefact, permit.text("permit"), "aa").await;
    denied.assert_denied("context_mismatch", "environment.protected");
    // Nor is a job let in that comes now.
    let key = SessionKey::generate().unwrap();
    let late = release
        .held
        .client
        .exchange(&release.held.run.jobs[1], Some(&key), &[]);
    late.await.assert_refused(400, "context_mismatch");
}
