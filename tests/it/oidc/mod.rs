//! Any other issuer of ID tokens: what its mapping says is read, and nothing else.

use serde_json::{Map, Value, json};
use writ_practice::client::SessionKey;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::issuer::OwnIssuer;

mod rotation;

/// A source whose claims lie deep and under odd names.
fn config(issuer: &str) -> String {
    format!(
        r#"
[[source]]
name = "builds"
preset = "oidc"
issuer = "{issuer}"
algorithms = ["ES256", "RS256"]
[source.claims.project]
at = "/ci.example~1project"
is = "id"
[source.claims.build]
at = "/build/number"
is = "run"
[source.claims.step]
at = "/build/step"
is = "instance"
[source.claims.branch]
is = "text"

[[profile]]
name = "builds"
source = "builds"
match = {{ project = "p-812", branch = "refs/heads/main" }}
task = "{{project}}/{{build}}"
instance = "{{step}}"
[profile.grant.deploy]
audiences = ["https://billing.example"]
"#
    )
}

struct Ground {
    issuer: OwnIssuer,
    broker: Broker,
    key: SessionKey,
}

impl Ground {
    async fn new() -> Self {
        let issuer = OwnIssuer::start().await;
        let broker = Broker::with(&config(&issuer.url)).await;
        Self {
            issuer,
            broker,
            key: SessionKey::generate().unwrap(),
        }
    }

    /// An honest token, with members laid over it.
    fn token(&self, over: &Value) -> String {
        use writ::seams::Clock as _;
        let now = self.broker.clock.now().seconds();
        let mut claims = json!({
            "iss": self.issuer.url,
            "aud": self.broker.issuer,
            "sub": "whoever",
            "iat": now,
            "exp": now + 600,
            "ci.example/project": "p-812",
            "build": { "number": 7, "step": "deploy.1" },
            "branch": "refs/heads/main",
        });
        for (name, value) in over.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims: Map<String, Value> = serde_json::from_value(claims).unwrap();
        self.issuer.sign(&claims)
    }

    async fn exchange(&self, over: &Value) -> Answer {
        let client = self.broker.client();
        let token = self.token(over);
        client.exchange_token(&token, Some(&self.key), &[]).await
    }
}

#[tokio::test]
async fn what_is_mapped_names_workload_task_and_instance() {
    let ground = Ground::new().await;
    let answer = ground.exchange(&json!({})).await;
    answer.assert_issued();
    assert_eq!(answer.text("task_name"), "builds/p-812/7");
    let client = ground.broker.client();
    let seen = client.introspect(answer.text("access_token")).await;
    assert_eq!(seen.text("sub"), "spiffe://test.example/builds/p-812");
}

#[tokio::test]
async fn a_claim_is_read_where_it_is_mapped_and_nowhere_else() {
    for over in [
        json!({ "ci.example/project": null, "project": "p-812" }),
        json!({ "ci.example/project": ["p-812"] }),
        json!({ "ci.example/project": { "x": "p-812" } }),
        json!({ "ci.example/project": "p-813" }),
        json!({ "ci.example/project": "p-812 " }),
        json!({ "ci.example/project": "" }),
        json!({ "ci.example": { "project": "p-812" }, "ci.example/project": null }),
        json!({ "branch": "refs/heads/other" }),
        json!({ "branch": null }),
        json!({ "build": null, "number": 7, "step": "deploy.1" }),
        json!({ "build": { "number": "7/8", "step": "x" } }),
        json!({ "build": { "number": 7 } }),
    ] {
        let ground = Ground::new().await;
        let answer = ground.exchange(&over).await;
        assert_eq!(answer.status, 400, "{over}: {answer:?}");
        let code = answer.code();
        assert!(
            matches!(code, "evidence_invalid" | "profile_unmatched"),
            "{answer:?}"
        );
        assert!(answer.json.get("access_token").is_none());
        let recorded = ground.broker.recorded().await;
        assert_eq!((recorded.tasks, recorded.credentials), (0, 0), "{over}");
    }
}

#[tokio::test]
async fn a29_whatever_the_subject_says_the_decision_is_the_same() {
    for subject in ["p-812", "project:evil", ""] {
        let ground = Ground::new().await;
        ground
            .exchange(&json!({ "sub": subject }))
            .await
            .assert_issued();
    }
}
