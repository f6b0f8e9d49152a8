//! Agents and cases: an agent that a case names opens the task of that case, and holds it for as long as
//! the case is open and names it.

use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::{Answer, Client};

mod abuse;
mod helpdesk;
mod hooks;
mod life;
mod opening;
mod operator;
mod outage;
mod pods;
mod run;
mod spiffe;
mod svid;
mod token;

/// Who says which agent it is.
pub const AGENTS: &str = r#"
[[source]]
name = "agents"
preset = "oidc"
issuer = "{agents}"
[source.claims.agent_id]
is = "id"
"#;

/// The ticket desk of the world, asked and heard.
pub const DESK: &str = r#"
[[desk]]
name = "desk"
[desk.api]
url = "{desk}"
token_file = "api"
[desk.webhook]
secret_files = ["hook", "signing"]
case = "/case/id"
[desk.case]
path = "/cases/{id}"
id = "/id"
version = "/version"
[desk.case.status]
at = "/state"
open = ["open"]
pending = ["waiting"]
closed = ["solved"]
final = ["merged"]
[desk.case.field.assignee]
at = "/assignee/id"
writable_by = []
[desk.case.field.account]
at = "/account/id"
[desk.case.field.queue]
at = "/queue"
"#;

/// An agent at work on the case that names it.
pub const SUPPORT: &str = r#"
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
pin = ["account"]
max_age = "60s"
via = ["pull"]

[profile.grant.case]
audiences = ["https://billing.example"]
scopes = ["case:read", "case:reply"]
secrets = ["crm/*"]
"#;

/// What names a case in a request.
pub fn details(task: &str) -> String {
    format!(r#"[{{"type":"writ_task","task":"{task}"}}]"#)
}

/// A broker with the desk and the agents, and nothing told by webhook.
pub async fn broker() -> Broker {
    Broker::with(&format!("{AGENTS}{DESK}{SUPPORT}")).await
}

/// Agent `a-7` with a session on case 4711, which is its own.
pub struct Held {
    pub broker: Broker,
    pub client: Client,
    pub key: SessionKey,
    pub first: Answer,
}

impl Held {
    pub async fn new() -> Self {
        let broker = broker().await;
        broker.desk().open("4711", "AC-9", Some("a-7")).unwrap();
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let first = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
        first.assert_issued();
        Self {
            broker,
            client,
            key,
            first,
        }
    }

    pub async fn renew(&self) -> Answer {
        self.client.renew(&self.first, &self.key, &[]).await
    }

    pub async fn is_active(&self) -> bool {
        self.client.is_active(&self.first).await
    }

    /// Neither the handle nor fresh evidence gets anything any more.
    pub async fn assert_never_again(&self, code: &str, field: &str) {
        let before = self.broker.recorded().await;
        for refused in [
            self.renew().await,
            self.broker
                .ask("a-7", "desk/case/4711", Some(&self.key))
                .await,
        ] {
            refused.assert_refused(400, code);
            assert_eq!(refused.field(), field);
        }
        assert!(!self.is_active().await);
        assert_eq!(self.broker.recorded().await, before);
    }
}

impl Broker {
    /// An agent asks for a token for a task, with fresh evidence.
    pub async fn ask(&self, agent: &str, task: &str, key: Option<&SessionKey>) -> Answer {
        let named = details(task);
        let more = [
            ("authorization_details", named.as_str()),
            ("audience", "https://billing.example"),
        ];
        let token = self.agents().token(agent, &self.issuer).unwrap();
        self.client().exchange_token(&token, key, &more).await
    }
}
