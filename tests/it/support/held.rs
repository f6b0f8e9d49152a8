//! A session that was opened honestly: where most refusals begin.

use std::time::Duration;

use writ::broker::revoke::{Ending, Order, TaskRef};
use writ::domain::ids::TaskId;
use writ_practice::client::SessionKey;
use writ_practice::{Mint, StartJob, StartedJob, StartedRun};

use super::broker::{Broker, ENVIRONMENT};
use super::client::{Answer, Client, run_with};

/// The token for the resource server that introspects.
pub const BILLING: &[(&str, &str)] = &[("audience", "https://billing.example")];

/// A run of two jobs in the trusted environment; the first has a session.
pub struct Held {
    pub broker: Broker,
    pub client: Client,
    pub key: SessionKey,
    pub run: StartedRun,
    pub first: Answer,
}

impl Held {
    /// Under a profile, with a token for `billing`.
    pub async fn billing(profile: &str) -> Self {
        Self::asking(profile, BILLING).await
    }

    pub async fn asking(profile: &str, more: &[(&str, &str)]) -> Self {
        let broker = Broker::with(profile).await;
        let run = two_jobs(&broker).await;
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let first = client.exchange(&run.jobs[0], Some(&key), more).await;
        first.assert_issued();
        Self {
            broker,
            client,
            key,
            run,
            first,
        }
    }

    pub fn job(&self) -> &StartedJob {
        &self.run.jobs[0]
    }

    pub async fn renew(&self) -> Answer {
        self.client.renew(&self.first, &self.key, &[]).await
    }

    pub async fn is_active(&self) -> bool {
        self.client.is_active(&self.first).await
    }

    pub fn task(&self) -> TaskId {
        self.first.text("task").parse().unwrap()
    }

    pub async fn end_task(&self, ending: Ending) {
        let which = TaskRef::Id(self.task());
        let broker = &self.broker.wired.broker;
        broker.end_task(&which, ending, &order()).await.unwrap();
    }

    /// Neither the handle nor fresh evidence by the session's key gets anything any more, not even
    /// evidence that the issuer should have refused to give.
    pub async fn assert_never_again(&self, code: &str) {
        let before = self.broker.recorded().await;
        self.renew().await.assert_refused(400, code);
        let audience = format!("{}/jkt/{}", self.broker.issuer, self.key.thumbprint());
        let token = self.broker.mint(self.job(), &audience, Mint::default());
        let evidence = self.client.exchange_token(&token, Some(&self.key), &[]);
        evidence.await.assert_refused(400, code);
        assert_eq!(self.broker.recorded().await, before);
    }
}

/// A run of two jobs in the trusted environment, under way for two seconds: what the webhooks of its
/// start hinted at is older than evidence asked for now.
pub async fn two_jobs(broker: &Broker) -> StartedRun {
    let job = |name| StartJob::new(name).in_environment(ENVIRONMENT);
    let run = run_with(broker, vec![job("deploy"), job("verify")]).await;
    broker.pass(Duration::from_secs(2)).await;
    run
}

/// An operator's word.
pub fn order() -> Order {
    Order {
        by: "uid:0".to_owned(),
        reason: Some("a test".to_owned()),
        repeat: None,
    }
}

impl Broker {
    pub async fn put_secret(&self, path: &str, value: &str) -> u32 {
        let secret = value.to_owned().into();
        let path = path.parse().unwrap();
        let broker = &self.wired.broker;
        let stored = broker.put_secret(&path, &secret, &order()).await;
        stored.unwrap().version
    }
}
