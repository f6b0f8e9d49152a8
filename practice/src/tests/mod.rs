//! The world as its users meet it: over HTTP, with a client and a webhook receiver of their own.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Response, StatusCode};
use ring::{hmac, signature};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::courier::http_client;
use crate::{Alg, Mint, Options, Running, SignatureForm, Target, World, WorldError};

mod api;
mod hooks;
mod issuer;
mod neighbours;
mod world;

struct Guest {
    http: Client,
    base: String,
    world: Running,
}

impl Guest {
    async fn arrive() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let world = World::start(options).await.unwrap();
        let base = world.base_url().to_owned();
        let guest = Self {
            http: http_client("guest").unwrap(),
            base,
            world,
        };
        guest
            .control("/repos", json!({ "owner": "acme", "name": "shop" }))
            .await;
        guest
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/control{path}", self.base);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn put(&self, path: &str, body: Value) -> StatusCode {
        let url = format!("{}/control{path}", self.base);
        self.http
            .put(url)
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
    }

    async fn start(&self, job: Value) -> Value {
        self.control("/runs", json!({ "repo": "acme/shop", "jobs": [job] }))
            .await
    }

    async fn id_token(&self, job: &Value, audience: &str) -> Response {
        let url = format!("{}&audience={audience}", job["token_url"].as_str().unwrap());
        let request = self
            .http
            .get(url)
            .bearer_auth(job["request_token"].as_str().unwrap());
        request.send().await.unwrap()
    }

    async fn api(&self, path: &str) -> Response {
        let url = format!("{}/api/repos/acme/shop{path}", self.base);
        self.http
            .get(url)
            .bearer_auth("practice-api-token")
            .send()
            .await
            .unwrap()
    }

    async fn api_json(&self, path: &str) -> Value {
        let answer = self.api(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Result<Response, reqwest::Error> {
        self.http.get(format!("{}{path}", self.base)).send().await
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.unwrap().json().await.unwrap()
    }

    async fn fault(&self, fault: Value) {
        self.control("/faults", fault).await;
    }
}

/// Claims of a token, after its RS256 signature verified under the published key of its `kid`.
fn verified(token: &str, jwks: &Value) -> Option<Value> {
    let (signed, sent) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let kid = json(header)["kid"].clone();
    let key = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == kid)?;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let public = signature::RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    let sent = URL_SAFE_NO_PAD.decode(sent).unwrap();
    let checked = public.verify(
        &signature::RSA_PKCS1_2048_8192_SHA256,
        signed.as_bytes(),
        &sent,
    );
    checked.ok().map(|()| json(claims))
}

async fn jwks(guest: &Guest) -> Value {
    guest
        .get("/.well-known/jwks")
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// A webhook receiver; what arrives is passed on.
async fn receiver() -> (String, mpsc::Receiver<(HeaderMap, Bytes)>, JoinSet<()>) {
    let (tell, hears) = mpsc::channel(64);
    let hook = post(move |headers: HeaderMap, body: Bytes| async move {
        tell.send((headers, body)).await.unwrap();
        StatusCode::ACCEPTED
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        axum::serve(listener, Router::new().route("/hook", hook))
            .await
            .unwrap();
    });
    (url, hears, serving)
}

fn signed_by(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let sent = headers["x-hub-signature-256"].to_str().unwrap();
    let tag = hex::decode(sent.strip_prefix("sha256=").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, body, &tag).is_ok()
}
