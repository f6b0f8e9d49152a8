//! An issuer of one's own: discovery and keys answer whatever a test wants, and tokens are signed
//! by an ES256 key that the test holds.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use writ_practice::client::SessionKey;

pub(crate) const KID: &str = "own-1";

/// What a path answers.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

/// The two documents, and how often each was asked for.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) discovery: Page,
    pub(crate) jwks: Page,
    pub(crate) asked: usize,
}

pub(crate) struct OwnIssuer {
    pub(crate) url: String,
    pub(crate) key: SessionKey,
    pages: Arc<Mutex<Pages>>,
    task: JoinHandle<()>,
}

impl Page {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            location: None,
            body: body.to_string(),
        }
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self {
            status,
            location: Some(location.to_owned()),
            body: String::new(),
        }
    }
}

impl OwnIssuer {
    /// An honest issuer, for as long as nobody sets other pages.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = SessionKey::generate().unwrap();
        let pages = Arc::new(Mutex::new(honest(&url, &key)));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&pages));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            url,
            key,
            pages,
            task,
        }
    }

    /// What an honest issuer would answer.
    pub(crate) fn honest(&self) -> Pages {
        honest(&self.url, &self.key)
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, discovery: Page, jwks: Page) {
        let mut pages = self.pages.lock().unwrap();
        pages.discovery = discovery;
        pages.jwks = jwks;
    }

    /// How often it was asked for anything.
    pub(crate) fn asked(&self) -> usize {
        self.pages.lock().unwrap().asked
    }

    /// A source and a profile that trust it, for the repository of the shared ones.
    pub(crate) fn config(&self) -> String {
        let source = format!(
            "[[source]]\nname = \"other\"\npreset = \"github-actions\"\nissuer = \"{}\"\nalgorithms = [\"ES256\"]\n",
            self.url
        );
        let profile = super::forge::OPEN
            .replace("name = \"open\"", "name = \"other\"")
            .replace("source = \"github\"", "source = \"other\"");
        format!("{source}{profile}")
    }

    /// A compact token of these claims, ES256 whatever the header says.
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> String {
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": KID });
        self.key
            .sign(&header, &Value::Object(claims.clone()))
            .unwrap()
    }
}

impl Drop for OwnIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn honest(url: &str, key: &SessionKey) -> Pages {
    let mut jwk = key.jwk();
    for (name, value) in [("kid", KID), ("alg", "ES256"), ("use", "sig")] {
        jwk[name] = value.into();
    }
    Pages {
        discovery: Page::json(&json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })),
        jwks: Page::json(&json!({ "keys": [jwk] })),
        asked: 0,
    }
}

async fn serve(State(pages): State<Arc<Mutex<Pages>>>, uri: Uri) -> Response {
    let page = {
        let mut pages = pages.lock().unwrap();
        pages.asked += 1;
        match uri.path() {
            "/.well-known/openid-configuration" => pages.discovery.clone(),
            "/keys" => pages.jwks.clone(),
            _ => Page::redirect(404, "/"),
        }
    };
    let status = StatusCode::from_u16(page.status).unwrap();
    let mut response = (status, page.body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if let Some(location) = page.location {
        headers.insert(header::LOCATION, location.parse().unwrap());
    }
    response
}
