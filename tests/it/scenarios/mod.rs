//! Whole stories, each told on a page of `docs/scenarios/`: what somebody may do, what stops it, and what is dead
//! then.

use serde_json::{Value, json};
use writ_practice::client::SessionKey;

use crate::cases::details;
use crate::support::broker::{BILLING_SECRET, Broker};
use crate::support::client::{Answer, Client};

mod moves;
mod signing;
mod table;

/// An agent at work on its case, and the service that it asks, which asks the broker.
pub struct Agent {
    pub broker: Broker,
    client: Client,
    key: SessionKey,
    first: Answer,
    subject: Value,
}

impl Agent {
    /// Agent `a-7`, on case 4711 as the broker's desk has it by now.
    async fn at_work(broker: Broker) -> Self {
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let first = broker.ask("a-7", "desk/case/4711", Some(&key)).await;
        first.assert_issued();
        let subject = subject(&client, &first, &key).await;
        Self {
            broker,
            client,
            key,
            first,
            subject,
        }
    }

    /// The answer about one action on one resource, of which the service says no more.
    async fn ask(&self, action: &str, kind: &str, id: &str) -> Answer {
        let resource = json!({"type": kind, "id": id});
        evaluate(&self.client, &self.subject, action, &resource).await
    }

    /// That nothing is given to it any more, and its token is no longer one.
    async fn assert_dead(&self) {
        let before = self.broker.recorded().await;
        let renewed = self.client.renew(&self.first, &self.key, &[]).await;
        assert_eq!(renewed.status, 400, "{renewed:?}");
        let named = details("desk/case/4711");
        let more = [("authorization_details", named.as_str())];
        let token = self.broker.agents().token("a-7", &self.broker.issuer);
        let token = token.unwrap();
        let again = self.client.exchange_token(&token, Some(&self.key), &more);
        assert_eq!(again.await.status, 400);
        assert!(!self.client.is_active(&self.first).await);
        assert_eq!(self.broker.recorded().await, before);
    }
}

/// A workload as a service knows it that has verified its proof.
pub async fn subject(client: &Client, issued: &Answer, key: &SessionKey) -> Value {
    let token = issued.text("access_token");
    let told = client.introspect(token).await;
    json!({
        "type": "workload",
        "id": told.text("sub"),
        "properties": {"access_token": token, "key": key.thumbprint()},
    })
}

pub async fn evaluate(client: &Client, subject: &Value, action: &str, resource: &Value) -> Answer {
    let url = format!("{}/access/v1/evaluation", client.issuer);
    let asked = json!({"subject": subject, "action": {"name": action}, "resource": resource});
    let request = client.http.post(url).json(&asked);
    let request = request.basic_auth("billing", Some(BILLING_SECRET));
    client.answer(request).await
}
