//! nginx itself, unmodified, with the configuration that is shipped, before a service.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::Held;
use super::gateway::code;
use super::service::Service;
use super::targets::{assert_served_as_judged, bearer};
use crate::peers::peers;
use crate::support::broker::{BILLING_SECRET, memory};
use crate::support::process::{own_address, until};

const SHIPPED: &str = include_str!("../../../deploy/nginx.conf");
const INVOICE: &str = "/accounts/AC-9/invoices/7";

/// nginx with a service behind it.
pub(super) struct Front {
    url: String,
    address: SocketAddr,
    http: reqwest::Client,
    service: Service,
    _nginx: Child,
    _place: TempDir,
}

impl Front {
    pub(super) async fn before(issuer: &str) -> Self {
        let service = Service::start().await;
        let at = own_address();
        let place = TempDir::with_prefix_in("writ-nginx", memory()).unwrap();
        let path = place.path().display();
        let included = configuration(issuer, service.address, at);
        let text = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr error;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p;\n\
             fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
             {included}\n}}\n"
        );
        std::fs::write(place.path().join("nginx.conf"), text).unwrap();
        let nginx = Command::new(program())
            .arg("-p")
            .arg(place.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until(async || TcpStream::connect((at, 8081)).await.is_ok()).await;
        Self {
            url: format!("http://{at}:8081"),
            address: SocketAddr::from((at, 8081)),
            #[expect(clippy::disallowed_methods, reason = "a client of the service")]
            http: reqwest::Client::new(),
            service,
            _nginx: nginx,
            _place: place,
        }
    }

    /// A request as the agent makes it, by the service's public name.
    pub(super) fn get(&self, held: &Held, path: &str) -> RequestBuilder {
        self.asks(held, &Method::GET, path)
    }

    pub(super) fn asks(&self, held: &Held, method: &Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        let request = self.http.request(method.clone(), url);
        let request = request.header("Host", "billing.example");
        held.signed(request, method.as_str(), path)
    }

    /// How many requests have come through.
    pub(super) fn through(&self) -> usize {
        self.service.through()
    }
}

/// What is shipped, with the names and the secret of this place, and a broker without TLS.
fn configuration(issuer: &str, service: SocketAddr, at: Ipv4Addr) -> String {
    let secret = STANDARD.encode(format!("billing:{BILLING_SECRET}"));
    let broker = issuer.strip_prefix("http://").unwrap();
    let mut text = SHIPPED.to_owned();
    for (from, to) in [
        ("writ.example:443", broker),
        ("https://writ/", "http://writ/"),
        ("127.0.0.1:8080", &service.to_string()),
        ("127.0.0.1:8081", &format!("{at}:8081")),
        ("QklMTElORzpTRUNSRVQ=", &secret),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let lines = text.lines().filter(|line| !line.contains("proxy_ssl_"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Where `tests/setup` put it, if it is not installed.
fn program() -> std::path::PathBuf {
    let own = peers("nginx").join("usr/sbin/nginx");
    let mut known = [own, "/usr/sbin/nginx".into()].into_iter();
    let found = known.find(|path| path.exists());
    found.expect("it is not installed: run tests/setup")
}

#[tokio::test]
async fn nginx_lets_through_what_the_case_allows_and_tells_the_service_whose_it_is() {
    let held = Held::new().await;
    let front = Front::before(&held.client.issuer).await;
    // What a sender says of itself does not reach the service.
    let request = front
        .get(&held, INVOICE)
        .header("Writ-Task", "forged")
        .header("Writ-Workload", "forged")
        // Of a body that the question does not have.
        .header("Content-Encoding", "gzip");
    let answer = held.client.answer(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["workload"], json!([held.subject["id"]]));
    assert_eq!(answer.json["task"], json!([held.first.text("task")]));
    assert_eq!(answer.json["path"], INVOICE);
    held.broker
        .desk()
        .set_state("4711", "solved")
        .await
        .unwrap();
    held.broker.pass(Duration::from_secs(61)).await;
    let answer = held.client.answer(front.get(&held, INVOICE)).await;
    assert_eq!(code(&answer), (403, "context_ended"));
    assert_eq!(front.service.through(), 1);
    held.assert_dead().await;
}

#[tokio::test]
async fn nginx_stops_everything_else_and_the_service_never_hears_of_it() {
    let held = Held::new().await;
    let front = Front::before(&held.client.issuer).await;
    let bare = |method: &str, path: &str| {
        let method = method.parse().unwrap();
        let request = front.http.request(method, format!("{}{path}", front.url));
        request.header("Host", "billing.example")
    };
    let token = format!("DPoP {}", held.token());
    // Lines that a sender adds so that another request is asked about than the one it makes.
    let mut disguised = front.get(&held, "/users");
    for (name, value) in [
        ("X-Forwarded-Uri", INVOICE),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", "other.example"),
        ("X-Original-URI", INVOICE),
    ] {
        disguised = disguised.header(name, value);
    }
    let refused = [
        (bare("GET", INVOICE), 401, "token_invalid"),
        (
            bare("GET", INVOICE).header("Authorization", &token),
            401,
            "proof_required",
        ),
        (disguised, 403, "resource_refused"),
        (
            held.signed(bare("DELETE", INVOICE), "DELETE", INVOICE),
            403,
            "action_refused",
        ),
        (
            held.signed(
                bare("POST", INVOICE).body("x".repeat(100_000)),
                "POST",
                INVOICE,
            ),
            403,
            "action_refused",
        ),
        (
            front.get(&held, "/accounts/AC-9/a%2fb"),
            403,
            "request_malformed",
        ),
        (
            front.get(&held, "/accounts/AC-7/invoices/7"),
            403,
            "resource_mismatch",
        ),
    ];
    for (request, status, expected) in refused {
        let answer = held.client.answer(request).await;
        assert_eq!(code(&answer), (status, expected), "{answer:?}");
        let challenged = answer.headers.contains_key("www-authenticate");
        assert_eq!(challenged, status == 401, "{answer:?}");
    }
    assert_eq!(front.service.through(), 0);
}

#[tokio::test]
async fn nginx_lets_nothing_through_while_the_broker_is_away() {
    let held = Held::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let front = Front::before(&away).await;
    let answer = held.client.answer(front.get(&held, INVOICE)).await;
    assert_eq!((answer.status.as_u16(), answer.json), (500, Value::Null));
    assert_eq!(front.service.through(), 0);
}

#[tokio::test]
async fn what_nginx_lets_through_is_served_as_it_was_judged() {
    let (held, token) = bearer().await;
    let front = Front::before(&held.client.issuer).await;
    assert_served_as_judged(front.address, &token).await;
}
