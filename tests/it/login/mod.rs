//! Operators who are elsewhere: an OpenID Provider's word, roles, and a listener of their own, by the real
//! binary over TLS.

use serde_json::{Map, Value, json};
use writ::seams::{Clock as _, SystemClock};

use crate::peers::{TLS, certify};
use crate::support::client::Answer;
use crate::support::issuer::OwnIssuer;
use crate::support::process::{Ground, Server};

mod flows;
mod fuzz;
mod refusals;
mod routes;

const CLIENT: &str = "writ-operators";
const PORT: u16 = 8422;

/// A broker whose operators come from a provider that the test plays.
struct Place {
    ground: Ground,
    issuer: OwnIssuer,
    http: reqwest::Client,
    server: Server,
}

/// Where the broker takes its operators.
fn address(ground: &Ground) -> String {
    format!("https://{}:{PORT}", ground.host)
}

/// A configuration with operators, beside what is there.
fn configure(ground: &Ground, issuer: &str, algorithm: &str) {
    certify(ground);
    let host = ground.host;
    let operators = format!(
        r#"
[operators]
address = "{host}:{PORT}"
issuer = "{issuer}"
client_id = "{CLIENT}"
scopes = ["groups"]
algorithms = ["{algorithm}"]
[operators.role.viewer]
groups = ["g-viewers"]
[operators.role.operator]
groups = ["g-operators"]
[operators.role.approver]
groups = ["g-approvers"]
[operators.role.admin]
subjects = ["ada"]
"#
    );
    ground.write(
        "writ.toml",
        &format!("{}{operators}", ground.read("writ.toml")),
    );
}

/// A client that trusts the broker's certificate.
fn trusting(ground: &Ground) -> reqwest::Client {
    let pem = ground.read("ca.pem");
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of the broker, not the broker's own"
    )]
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()])
        .build();
    client.unwrap()
}

impl Place {
    async fn new() -> Self {
        let issuer = OwnIssuer::start().await;
        let ground = Ground::with_scheme("https", TLS).await;
        configure(&ground, &issuer.url, "ES256");
        let server = ground.start().await;
        let http = trusting(&ground);
        Self {
            ground,
            issuer,
            http,
            server,
        }
    }

    /// What an honest token of a person says, with members laid over it.
    fn claims(&self, over: &Value) -> Map<String, Value> {
        let now = SystemClock.now().seconds();
        let mut claims = json!({
            "iss": self.issuer.url,
            "aud": CLIENT,
            "sub": "olga",
            "iat": now,
            "exp": now + 600,
            "groups": ["g-operators"],
        });
        for (name, value) in over.as_object().unwrap() {
            claims[name] = value.clone();
        }
        serde_json::from_value(claims).unwrap()
    }

    fn token(&self, over: &Value) -> String {
        self.issuer.sign(&self.claims(over))
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let shown = token.map(|token| format!("Bearer {token}"));
        self.ask_with(method, path, shown.as_slice()).await
    }

    async fn ask_with(&self, method: &str, path: &str, shown: &[String]) -> Answer {
        let url = format!("{}{path}", address(&self.ground));
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, url);
        for value in shown {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            json,
        }
    }

    /// Everything that an operator could have changed.
    async fn state(&self) -> String {
        let mut all = String::new();
        for list in [
            &["task", "list", "-o", "json"][..],
            &["secret", "list", "-o", "json"],
            &["key", "list", "-o", "json"],
            &["freeze", "list", "-o", "json"],
        ] {
            let said = self.ground.operator(list, "").await;
            assert_eq!(said.code, Some(0), "{said:?}");
            all.push_str(&said.out);
        }
        all
    }
}
