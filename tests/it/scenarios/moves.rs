//! A service that moves. Its session is bound to its environment, its region and its host: what it holds is good at
//! the enforcement points of the place where its evidence was made, and at no other, whatever its `exp` says. Evidence
//! from the new place authorises it there, under that place's own profile.

use serde_json::{Map, Value, json};
use writ_practice::client::SessionKey;

use super::subject;
use crate::support::broker::{BILLING_SECRET, Broker};
use crate::support::client::{Answer, Client};

/// Who says where a service runs, and the two places: each has its enforcement point, which the broker knows by its
/// secret, and where it stands by its configuration.
const PLACES: &str = r#"
[[source]]
name = "platform"
preset = "oidc"
issuer = "{agents}"
[source.claims.service_id]
is = "id"
[source.claims.deployment]
is = "run"
[source.claims.host]
is = "instance"
[source.claims.region]
is = "label"
[source.claims.environment]
is = "label"

[[resource_server]]
name = "orders-eu"
audiences = ["https://orders.example"]
secret_sha256 = "{digest}"
place = { region = "eu-1", environment = "production" }

[[resource_server]]
name = "orders-us"
audiences = ["https://orders.example"]
secret_sha256 = "{digest}"
place = { region = "us-1", environment = "production" }

[[resource_server]]
name = "orders-nowhere"
audiences = ["https://orders.example"]
secret_sha256 = "{digest}"
"#;

/// What a service may do in one region: only at enforcement points that stand there.
fn place(region: &str, actions: &str) -> String {
    format!(
        r#"
[[profile]]
name = "{region}"
source = "platform"
match = {{ service_id = "svc-1", region = "{region}", environment = "production" }}
task = "{{service_id}}/{{deployment}}"
instance = "{{host}}"

[profile.grant.orders]
audiences = ["https://orders.example", "https://billing.example"]
{actions}
[[profile.grant.orders.resource]]
type = "order"
properties = {{ "place.region" = "{{region}}", "place.environment" = "{{environment}}" }}
"#
    )
}

/// The service, at one place.
struct Service {
    client: Client,
    key: SessionKey,
    first: Answer,
    subject: Value,
}

fn places() -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, BILLING_SECRET.as_bytes());
    PLACES.replace("{digest}", &hex::encode(digest))
}

async fn broker() -> Broker {
    let (eu, us) = (
        place("eu-1", "reads = [\"read\"]\nwrites = [\"cancel\"]"),
        // The policy of the other place: nothing is changed from there.
        place("us-1", "reads = [\"read\"]"),
    );
    Broker::with(&format!("{}{eu}{us}", places())).await
}

/// What the platform says of an instance of the service.
fn evidence(broker: &Broker, at: (&str, &str, &str)) -> String {
    let (deployment, host, region) = at;
    let over = json!({
        "agent_id": null, "service_id": "svc-1", "deployment": deployment, "host": host,
        "region": region, "environment": "production",
    });
    let over: Map<String, Value> = over.as_object().unwrap().clone();
    broker
        .agents()
        .token_with("svc-1", &broker.issuer, over)
        .unwrap()
}

async fn started(broker: &Broker, at: (&str, &str, &str), key: SessionKey) -> Answer {
    let both = [
        ("audience", "https://orders.example"),
        ("audience", "https://billing.example"),
    ];
    let token = evidence(broker, at);
    broker
        .client()
        .exchange_token(&token, Some(&key), &both)
        .await
}

impl Service {
    async fn at(broker: &Broker, at: (&str, &str, &str)) -> Self {
        let (client, key) = (broker.client(), SessionKey::generate().unwrap());
        let both = [
            ("audience", "https://orders.example"),
            ("audience", "https://billing.example"),
        ];
        let token = evidence(broker, at);
        let first = client.exchange_token(&token, Some(&key), &both).await;
        first.assert_issued();
        let subject = subject(&client, &first, &key).await;
        Self {
            client,
            key,
            first,
            subject,
        }
    }

    /// What the enforcement point of a place is told, whatever it says of itself besides.
    async fn ask(&self, server: &str, action: &str, said: &Value) -> Answer {
        let url = format!("{}/access/v1/evaluation", self.client.issuer);
        let body = json!({
            "subject": self.subject,
            "action": {"name": action},
            "resource": {"type": "order", "id": "7", "properties": said},
        });
        let request = self.client.http.post(url).json(&body);
        let request = request.basic_auth(server, Some(BILLING_SECRET));
        self.client.answer(request).await
    }
}

const EU: (&str, &str, &str) = ("dep-1", "host-1", "eu-1");
const US: (&str, &str, &str) = ("dep-2", "host-2", "us-1");

#[tokio::test]
async fn what_was_given_in_one_place_is_good_there_and_nowhere_else() {
    let broker = broker().await;
    let service = Service::at(&broker, EU).await;
    let nothing = json!({});
    service
        .ask("orders-eu", "read", &nothing)
        .await
        .assert_permitted();
    service
        .ask("orders-eu", "cancel", &nothing)
        .await
        .assert_permitted();
    for elsewhere in ["orders-us", "orders-nowhere"] {
        let denied = service.ask(elsewhere, "read", &nothing).await;
        denied.assert_denied("place_mismatch", "place.region");
    }
    // It is a token that stands, with minutes left, and is used by its own key; and renewed it is the same.
    let renewed = service
        .client
        .renew(&service.first, &service.key, &[])
        .await;
    renewed.assert_issued();
    service
        .ask("orders-eu", "read", &nothing)
        .await
        .assert_permitted();
}

#[tokio::test]
async fn an_enforcement_point_cannot_say_that_it_stands_elsewhere() {
    let broker = broker().await;
    let service = Service::at(&broker, EU).await;
    let said = json!({"place.region": "eu-1", "place.environment": "production", "region": "eu-1"});
    for elsewhere in ["orders-us", "orders-nowhere"] {
        let denied = service.ask(elsewhere, "read", &said).await;
        denied.assert_denied("place_mismatch", "place.region");
    }
    let moved = json!({"place.region": "us-1"});
    service
        .ask("orders-eu", "read", &moved)
        .await
        .assert_permitted();
}

#[tokio::test]
async fn evidence_from_the_new_place_authorises_there_under_that_places_policy() {
    let broker = broker().await;
    let (before, after) = (
        Service::at(&broker, EU).await,
        Service::at(&broker, US).await,
    );
    let nothing = json!({});
    after
        .ask("orders-us", "read", &nothing)
        .await
        .assert_permitted();
    let denied = after.ask("orders-us", "cancel", &nothing).await;
    denied.assert_denied("action_refused", "action");
    let back = after.ask("orders-eu", "read", &nothing).await;
    back.assert_denied("place_mismatch", "place.region");
    before
        .ask("orders-eu", "read", &nothing)
        .await
        .assert_permitted();
}

#[tokio::test]
async fn another_host_is_another_instance_and_gets_nothing_of_the_first() {
    let broker = broker().await;
    let service = Service::at(&broker, EU).await;
    // Its handle in other hands, and fresh evidence of the new host by the old key.
    let thief = SessionKey::generate().unwrap();
    let stolen = service.client.renew(&service.first, &thief, &[]).await;
    stolen.assert_refused(400, "key_mismatch");
    let moved = started(&broker, ("dep-1", "host-9", "eu-1"), thief).await;
    moved.assert_issued();
    assert_ne!(moved.text("lineage"), service.first.text("lineage"));
    service
        .ask("orders-eu", "read", &json!({}))
        .await
        .assert_permitted();
}

#[tokio::test]
async fn an_instance_that_shows_another_place_gets_nothing_for_the_task_that_it_has() {
    let broker = broker().await;
    let service = Service::at(&broker, EU).await;
    let before = broker.recorded().await;
    // The same deployment on the same host, under the other place's profile.
    let key = SessionKey::generate().unwrap();
    let moved = started(&broker, ("dep-1", "host-1", "us-1"), key).await;
    moved.assert_refused(400, "profile_unmatched");
    assert_eq!(broker.recorded().await, before);
    let nothing = json!({});
    service
        .ask("orders-eu", "read", &nothing)
        .await
        .assert_permitted();
}

#[tokio::test]
async fn an_instance_that_shows_another_place_under_one_profile_is_another_identity_and_all_is_dead()
 {
    let both = place("eu-1", "reads = [\"read\"]").replace(
        "region = \"eu-1\", environment",
        "region = [\"eu-1\", \"us-1\"], environment",
    );
    let broker = Broker::with(&format!("{}{both}", places())).await;
    let service = Service::at(&broker, EU).await;
    let nothing = json!({});
    service
        .ask("orders-eu", "read", &nothing)
        .await
        .assert_permitted();
    let before = broker.recorded().await;
    let key = SessionKey::generate().unwrap();
    let moved = started(&broker, ("dep-1", "host-1", "us-1"), key).await;
    moved.assert_refused(400, "identity_mismatch");
    assert_eq!(broker.recorded().await, before);
    let denied = service.ask("orders-eu", "read", &nothing).await;
    assert_eq!(denied.json["context"]["code"], "lineage_ended");
}
