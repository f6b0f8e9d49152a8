//! Check: every action is judged against the case at the moment of its use.

use serde_json::{Value, json};
use writ::broker::revoke::{Ending, TaskRef};
use writ_practice::client::SessionKey;

use crate::cases::{AGENTS, DESK, SUPPORT};
use crate::support::broker::{BILLING_SECRET, Broker};
use crate::support::client::{Answer, Client};
use crate::support::held::order;

mod counted;
mod envoy;
mod ext_authz;
pub mod gateway;
mod legacy;
mod nginx;
mod record;
mod recorded;
mod service;
mod shapes;
mod targets;

/// What the support profile may do: read what belongs to the case's account, and refund it.
pub const ACTIONS: &str = r#"
reads = ["read", "get"]
writes = ["refund"]
[[profile.grant.case.resource]]
type = "record"
properties = { account = "{case.account}" }
[[profile.grant.case.resource]]
type = "http"
id = "/accounts/{case.account}/*"
"#;

/// A profile of the same agents that may read one account, whatever their case says.
const SUPPORT_UNBOUND: &str = r#"
[[profile]]
name = "support"
source = "agents"
match = { agent_id = ["a-7", "a-8"] }
case_of = "desk"
opens_when = { assignee = "agent_id" }
instance = "{agent_id}"
deadline = "8h"

[[profile.binding]]
record = "case"
require = { status = ["open", "pending"] }
max_age = "60s"
via = ["pull"]

[profile.grant.case]
audiences = ["https://billing.example"]
reads = ["get"]
[[profile.grant.case.resource]]
type = "http"
id = "/accounts/AC-9/*"
"#;

/// Agent `a-7` at work on case 4711, of the account AC-9.
pub struct Held {
    pub broker: Broker,
    pub client: Client,
    pub key: SessionKey,
    pub first: Answer,
    /// The agent, as an enforcement point that has verified its proof knows it.
    pub subject: Value,
}

impl Held {
    pub async fn new() -> Self {
        Self::under(&format!("{SUPPORT}{ACTIONS}")).await
    }

    pub async fn under(profile: &str) -> Self {
        let broker = Broker::with(&format!("{AGENTS}{DESK}{profile}")).await;
        broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let first = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
        first.assert_issued();
        let token = first.text("access_token");
        let told = client.introspect(token).await;
        let subject = json!({
            "type": "workload",
            "id": told.text("sub"),
            "properties": {"access_token": token, "key": key.thumbprint()},
        });
        Self {
            broker,
            client,
            key,
            first,
            subject,
        }
    }

    pub fn token(&self) -> &str {
        self.first.text("access_token")
    }

    /// The answer to one action on a billing record of an account.
    pub async fn ask(&self, action: &str, account: &str) -> Answer {
        evaluate(&self.client, &asked(&self.subject, action, account)).await
    }

    pub async fn revoke(&self) {
        let task = TaskRef::Id(self.first.text("task").parse().unwrap());
        let broker = &self.broker.wired.broker;
        broker
            .end_task(&task, Ending::Revoke, &order())
            .await
            .unwrap();
    }

    /// That a renewal gets nothing any more, and introspection says so.
    pub async fn assert_dead(&self) {
        let before = self.broker.recorded().await;
        let renewed = self.client.renew(&self.first, &self.key, &[]).await;
        assert_eq!(renewed.status, 400, "{renewed:?}");
        assert!(!self.client.is_active(&self.first).await);
        assert_eq!(self.broker.recorded().await, before);
    }
}

pub fn asked(subject: &Value, action: &str, account: &str) -> Value {
    json!({
        "subject": subject,
        "action": {"name": action},
        "resource": {"type": "record", "id": "INV-7", "properties": {"account": account}},
    })
}

pub async fn evaluate(client: &Client, body: &Value) -> Answer {
    post(client, "/access/v1/evaluation", body.to_string()).await
}

pub async fn post(client: &Client, path: &str, body: String) -> Answer {
    let url = format!("{}{path}", client.issuer);
    let request = client.http.post(url).body(body);
    let request = request.header("Content-Type", "application/json");
    client
        .answer(request.basic_auth("billing", Some(BILLING_SECRET)))
        .await
}

impl Answer {
    #[track_caller]
    pub fn assert_permitted(&self) {
        assert_eq!(
            (self.status.as_u16(), &self.json["decision"]),
            (200, &json!(true)),
            "{self:?}"
        );
    }

    #[track_caller]
    pub fn assert_denied(&self, code: &str, field: &str) {
        let context = &self.json["context"];
        let said = (
            self.status.as_u16(),
            &self.json["decision"],
            context["code"].as_str().unwrap_or(""),
            context["field"].as_str().unwrap_or(""),
        );
        assert_eq!(said, (200, &json!(false), code, field), "{self:?}");
    }
}
