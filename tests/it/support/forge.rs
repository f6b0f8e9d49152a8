//! Tokens on the broker's own clock: honest ones, and any deviation from them; and what the ledger
//! holds afterwards.

use serde_json::{Map, Value};
use writ::domain::credential::CredentialRecord;
use writ::domain::ids::Realm;
use writ::domain::task::Task;
use writ::seams::Clock as _;
use writ_practice::client::SessionKey;
use writ_practice::{Mint, StartJob, StartedJob};

use super::broker::Broker;
use super::client::run_with;

/// Bound to nothing but the job's own proof of life, so that no test here waits for the source.
pub(crate) const OPEN: &str = r#"
[[profile]]
name = "open"
source = "github"
match = { repository_id = "{repo}" }
task = "{repository_id}/{run_id}/{run_attempt}"
instance = "{check_run_id}"

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["issuer-proof"]

[profile.grant.deploy]
audiences = ["https://billing.example"]
scopes = ["deploy:read", "deploy:write"]
"#;

/// Jobs of one run, without environment.
pub(crate) async fn jobs(broker: &Broker, count: usize) -> Vec<StartedJob> {
    let jobs = (0..count).map(|n| StartJob::new(&format!("job-{n}")));
    let run = run_with(broker, jobs.collect()).await;
    after_hints(broker).await;
    run.jobs
}

/// Lets a second pass, so that a token issued from now on is newer than the webhooks that came: a
/// token tells its time in whole seconds, and one from before a hint proves nothing.
pub(crate) async fn after_hints(broker: &Broker) {
    broker.pass(std::time::Duration::from_secs(1)).await;
}

pub(crate) async fn job(broker: &Broker) -> StartedJob {
    jobs(broker, 1).await.remove(0)
}

/// The audience that ties a token to a key.
pub(crate) fn tied(broker: &Broker, key: &SessionKey) -> String {
    format!("{}/jkt/{}", broker.issuer, key.thumbprint())
}

/// The broker's time, in whole seconds.
pub(crate) fn now(broker: &Broker) -> i64 {
    broker.clock.now().seconds()
}

/// An order for the job's honest token, issued at this moment of the broker's clock.
pub(crate) fn honest(broker: &Broker, job: &StartedJob, audience: &str) -> Mint {
    let now = now(broker);
    let mut order = Mint {
        job_id: Some(job.job_id),
        audience: Some(audience.to_owned()),
        ..Mint::default()
    };
    for (name, at) in [("iat", now), ("nbf", now - 600), ("exp", now + 300)] {
        order.claims.insert(name.to_owned(), at.into());
    }
    order
}

/// The job's honest token for any holder.
pub(crate) fn bearer(broker: &Broker, job: &StartedJob) -> String {
    mint(broker, honest(broker, job, &broker.issuer))
}

/// The job's honest token for the holder of a key.
pub(crate) fn bound(broker: &Broker, job: &StartedJob, key: &SessionKey) -> String {
    mint(broker, honest(broker, job, &tied(broker, key)))
}

/// The job's token with other claims; `null` removes one.
pub(crate) fn with_claims(broker: &Broker, job: &StartedJob, claims: Value) -> String {
    let mut order = honest(broker, job, &broker.issuer);
    order.claims.extend(members(claims));
    mint(broker, order)
}

/// The job's token with other header members; `null` removes one.
pub(crate) fn with_header(broker: &Broker, job: &StartedJob, header: Value) -> String {
    let order = Mint {
        header_overrides: members(header),
        ..honest(broker, job, &broker.issuer)
    };
    mint(broker, order)
}

pub(crate) fn mint(broker: &Broker, order: Mint) -> String {
    broker.site().mint(order).unwrap()
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// Every task that was ever opened.
pub(crate) async fn tasks(broker: &Broker) -> Vec<Task> {
    let store = &broker.wired.broker.store;
    store.tasks(Realm::DEFAULT, None, 1_000).await.unwrap()
}

/// Every credential that stands.
pub(crate) async fn credentials(broker: &Broker) -> Vec<CredentialRecord> {
    let store = &broker.wired.broker.store;
    let mut all = Vec::new();
    for task in tasks(broker).await {
        let under = store.credentials(Realm::DEFAULT, task.id, broker.clock.now());
        all.extend(under.await.unwrap());
    }
    all
}

/// Nothing was opened and nothing was recorded as issued.
#[track_caller]
pub(crate) fn assert_none(tasks: &[Task], credentials: &[CredentialRecord]) {
    assert!(
        tasks.is_empty() && credentials.is_empty(),
        "{tasks:?} {credentials:?}"
    );
}
