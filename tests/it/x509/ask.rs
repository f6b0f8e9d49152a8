//! A resource server asks about tokens with the certificate of its workload in the handshake, for as long as
//! what the certificate was made for stands.

use std::time::Duration;

use serde_json::{Value, json};
use writ::broker::administer::Haste;
use writ::broker::revoke::Ending;
use writ::broker::revoke_many::Target;
use writ::seams::Clock as _;
use writ_keys::{KeyState, Purpose};
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use super::held;
use super::mutual::{Gate, Installed, Mutual, certified, workload};
use super::openssl::Desk;
use crate::support::broker::{BILLING_SECRET, ENVIRONMENT, REPO};
use crate::support::client::{Answer, deploy_run};
use crate::support::held::{BILLING, Held, order};

/// A workload with a certificate, and a token of another task, which it is to ask about.
struct Asked {
    held: Held,
    /// The key and the chain, in PEM.
    identity: String,
    token: Answer,
}

impl Asked {
    async fn new(desk: &Desk) -> Self {
        let (held, _, identity) = certified(held().await, desk).await;
        let run = deploy_run(&held.broker).await;
        let key = SessionKey::generate().unwrap();
        let token = held.client.exchange(&run.jobs[0], Some(&key), BILLING);
        let token = token.await;
        token.assert_issued();
        assert_ne!(token.text("task"), held.first.text("task"));
        Self {
            held,
            identity,
            token,
        }
    }

    /// A listener where `billing` is this workload.
    async fn gate(&self, workload: Option<&str>) -> Gate {
        Gate::asked_by(&self.held.broker, workload).await
    }

    async fn own_gate(&self) -> Gate {
        self.gate(Some(&workload(&self.held.broker))).await
    }

    /// Told nothing by the certificate, while the token stands and its secret would still tell.
    async fn assert_refused(&self, client: &Mutual, more: &[(&str, &str)]) {
        let (status, body) = client.asks(&self.token, more).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
        assert_eq!(body["code"], "client_invalid");
        assert!(body.get("active").is_none() && body.get("task").is_none());
        assert!(self.held.client.is_active(&self.token).await);
    }
}

impl Mutual {
    async fn asks(&self, token: &Answer, more: &[(&str, &str)]) -> (u16, Value) {
        let mut form = vec![("token", token.text("access_token"))];
        form.extend_from_slice(more);
        let url = format!("{}/oauth2/introspect", self.base);
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_certificate_of_the_configured_workload_asks_as_the_secret_would() {
    let desk = Desk::new();
    let asked = Asked::new(&desk).await;
    let gate = asked.own_gate().await;
    let client = gate.client(Some(&asked.identity));
    let (_, by_secret) = {
        let answer = asked
            .held
            .client
            .introspect(asked.token.text("access_token"));
        let answer = answer.await;
        (answer.status, answer.json)
    };
    assert_eq!(by_secret["active"], true);
    for more in [&[][..], &[("client_id", "billing")]] {
        let told = client.asks(&asked.token, more).await;
        assert_eq!(told, (200, by_secret.clone()));
    }
    // For its own audiences alone, and of what has ended it hears that.
    let other = client.asks(&asked.held.first, &[]).await;
    assert_eq!(other, (200, json!({ "active": false })));
    asked
        .held
        .client
        .revoke(asked.token.text("access_token"))
        .await;
    let ended = client.asks(&asked.token, &[]).await;
    assert_eq!(ended, (200, json!({ "active": false })));
    let url = format!("{}/.well-known/oauth-authorization-server", client.base);
    let metadata: Value = client
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let methods = &metadata["introspection_endpoint_auth_methods_supported"];
    assert!(
        methods
            .as_array()
            .unwrap()
            .contains(&json!("tls_client_auth"))
    );
}

#[tokio::test]
async fn a_certificate_that_was_revoked_expired_or_is_of_another_tells_nothing_of_any_token() {
    let desk = Desk::new();
    let asked = Asked::new(&desk).await;
    // Another workload's, or one where no workload was named.
    for named in [None, Some("spiffe://test.example/github/1/2")] {
        let gate = asked.gate(named).await;
        asked
            .assert_refused(&gate.client(Some(&asked.identity)), &[])
            .await;
    }
    let gate = asked.own_gate().await;
    let client = gate.client(Some(&asked.identity));
    asked.assert_refused(&gate.client(None), &[]).await;
    asked
        .assert_refused(&client, &[("client_id", "deploy")])
        .await;
    asked
        .assert_refused(&client, &[("client_secret", BILLING_SECRET)])
        .await;
    let wrong = [("client_id", "billing"), ("client_secret", "wrong")];
    asked.assert_refused(&client, &wrong).await;
    // The connection stays, and what it was opened with ends.
    assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
    asked.held.end_task(Ending::Revoke).await;
    asked.assert_refused(&client, &[]).await;
}

#[tokio::test]
async fn a_certificate_asks_nothing_once_its_token_session_workload_or_key_was_revoked() {
    let desk = Desk::new();
    for what in ["access_token", "refresh_token"] {
        let asked = Asked::new(&desk).await;
        let gate = asked.own_gate().await;
        let client = gate.client(Some(&asked.identity));
        assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
        asked.held.client.revoke(asked.held.first.text(what)).await;
        asked.assert_refused(&client, &[]).await;
    }
    for which in ["credential", "key"] {
        let asked = Asked::new(&desk).await;
        let gate = asked.own_gate().await;
        let client = gate.client(Some(&asked.identity));
        assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
        let certificate = asked.held.certificates().await.remove(0);
        let until = asked.held.broker.clock.now().plus(Duration::from_hours(1));
        let target = match which {
            "key" => Target::Key(certificate.kind.certified_key().unwrap(), until),
            _ => Target::Credential(certificate.id),
        };
        let broker = &asked.held.broker.wired.broker;
        broker.revoke_many(vec![target], &order()).await;
        asked.assert_refused(&client, &[]).await;
    }
}

#[tokio::test]
async fn an_expired_certificate_asks_nothing_also_on_a_connection_that_was_opened_in_time() {
    let desk = Desk::new();
    let asked = Asked::new(&desk).await;
    let gate = asked.own_gate().await;
    let client = gate.client(Some(&asked.identity));
    let ends: writ::domain::time::Timestamp = asked.held.certificates().await[0].expires_at;
    let left = ends.since(asked.held.broker.clock.now());
    assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
    asked.held.broker.pass(left).await;
    let (status, body) = client.asks(&asked.token, &[]).await;
    assert_eq!((status, &body["code"]), (401, &json!("client_invalid")));
    assert!(body.get("active").is_none());
}

#[tokio::test]
async fn a_withdrawn_authority_takes_its_resource_servers_along() {
    let desk = Desk::new();
    let asked = Asked::new(&desk).await;
    let gate = asked.own_gate().await;
    let client = gate.client(Some(&asked.identity));
    assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
    let verbs = &asked.held.broker.wired.broker;
    let (by, before) = (order(), verbs.minter.keys.load().authority().id);
    let next = verbs
        .prepare_key(Purpose::CaIntermediate, &by)
        .await
        .unwrap();
    for (id, state) in [
        (next.id.as_str(), KeyState::Active),
        (before.as_str(), KeyState::Withdrawn),
    ] {
        let moved = verbs.move_key(id, state, Haste::AtOnce, &by);
        moved.await.unwrap();
    }
    asked.assert_refused(&client, &[]).await;
}

#[tokio::test]
async fn a48_a_replica_that_is_behind_judges_no_certificate() {
    let desk = Desk::new();
    let asked = Asked::new(&desk).await;
    let gate = asked.own_gate().await;
    let client = gate.client(Some(&asked.identity));
    assert_eq!(client.asks(&asked.token, &[]).await.0, 200);
    asked.held.broker.clock.advance(Duration::from_secs(6));
    let (status, body) = client.asks(&asked.token, &[]).await;
    assert_eq!((status, &body["code"]), (503, &json!("view_stale")));
    assert!(body.get("active").is_none());
}

#[tokio::test]
async fn curl_asks_the_server_as_it_is_installed_until_an_operator_revokes() {
    let installed = Installed::configured(|ground, text| {
        let (owner, repo) = (ground.repo.owner_id, ground.repo.repository_id);
        let id = format!("spiffe://test.example/github/{owner}/{repo}/environment/production");
        // No secret at all: the certificate is what it is known by.
        let lines = text.lines().map(|line| {
            if line.starts_with("secret_sha256") {
                format!("spiffe_id = \"{id}\"")
            } else {
                line.to_owned()
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    })
    .await;
    let (ground, desk) = (&installed.ground, &installed.desk);
    let mut client = ground.client();
    client.http = Mutual::new(ground.issuer.clone(), &desk.read("ca.pem"), None).http;
    let job = StartJob::new("other").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    let key = SessionKey::generate().unwrap();
    let token = client.exchange(&run.jobs[0], Some(&key), BILLING).await;
    token.assert_issued();

    let line = documented()
        .replace("https://writ.example", &ground.issuer)
        .replace("token=-", &format!("token={}", token.text("access_token")));
    let ask = || serde_json::from_str::<Value>(&desk.shell(&line)).unwrap();
    let told = ask();
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["task"], token.text("task"));
    installed.revoke().await;
    let refused = ask();
    assert_eq!(refused["code"], "client_invalid", "{refused}");
    assert!(refused.get("active").is_none());
    installed.server.stop().await;
}

/// The question as the reference writes it down.
fn documented() -> &'static str {
    let mut lines = include_str!("../../../docs/reference/api.md").lines();
    let introspects = |line: &&str| line.starts_with("curl --cert") && line.contains("introspect");
    lines.find(introspects).unwrap()
}
