//! Permits: one use of one action on one target. A script reserves it, a service consumes it, and nobody gets it
//! twice or back.

use reqwest::StatusCode;
use serde_json::{Value, json};
use writ::domain::ids::ReservationId;
use writ::domain::reservation::Reservation;
use writ::ledger::entry::Event;
use writ_practice::client::SessionKey;

use crate::support::broker::BILLING_SECRET;
use crate::support::client::{Answer, Client};
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

mod crash;
mod life;
mod once;
mod races;
mod refused;
mod rows;

/// What a run may do about its databases: restart them, three times in all.
pub const FIX: &str = r#"
[profile.grant.fix]
audiences = ["https://billing.example"]
reads = ["status"]
writes = ["restart"]
uses = 3
[[profile.grant.fix.resource]]
type = "host"
id = "db-*"
"#;

/// A script at work in a run, with a token for the broker and one for the service that restarts hosts.
pub struct Script {
    client: Client,
    key: SessionKey,
    own: Answer,
    service: Answer,
    sub: String,
}

impl Script {
    /// From an answer with a token for the broker.
    pub async fn new(client: Client, key: SessionKey, own: Answer) -> Self {
        let service = [("audience", "https://billing.example")];
        let service = client.renew(&own, &key, &service).await;
        service.assert_issued();
        let told = client.introspect(service.text("access_token")).await;
        let sub = told.text("sub").to_owned();
        Self {
            client,
            key,
            own,
            service,
            sub,
        }
    }

    /// The first job of a run, whose task has the grant `fix`.
    async fn of(held: &Held) -> Self {
        let client = held.client.clone();
        let key = SessionKey::generate().unwrap();
        let own = client.exchange(held.job(), Some(&key), &[]).await;
        own.assert_issued();
        Self::new(client, key, own).await
    }

    pub async fn reserve(&self, host: &str, key: &str) -> Answer {
        self.try_reserve(host, key).await.expect("an answer")
    }

    /// None where no answer comes.
    pub async fn try_reserve(&self, host: &str, key: &str) -> Option<Answer> {
        let asked = wanted("restart", host);
        let sent = self.reserving(&asked).header("Idempotency-Key", key);
        try_answer(sent).await
    }

    fn reserving(&self, asked: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1/permit", self.client.issuer);
        let token = self.own.text("access_token");
        let proof = self.client.proof(&self.key, "POST", &url, Some(token));
        let request = self.client.http.post(&url).json(asked);
        request
            .header("Authorization", format!("DPoP {token}"))
            .header("DPoP", proof)
    }

    /// The service, asked to restart a host by this permit, consumes it.
    pub async fn consume(&self, host: &str, permit: &str, key: &str) -> Answer {
        let answer = self.try_consume(host, permit, key).await;
        answer.expect("an answer")
    }

    pub async fn try_consume(&self, host: &str, permit: &str, key: &str) -> Option<Answer> {
        let mut asked = self.asked("restart", host);
        asked["context"] = json!({ "permit": permit });
        try_answer(self.consuming(&asked).header("Idempotency-Key", key)).await
    }

    fn consuming(&self, asked: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}/access/v1/consumption", self.client.issuer);
        let request = self.client.http.post(url).json(asked);
        request.basic_auth("billing", Some(BILLING_SECRET))
    }

    /// Only asked about.
    async fn evaluate(&self, action: &str, host: &str) -> Answer {
        let url = format!("{}/access/v1/evaluation", self.client.issuer);
        let request = self.client.http.post(url).json(&self.asked(action, host));
        let request = request.basic_auth("billing", Some(BILLING_SECRET));
        self.client.answer(request).await
    }

    fn asked(&self, action: &str, host: &str) -> Value {
        let shown = json!({
            "access_token": self.service.text("access_token"),
            "key": self.key.thumbprint(),
        });
        json!({
            "subject": {"type": "workload", "id": self.sub, "properties": shown},
            "action": {"name": action},
            "resource": {"type": "host", "id": host},
        })
    }
}

fn wanted(action: &str, host: &str) -> Value {
    json!({
        "audience": "https://billing.example",
        "action": {"name": action},
        "resource": {"type": "host", "id": host},
    })
}

async fn try_answer(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.ok()?;
    Some(Answer {
        status,
        headers,
        json: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

/// A run whose two jobs share the pool, and a script in the first.
async fn at_work() -> (Held, Script) {
    let held = Held::asking(&format!("{DEPLOY}{FIX}"), &[]).await;
    let script = Script::of(&held).await;
    (held, script)
}

impl Held {
    /// Every reservation of the task, newest first.
    async fn reservations(&self) -> Vec<Reservation> {
        let broker = &self.broker.wired.broker;
        let all = broker.store.reservations(broker.realm, self.task()).await;
        all.unwrap()
    }

    /// How many uses of the grant `fix` are spent.
    async fn spent(&self) -> u32 {
        let broker = &self.broker.wired.broker;
        let spent = broker.store.spent(broker.realm, self.task()).await.unwrap();
        let fix = spent.into_iter().find(|(name, _)| name.as_str() == "fix");
        fix.map_or(0, |(_, used)| used)
    }

    /// What the log says was reserved, and what it says was consumed.
    async fn logged(&self) -> (Vec<ReservationId>, Vec<ReservationId>) {
        let (mut reserved, mut consumed) = (Vec::new(), Vec::new());
        for leaf in self.broker.log().await {
            match leaf.event {
                Event::PermitReserved(said) => reserved.push(said.permit),
                Event::PermitConsumed(said) => consumed.push(said.permit),
                _ => {}
            }
        }
        (reserved, consumed)
    }
}

impl Answer {
    #[track_caller]
    fn permit(&self) -> &str {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.text("permit")
    }

    /// The action may be done, for the first time or as it was said before.
    #[track_caller]
    fn assert_consumed(&self, repeated: bool) {
        self.assert_permitted();
        assert_eq!(
            self.json["context"]["repeated"],
            json!(repeated),
            "{self:?}"
        );
    }
}
