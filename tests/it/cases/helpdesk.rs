//! A desk of other people's making: `django-helpdesk`, unmodified, read by its REST API. It speaks Basic
//! authentication, answers with tags, and sends no webhooks.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use writ::jobs::patrol::Patrol;
use writ_practice::client::SessionKey;

use super::AGENTS;
use crate::support::broker::{Broker, install_tls, memory, secret_file};
use crate::support::foreign::Foreign;

/// A helpdesk, and what it said of itself.
struct Helpdesk {
    told: Value,
    http: reqwest::Client,
    place: TempDir,
    _process: Foreign,
}

impl Helpdesk {
    async fn start() -> Self {
        let place = TempDir::with_prefix_in("writ-helpdesk", memory()).unwrap();
        let args = [place.path().to_str().unwrap()];
        let process = Foreign::python("helpdesk", "desk.py", &args).await;
        let told: Value = serde_json::from_str(&process.told).unwrap();
        install_tls();
        let pair = format!("reader:{}", told["password"].as_str().unwrap());
        secret_file(place.path(), "reader", &pair);
        Self {
            told,
            #[expect(
                clippy::disallowed_methods,
                reason = "a clerk at the desk, not the broker"
            )]
            http: reqwest::Client::new(),
            place,
            _process: process,
        }
    }

    fn person(&self, name: &str) -> String {
        self.told["people"][name].to_string()
    }

    fn ticket(&self, name: &str) -> String {
        self.told["tickets"][name].to_string()
    }

    /// The clerk changes a ticket.
    async fn edit(&self, ticket: &str, change: Value) {
        let url = format!("{}/tickets/{ticket}/", self.told["url"].as_str().unwrap());
        let request = self.http.patch(url).json(&change);
        let answer = request
            .basic_auth("clerk", self.told["password"].as_str())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// A broker that reads this desk.
    async fn broker(&self) -> Broker {
        let (first, second) = (self.person("first-agent"), self.person("second-agent"));
        let token = self.place.path().join("reader");
        Broker::with(&format!(
            r#"
{AGENTS}
[[desk]]
name = "helpdesk"
[desk.api]
url = "{}"
token_file = "{}"
token_scheme = "Basic"
[desk.case]
path = "/tickets/{{id}}/"
id = "/id"
# Open, reopened; resolved, closed; duplicate.
[desk.case.status]
at = "/status"
open = ["1", "2"]
closed = ["3", "4"]
final = ["5"]
[desk.case.field.assignee]
at = "/assigned_to"
writable_by = []
[desk.case.field.account]
at = "/submitter_email"

[[profile]]
name = "support"
source = "agents"
match = {{ agent_id = ["{first}", "{second}"] }}
case_of = "helpdesk"
opens_when = {{ assignee = "agent_id" }}
instance = "{{agent_id}}"
[[profile.binding]]
record = "case"
require = {{ status = "open" }}
pin = ["account"]
max_age = "60s"
via = ["pull"]
[profile.grant.case]
audiences = ["https://billing.example"]
scopes = ["case:read"]
"#,
            self.told["url"].as_str().unwrap(),
            token.display(),
        ))
        .await
    }
}

#[tokio::test]
async fn an_agent_works_on_its_ticket_until_the_clerk_closes_it_or_gives_it_away() {
    let desk = Helpdesk::start().await;
    let broker = desk.broker().await;
    let client = broker.client();
    let (first, second) = (desk.person("first-agent"), desk.person("second-agent"));
    let (own, other) = (
        format!("helpdesk/case/{}", desk.ticket("first")),
        format!("helpdesk/case/{}", desk.ticket("second")),
    );
    let (key, second_key) = (
        SessionKey::generate().unwrap(),
        SessionKey::generate().unwrap(),
    );
    let token = broker.ask(&first, &own, Some(&key)).await;
    token.assert_issued();
    let details = json!([{ "type": "writ_task", "task": own, "account": "ac-9@customer.example" }]);
    assert_eq!(token.json["authorization_details"], details);
    let before = broker.recorded().await;
    let strange = broker.ask(&first, &other, None).await;
    strange.assert_refused(400, "context_mismatch");
    assert_eq!(strange.field(), "case.assignee");
    let absent = broker.ask(&first, "helpdesk/case/999", None).await;
    absent.assert_refused(400, "context_unknown");
    assert_eq!(broker.recorded().await, before);
    let colleague = broker.ask(&second, &other, Some(&second_key)).await;
    colleague.assert_issued();

    // Nothing changed: the desk says so by its tag. A comment changes nothing that counts.
    broker.pass(Duration::from_secs(61)).await;
    client.renew(&token, &key, &[]).await.assert_issued();
    let ticket = desk.ticket("first");
    desk.edit(&ticket, json!({ "resolution": "looking into it" }))
        .await;
    broker.pass(Duration::from_secs(61)).await;
    client.renew(&token, &key, &[]).await.assert_issued();

    desk.edit(&ticket, json!({ "status": 4 })).await;
    broker.pass(Duration::from_secs(61)).await;
    let refused = client.renew(&token, &key, &[]).await;
    refused.assert_refused(400, "context_ended");
    assert_eq!(refused.field(), "case.status");
    assert!(!client.is_active(&token).await);

    // Nobody tells of it, and the colleague does not ask: the patrol finds it.
    assert!(client.is_active(&colleague).await);
    let given = json!({ "assigned_to": desk.told["people"]["first-agent"] });
    desk.edit(&desk.ticket("second"), given).await;
    broker.pass(Duration::from_secs(121)).await;
    let mut patrol = Patrol::new(std::sync::Arc::clone(&broker.wired.broker));
    patrol.run().await.unwrap();
    assert!(!client.is_active(&colleague).await);
    let refused = client.renew(&colleague, &second_key, &[]).await;
    refused.assert_refused(400, "context_mismatch");
    assert_eq!(refused.field(), "case.assignee");
}
