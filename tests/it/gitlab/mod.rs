//! GitLab as a source: a job shows its one ID token, and everything after that rests on what GitLab
//! answers and hints.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{LabHook, LabJob, LabSecret, StartPipeline, StartedPipeline};

use crate::support::broker::{Broker, ENVIRONMENT, HOOK_SECRET};
use crate::support::client::{Answer, Client};

mod environment;
mod evidence;
mod hooks;
mod life;
pub mod outage;
mod retry;

/// The GitLab instance of the world, asked and heard.
pub const SOURCE: &str = r#"
[[source]]
name = "gitlab"
preset = "gitlab-ci"
issuer = "{lab}"
webhook_secret_files = ["hook", "signing"]
[source.api]
url = "{lab}/api/v4"
token_file = "api"
"#;

/// Bound to the job, the pipeline and the environment, with secrets.
pub const DEPLOY: &str = r#"
[[profile]]
name = "deploy"
source = "gitlab"
match = { project_id = "{lab.project}", environment = "production", ref = "main" }
task = "{project_id}/{pipeline_id}"
instance = "{job_id}"

[[profile.binding]]
record = "pipeline"
require = { status = "in_progress" }
pin = ["event", "head_sha"]
max_age = "60s"
via = ["pull"]

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["pull"]

[[profile.binding]]
record = "environment"
pin = ["id", "protection_rules"]
max_age = "30s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["https://billing.example"]
scopes = ["deploy:write"]
secrets = ["ci/prod/*"]
"#;

/// For the resource server that introspects.
pub const BILLING: &[(&str, &str)] = &[("audience", "https://billing.example")];

/// A job with a session, and another job beside it.
pub struct Held {
    pub broker: Broker,
    pub client: Client,
    pub key: SessionKey,
    pub run: StartedPipeline,
    pub first: Answer,
}

impl Held {
    pub async fn new() -> Self {
        Self::under(DEPLOY, BILLING).await
    }

    pub async fn under(profile: &str, more: &[(&str, &str)]) -> Self {
        let broker = gitlab(profile).await;
        let run = two_jobs(&broker).await;
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let token = &run.jobs[0].id_token;
        let first = client.exchange_token(token, Some(&key), more).await;
        first.assert_issued();
        Self {
            broker,
            client,
            key,
            run,
            first,
        }
    }

    pub fn job(&self) -> u64 {
        self.run.jobs[0].job_id
    }

    pub async fn renew(&self) -> Answer {
        self.client.renew(&self.first, &self.key, &[]).await
    }

    pub async fn is_active(&self) -> bool {
        self.client.is_active(&self.first).await
    }

    /// The job's one token is worth nothing any more, nor is its handle.
    pub async fn assert_never_again(&self, code: &str) {
        let before = self.broker.recorded().await;
        self.renew().await.assert_refused(400, code);
        let token = &self.run.jobs[0].id_token;
        let again = self.client.exchange_token(token, Some(&self.key), BILLING);
        again.await.assert_refused(400, code);
        assert_eq!(self.broker.recorded().await, before);
    }
}

/// A broker with the GitLab source, which tells it by webhook what happens.
pub async fn gitlab(profile: &str) -> Broker {
    let broker = Broker::with(&format!("{SOURCE}{profile}")).await;
    broker.lab().set_hook(Some(hook(&broker)));
    let project = broker.project.project_id;
    broker.lab().make_environment(project, ENVIRONMENT).unwrap();
    broker
}

pub fn hook(broker: &Broker) -> LabHook {
    LabHook {
        url: format!("{}/hooks/gitlab", broker.issuer),
        secret: LabSecret::Token(HOOK_SECRET.to_owned()),
    }
}

/// A pipeline of two jobs in the trusted environment.
pub async fn two_jobs(broker: &Broker) -> StartedPipeline {
    let job = |name| LabJob::new(name).in_environment(ENVIRONMENT);
    let jobs = vec![job("deploy"), job("verify")];
    let start = StartPipeline::new(broker.project.project_id, &broker.issuer, jobs);
    let run = broker.lab().start(start).await.unwrap();
    broker.reread_all().await;
    broker.pass(Duration::from_secs(2)).await;
    run
}
