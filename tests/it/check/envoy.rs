//! Envoy itself, unmodified, with the configuration that is shipped, before a service. The broker is behind TLS,
//! as it would be.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use writ::broker::revoke::{Ending, TaskRef};
use writ_practice::client::SessionKey;
use writ_practice::{Mode, Target};

use super::gateway::code;
use super::service::Service;
use super::targets::{assert_served_as_judged, bearer, get, raw};
use super::{ACTIONS, Held, counted};
use crate::cases::SUPPORT;
use crate::gitlab::outage::fault;
use crate::peers::peers;
use crate::support::broker::{BILLING_SECRET, memory};
use crate::support::client::deploy_run;
use crate::support::held::order;
use crate::support::process::{own_address, until};
use crate::support::profiles::DEPLOY;
use crate::x509::mutual::{Gate, workload};
use crate::x509::openssl;

const SHIPPED: &str = include_str!("../../../deploy/envoy.yaml");
const CERTIFICATE: &str = include_str!("../../../deploy/envoy-certificate.yaml");
const HOST: &str = "Host: billing.example\r\n";
const INVOICE: &str = "/accounts/AC-9/invoices/7";

/// Envoy with a service behind it.
struct Front {
    address: SocketAddr,
    http: reqwest::Client,
    service: Service,
    _envoy: Child,
    _place: TempDir,
}

/// What one Envoy is told.
struct Setup {
    /// Where it looks for the broker.
    broker: SocketAddr,
    /// Whom it believes that the broker is.
    authority: String,
    secret: &'static str,
    /// Where the certificate is that it shows in the secret's place.
    certificate: Option<PathBuf>,
    /// What is changed in the shipped configuration beside the names.
    changed: Vec<(&'static str, String)>,
}

impl Setup {
    fn of(gate: &Gate) -> Self {
        Self::at(gate.address(), gate.authority())
    }

    fn at(broker: SocketAddr, authority: &str) -> Self {
        Self {
            broker,
            authority: authority.to_owned(),
            secret: BILLING_SECRET,
            certificate: None,
            changed: Vec::new(),
        }
    }

    fn but(mut self, from: &'static str, to: &str) -> Self {
        self.changed.push((from, to.to_owned()));
        self
    }

    async fn start(self) -> Front {
        let service = Service::start().await;
        let at = own_address();
        let place = TempDir::with_prefix_in("writ-envoy", memory()).unwrap();
        let text = self.configuration(place.path(), service.address, at);
        let file = place.path().join("envoy.yaml");
        std::fs::write(&file, text).unwrap();
        let envoy = Command::new(program())
            .arg("-c")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "error"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Envoy is not installed: run tests/setup");
        let address = SocketAddr::from((at, 8081));
        until(async || TcpStream::connect(address).await.is_ok()).await;
        Front {
            address,
            #[expect(clippy::disallowed_methods, reason = "a client of the service")]
            http: reqwest::Client::new(),
            service,
            _envoy: envoy,
            _place: place,
        }
    }

    /// What is shipped, with the names and the secret of this place.
    fn configuration(&self, place: &Path, service: SocketAddr, at: Ipv4Addr) -> String {
        let trusted = place.join("ca.pem");
        std::fs::write(&trusted, &self.authority).unwrap();
        let socket = |address: &str, port: u16| {
            format!("socket_address: {{ address: {address}, port_value: {port} }}")
        };
        let mut text = SHIPPED.to_owned();
        let mut changes = vec![
            (socket("127.0.0.1", 8081), socket(&at.to_string(), 8081)),
            (
                socket("127.0.0.1", 8080),
                socket("127.0.0.1", service.port()),
            ),
            (
                socket("broker.internal", 443),
                socket(&self.broker.ip().to_string(), self.broker.port()),
            ),
            (
                "/etc/ssl/certs/ca-certificates.crt".to_owned(),
                trusted.display().to_string(),
            ),
            (
                "QklMTElORzpTRUNSRVQ=".to_owned(),
                STANDARD.encode(format!("billing:{}", self.secret)),
            ),
        ];
        let more = self.changed.iter();
        changes.extend(more.map(|(from, to)| ((*from).to_owned(), to.clone())));
        for (from, to) in changes {
            assert_eq!(text.matches(&from).count(), 1, "{from}");
            text = text.replace(&from, &to);
        }
        match &self.certificate {
            Some(shown) => by_certificate(&text, place, shown),
            None => text,
        }
    }
}

impl Front {
    /// Before the service, with a broker that is there.
    async fn before(held: &Held) -> (Self, Gate) {
        let gate = Gate::serving(Arc::clone(&held.broker.wired.public)).await;
        (Setup::of(&gate).start().await, gate)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request to the service by its public name, with nothing to show.
    fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), self.url(path));
        request.header("Host", "billing.example")
    }

    /// A request as the agent makes it.
    fn get(&self, held: &Held, path: &str) -> RequestBuilder {
        held.signed(self.bare("GET", path), "GET", path)
    }
}

/// The configuration as its comments say it is for a certificate, which is in a directory.
fn by_certificate(text: &str, place: &Path, shown: &Path) -> String {
    let file = place.join("certificate.yaml");
    let dir = shown.to_str().unwrap();
    std::fs::write(&file, CERTIFICATE.replace("/run/envoy/writ", dir)).unwrap();
    let (before, rest) = text
        .split_once("                        initial_metadata:\n")
        .unwrap();
    let rest = rest.splitn(3, '\n').nth(2).unwrap();
    let (between, block) = rest.split_once("# tls_certificate_sds").unwrap();
    let block: Vec<_> = block.splitn(6, '\n').collect();
    let (after, block) = block.split_last().unwrap();
    let block = block.join("\n").replace("# ", "");
    let shipped = "/etc/envoy/certificate.yaml";
    assert!(block.contains(shipped), "{block}");
    let block = block.replace(shipped, file.to_str().unwrap());
    format!("{before}{between}tls_certificate_sds{block}\n{after}")
}

/// Where `tests/setup` put it.
fn program() -> std::path::PathBuf {
    peers("envoy").join(".venv/bin/envoy")
}

#[tokio::test]
async fn envoy_lets_a_request_with_a_permit_through_once() {
    let held = Held::under(&counted::profile()).await;
    let (front, _gate) = Front::before(&held).await;
    let permit = held.permit("a").await;
    for (status, through) in [(200, 1), (403, 1)] {
        let request = front.bare("POST", counted::PLACE);
        let request = request.header("Writ-Permit", &permit);
        let request = held.signed(request, "POST", counted::PLACE);
        let answer = held.client.answer(request).await;
        assert_eq!(
            (answer.status.as_u16(), front.service.through()),
            (status, through),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn envoy_lets_through_what_the_case_allows_and_tells_the_service_whose_it_is() {
    let held = Held::new().await;
    let (front, _gate) = Front::before(&held).await;
    // What a sender says of itself does not reach the service, however often it says it.
    let mut request = front.get(&held, INVOICE);
    for name in ["Writ-Task", "Writ-Task", "Writ-Workload", "Writ-Workload"] {
        request = request.header(name, "forged");
    }
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
    assert_eq!(answer.json["code"], "context_ended");
    assert!(answer.headers.contains_key("writ-denial"));
    assert_eq!(front.service.through(), 1);
    held.assert_dead().await;
}

#[tokio::test]
async fn after_a_revocation_the_next_request_is_stopped_on_the_same_connection() {
    let held = Held::new().await;
    let (front, _gate) = Front::before(&held).await;
    #[expect(clippy::disallowed_methods, reason = "a client of the service")]
    let builder = reqwest::Client::builder().http2_prior_knowledge();
    let http = builder
        .resolve("billing.example", front.address)
        .build()
        .unwrap();
    // Over HTTP/2 the service's name stands in the address, and so does the port.
    let address = format!("billing.example:8081{INVOICE}");
    let get = || {
        let url = format!("https://{address}");
        let proof = held
            .client
            .proof(&held.key, "GET", &url, Some(held.token()));
        let request = http.get(format!("http://{address}")).header("DPoP", proof);
        request.header("Authorization", format!("DPoP {}", held.token()))
    };
    let answer = held.client.answer(get()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    held.revoke().await;
    let answer = held.client.answer(get()).await;
    assert_eq!(code(&answer), (403, "task_revoked"));
    assert_eq!(front.service.through(), 1);
}

#[tokio::test]
async fn envoy_stops_everything_else_and_the_service_never_hears_of_it() {
    let held = Held::new().await;
    let (front, _gate) = Front::before(&held).await;
    let token = format!("DPoP {}", held.token());
    // Lines that a sender adds so that another request is asked about than the one it makes.
    let mut disguised = front.get(&held, "/users");
    for (name, value) in DISGUISES {
        disguised = disguised.header(*name, *value);
    }
    let long = "x".repeat(100_000);
    let refused = [
        (front.bare("GET", INVOICE), 401, "token_invalid"),
        (
            front.bare("GET", INVOICE).header("Authorization", &token),
            401,
            "proof_required",
        ),
        (
            front.get(&held, INVOICE).header("Authorization", &token),
            401,
            "token_invalid",
        ),
        (
            front.get(&held, INVOICE).header("DPoP", "x"),
            401,
            "proof_invalid",
        ),
        (disguised, 403, "resource_refused"),
        (
            held.signed(front.bare("DELETE", INVOICE), "DELETE", INVOICE),
            403,
            "action_refused",
        ),
        (
            held.signed(front.bare("POST", INVOICE).body(long), "POST", INVOICE),
            403,
            "action_refused",
        ),
        (
            front.get(&held, "/accounts//AC-9/x"),
            400,
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
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let challenged = answer.headers.contains_key("www-authenticate");
        assert_eq!(challenged, status == 401, "{answer:?}");
    }
    assert_eq!(front.service.through(), 0);
    held.assert_dead().await;
}

/// What a sender may say that a gateway in front of it could have said. Not whom it forwards for: who says that is
/// believed less by Envoy.
const DISGUISES: &[(&str, &str)] = &[
    ("X-Forwarded-Uri", INVOICE),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Host", "other.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Client-Cert", "By=spiffe://a/b"),
    ("X-Original-URI", INVOICE),
    ("X-Original-URL", INVOICE),
    ("X-Rewrite-URL", INVOICE),
    ("X-Envoy-Original-Path", INVOICE),
    ("X-Envoy-Original-Host", "other.example"),
    ("X-Envoy-Internal", "true"),
    ("X-Envoy-Decorator-Operation", "other"),
    ("X-Envoy-Retry-On", "5xx"),
    ("X-HTTP-Method-Override", "GET"),
];

#[tokio::test]
async fn what_is_said_to_envoy_as_from_a_proxy_does_not_reach_the_service() {
    let held = Held::new().await;
    let (front, _gate) = Front::before(&held).await;
    let mut request = front.get(&held, INVOICE);
    for (name, value) in DISGUISES {
        request = request.header(*name, *value);
    }
    let answer = held.client.answer(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let names = answer.json["headers"].as_array().unwrap();
    let passed: Vec<_> = names
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| name.starts_with("x-envoy") || name.contains("client-cert"))
        .collect();
    let own = ["x-envoy-expected-rq-timeout-ms", "x-envoy-external-address"];
    assert!(passed.iter().all(|name| own.contains(name)), "{passed:?}");
}

#[tokio::test]
async fn the_path_that_is_judged_is_the_path_that_is_served() {
    let (held, token) = bearer().await;
    let (front, _gate) = Front::before(&held).await;
    // These are one path for everybody, and are served as they were judged.
    for (target, served) in [
        (INVOICE, INVOICE),
        ("/accounts/AC-9/x?y=/../../AC-7", "/accounts/AC-9/x"),
        ("/users/../accounts/AC-9/x", "/accounts/AC-9/x"),
        ("/accounts/AC-7/../AC-9/x", "/accounts/AC-9/x"),
        ("/accounts/AC-7/%2e%2e/AC-9/x", "/accounts/AC-9/x"),
        ("/accounts/AC-9/./x", "/accounts/AC-9/x"),
        ("/accounts/AC-9//../x", "/accounts/AC-9/x"),
        ("http://billing.example/accounts/AC-9/x", "/accounts/AC-9/x"),
    ] {
        let (status, body) = raw(front.address, &get(target, &token, HOST, "")).await;
        assert_eq!(status, 200, "{target}: {body}");
        assert!(
            body.contains(&format!("\"path\":\"{served}\"")),
            "{target}: {body}"
        );
    }
    let through = front.service.through();
    // These are not, or are not granted, or are not one request.
    for (target, host, more) in [
        ("/accounts/AC-9/../../users", HOST, ""),
        ("/accounts/AC-9/%2e%2e/%2e%2e/users", HOST, ""),
        ("/accounts//AC-9/x", HOST, ""),
        ("//accounts/AC-9/x", HOST, ""),
        ("/accounts/AC-9%2f..%2f..%2fusers", HOST, ""),
        ("/accounts/AC-9/..%2f..%2fusers", HOST, ""),
        ("/accounts/AC-9/..%5c..%5cusers", HOST, ""),
        ("/accounts/AC-9/..\\..\\users", HOST, ""),
        ("/accounts/AC-9/..;/..;/users", HOST, ""),
        ("/accounts/AC-9/x;y=1", HOST, ""),
        ("/accounts/AC-9/%252e%252e/users", HOST, ""),
        ("/accounts/AC-9/x%00", HOST, ""),
        ("/accounts/AC-9/x%3f", HOST, ""),
        ("/accounts/AC-9/x#/../users", HOST, ""),
        ("/accounts/AC-9/\u{e9}", HOST, ""),
        ("accounts/AC-9/x", HOST, ""),
        ("*", HOST, ""),
        ("http://other.example/accounts/AC-9/x", HOST, ""),
        (INVOICE, "", ""),
        (INVOICE, "Host: other.example\r\n", ""),
        (INVOICE, "Host: x@billing.example\r\n", ""),
        (INVOICE, "Host: billing.example/users\r\n", ""),
        (
            INVOICE,
            "Host: billing.example\r\nHost: other.example\r\n",
            "",
        ),
        (INVOICE, HOST, "Authorization: Bearer other\r\n"),
        (INVOICE, HOST, "Authorization: Basic eDp5\r\n"),
        (INVOICE, HOST, "WRIT_TASK: forged\r\n"),
        (
            INVOICE,
            HOST,
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        ),
        (INVOICE, HOST, "Transfer-Encoding: xchunked\r\n"),
    ] {
        let (status, body) = raw(front.address, &get(target, &token, host, more)).await;
        let stopped = (400..500).contains(&status) || status == 501;
        assert!(stopped, "{target:?} {host:?} {more:?}: {status} {body}");
    }
    assert_eq!(front.service.through(), through);
    assert_served_as_judged(front.address, &token).await;
}

#[tokio::test]
async fn large_heads_are_judged_or_refused_and_never_let_through_for_their_size() {
    let (held, token) = bearer().await;
    let (front, _gate) = Front::before(&held).await;
    let ask = |path: &str| front.bare("GET", path).bearer_auth(&token);
    // What the broker does not look at it is not shown, so that this is nothing to it.
    let noted = ask(INVOICE).header("X-Note", "n".repeat(50 * 1024));
    assert_eq!(held.client.answer(noted).await.status, 200);
    let query = ask(&format!("{INVOICE}?q={}", "q".repeat(50 * 1024)));
    assert_eq!(held.client.answer(query).await.status, 200);
    let through = front.service.through();
    let long = "t".repeat(50 * 1024);
    let refused = [
        (front.bare("GET", INVOICE).bearer_auth(&long), 401),
        (ask(&format!("/accounts/AC-9/{long}")), 400),
        (ask(INVOICE).header("X-Note", "n".repeat(70 * 1024)), 431),
    ];
    for (request, status) in refused {
        assert_eq!(held.client.answer(request).await.status, status);
    }
    assert_eq!(front.service.through(), through);
}

#[tokio::test]
async fn envoy_lets_nothing_through_while_the_broker_is_away_or_silent_or_another() {
    let held = Held::new().await;
    let gate = Gate::serving(Arc::clone(&held.broker.wired.public)).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = nobody.local_addr().unwrap();
    drop(nobody);
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let stranger = Gate::serving(Arc::clone(&held.broker.wired.public)).await;
    for setup in [
        Setup::at(away, gate.authority()),
        Setup::at(silent_at, gate.authority()).but("timeout: 5s", "timeout: 0.2s"),
        Setup::at(stranger.address(), gate.authority()),
    ] {
        let front = setup.start().await;
        let answer = held.client.answer(front.get(&held, INVOICE)).await;
        assert_eq!((answer.status.as_u16(), &answer.json), (503, &Value::Null));
        assert_eq!(front.service.through(), 0);
    }
    assert!(held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn what_cannot_be_known_is_503_and_stops_a_request_even_where_failures_are_let_through() {
    let held = Held::new().await;
    let gate = Gate::serving(Arc::clone(&held.broker.wired.public)).await;
    let setup = Setup::of(&gate).but("failure_mode_allow: false", "failure_mode_allow: true");
    let front = setup.start().await;
    fault(
        held.broker.desk().faults(),
        Target::Cases,
        Mode::Unavailable,
    );
    held.broker.pass(Duration::from_secs(61)).await;
    let answer = held.client.answer(front.get(&held, INVOICE)).await;
    assert_eq!(code(&answer), (503, "context_unavailable"), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(front.service.through(), 0);
    assert!(held.client.is_active(&held.first).await);
}

#[tokio::test]
async fn an_envoy_that_is_no_resource_server_is_told_nothing_and_lets_nothing_through() {
    let held = Held::new().await;
    let gate = Gate::serving(Arc::clone(&held.broker.wired.public)).await;
    let setup = Setup {
        secret: "billing-secret-that-is-not-its-own-0123456789",
        ..Setup::of(&gate).but("failure_mode_allow: false", "failure_mode_allow: true")
    };
    let front = setup.start().await;
    let before = held.broker.log().await.len();
    let answer = held.client.answer(front.get(&held, INVOICE)).await;
    assert_eq!(code(&answer), (403, "client_invalid"));
    assert!(!answer.headers.contains_key("www-authenticate"));
    assert_eq!(front.service.through(), 0);
    assert_eq!(held.broker.log().await.len(), before);
}

/// The files of a certificate as `writ svid` changes them: all at once, by one link.
fn put(dir: &Path, identity: &str) {
    let chain = identity.find("-----BEGIN CERTIFICATE").unwrap();
    let name = format!("..{}", std::fs::read_dir(dir).unwrap().count());
    let generation = dir.join(&name);
    std::fs::create_dir(&generation).unwrap();
    std::fs::write(generation.join("svid_key.pem"), &identity[..chain]).unwrap();
    std::fs::write(generation.join("svid.pem"), &identity[chain..]).unwrap();
    symlink(&name, dir.join("next")).unwrap();
    std::fs::rename(dir.join("next"), dir.join("..current")).unwrap();
    for file in ["svid_key.pem", "svid.pem"] {
        if !dir.join(file).exists() {
            symlink(Path::new("..current").join(file), dir.join(file)).unwrap();
        }
    }
}

/// A job of the gateway's, and the certificate that it gets: its task, and the key and chain in PEM.
async fn gateway(held: &Held, desk: &openssl::Desk) -> (TaskRef, String) {
    let run = deploy_run(&held.broker).await;
    let key = SessionKey::generate().unwrap();
    let token = held.client.exchange(&run.jobs[0], Some(&key), &[]).await;
    token.assert_issued();
    let made = desk.request(openssl::P256, &[]);
    let answer = held.client.certificate(&made.csr, &token, Some(&key)).await;
    let identity = format!("{}{}", made.key, answer.text("certificate"));
    (TaskRef::Id(token.text("task").parse().unwrap()), identity)
}

#[tokio::test]
async fn envoy_may_show_its_workloads_certificate_which_is_replaced_under_it_and_ends_with_its_task()
 {
    let held = Held::under(&format!("{DEPLOY}{SUPPORT}{ACTIONS}")).await;
    let desk = openssl::Desk::new();
    let [(first, one), (second, another)] =
        [gateway(&held, &desk).await, gateway(&held, &desk).await];
    let gate = Gate::asked_by(&held.broker, Some(&workload(&held.broker))).await;
    let shown = tempfile::tempdir().unwrap();
    put(shown.path(), &one);
    let setup = Setup {
        certificate: Some(shown.path().to_owned()),
        ..Setup::of(&gate).but(
            "max_connection_duration: 60s",
            "max_connection_duration: 0.2s",
        )
    };
    let front = setup.start().await;
    let asks = async || {
        let answer = held.client.answer(front.get(&held, INVOICE)).await;
        (answer.status.as_u16(), answer)
    };
    let broker = &held.broker.wired.broker;
    assert_eq!(asks().await.0, 200);
    // What a certificate was made for ends, and its connection is worth nothing from that moment on.
    put(shown.path(), &another);
    broker
        .end_task(&first, Ending::Revoke, &order())
        .await
        .unwrap();
    until(async || asks().await.0 == 200).await;
    broker
        .end_task(&second, Ending::Revoke, &order())
        .await
        .unwrap();
    assert_eq!(code(&asks().await.1), (403, "client_invalid"));
    assert!(held.client.is_active(&held.first).await);
}
