//! Kubernetes: a pod shows its projected token, the cluster says whether it still counts, and what
//! follows rests on the pod being there.

use writ_practice::client::SessionKey;
use writ_practice::{Pod, PodSpec};

use crate::support::broker::Broker;
use crate::support::client::{Answer, Client};

mod pod;
mod review;

/// The cluster, asked about tokens and pods.
pub const SOURCE: &str = r#"
[[source]]
name = "cluster"
preset = "kubernetes"
issuer = "{cluster}"
[source.api]
url = "{cluster}"
token_file = "api"
"#;

/// The cluster, known by its keys alone.
pub const UNASKED: &str = r#"
[[source]]
name = "cluster"
preset = "kubernetes"
issuer = "{cluster}"
"#;

/// Bound to the pod, with secrets. `{account}` is the uid of the account.
pub const DEPLOYER: &str = r#"
[[profile]]
name = "deployer"
source = "cluster"
match = { serviceaccount_uid = "{account}" }
task = "{pod_uid}"
instance = "{pod_uid}"

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "30s"
via = ["pull"]

[profile.grant.deploy]
audiences = ["https://billing.example"]
secrets = ["shop/*"]
"#;

/// Bound to nothing, without secrets.
pub const LOOSE: &str = r#"
[[profile]]
name = "deployer"
source = "cluster"
match = { serviceaccount_uid = "{account}" }
task = "{pod_uid}"
instance = "{pod_uid}"

[profile.grant.deploy]
audiences = ["https://billing.example"]
"#;

pub const BILLING: &[(&str, &str)] = &[("audience", "https://billing.example")];

/// The uid that the account of the tests has: it is known before the cluster is.
pub const ACCOUNT: &str = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798";

/// A running pod, and a broker that knows its account.
pub struct Ground {
    pub broker: Broker,
    pub client: Client,
    pub key: SessionKey,
    pub pod: Pod,
}

impl Ground {
    pub async fn new(source: &str, profile: &str) -> Self {
        let profile = profile.replace("{account}", ACCOUNT);
        let broker = Broker::with(&format!("{source}{profile}")).await;
        let cluster = broker.cluster();
        cluster.set_account("shop", "deployer", ACCOUNT);
        let pod = run(&broker, "deployer-0", "deployer");
        Self {
            client: broker.client(),
            key: SessionKey::generate().unwrap(),
            pod,
            broker,
        }
    }

    pub fn token(&self) -> String {
        let audience = &self.broker.issuer;
        self.broker.cluster().token(&self.pod, audience).unwrap()
    }

    pub async fn exchange(&self, token: &str) -> Answer {
        let client = &self.client;
        client.exchange_token(token, Some(&self.key), BILLING).await
    }

    /// Refused so, and nothing was issued.
    pub async fn assert_refused(&self, token: &str, status: u16, code: &str) {
        let before = self.broker.recorded().await;
        self.exchange(token).await.assert_refused(status, code);
        assert_eq!(self.broker.recorded().await, before);
    }
}

pub fn run(broker: &Broker, name: &str, account: &str) -> Pod {
    let spec = PodSpec {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        account: account.to_owned(),
    };
    broker.cluster().run(spec).unwrap()
}
