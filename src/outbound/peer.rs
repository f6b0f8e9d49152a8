//! One peer at one origin: a call is checked, admitted by the breaker, sent, and read, all before its deadline.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::{
    Content, Origin, Outbound, OutboundError, Rule, Rules, body,
    breaker::{Breaker, Pass},
    client,
    flight::Flights,
};
use crate::{
    domain::time::Timestamp,
    seams::Clock,
    telemetry::{
        span::{Mark, Role},
        trace, traceparent,
    },
};

/// A success (or `304` to a conditional request) from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: StatusCode,
    /// As received; the peer's own words, and as little trusted.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When the request was made: the answer is no younger than this.
    pub asked: Timestamp,
}

impl Response {
    /// The body as a value.
    ///
    /// # Errors
    /// `NotJson` when it is not JSON of this shape. What was read is not repeated.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, OutboundError> {
        serde_json::from_slice(&self.body).map_err(|_| OutboundError::NotJson)
    }

    /// What to send as `If-None-Match` next time.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.headers.get(header::ETAG)
    }

    /// Whether the copy that the caller has is still the current one (RFC 9110 §15.4.5).
    pub fn not_modified(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
    }
}

/// A peer. Cheap to clone; clones share connections, flights and the breaker.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    origin: Origin,
    rules: Rules,
    client: reqwest::Client,
    breaker: Arc<Breaker>,
    flights: Flights,
    room: Semaphore,
    total: Duration,
    clock: Arc<dyn Clock>,
}

struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether an answer that refuses is an answer too.
    refusals: bool,
}

impl Peer {
    pub(super) fn new(
        origin: Origin,
        rules: Rules,
        client: reqwest::Client,
        breaker: Arc<Breaker>,
        outbound: &Outbound,
    ) -> Self {
        Self(Arc::new(Inner {
            origin,
            rules,
            client,
            breaker,
            flights: Flights::default(),
            room: Semaphore::new(outbound.settings.in_flight),
            total: outbound.settings.total,
            clock: Arc::clone(&outbound.clock),
        }))
    }

    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Asks for `path` (with its query, in normal form) before `deadline`.
    pub async fn get(
        &self,
        path: &str,
        headers: HeaderMap,
        deadline: Timestamp,
    ) -> Result<Response, OutboundError> {
        let call = Call {
            method: Method::GET,
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            refusals: false,
        };
        self.0.call(call, deadline).await
    }

    /// Sends `body` to `path`. Never repeated by itself; the content type is the caller's header.
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        deadline: Timestamp,
    ) -> Result<Response, OutboundError> {
        let call = Call {
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body,
            refusals: false,
        };
        self.0.call(call, deadline).await
    }

    /// As [`Peer::get`] and [`Peer::post`], for a caller who reads refusals: every answer is handed on with
    /// its body, whatever its status, except a redirect.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        deadline: Timestamp,
    ) -> Result<Response, OutboundError> {
        let call = Call {
            method,
            path: path.to_owned(),
            headers,
            body,
            refusals: true,
        };
        self.0.call(call, deadline).await
    }

    /// As [`Peer::get`], sharing the request with everybody who is asking for the same at this moment. The
    /// answer may have been asked for before this call: see [`Response::asked`].
    pub async fn get_coalesced(
        &self,
        path: &str,
        headers: HeaderMap,
        deadline: Timestamp,
    ) -> Result<Response, OutboundError> {
        let flight = self.0.flights.join(path, &headers, || {
            let (peer, path, headers) = (Arc::clone(&self.0), path.to_owned(), headers.clone());
            // The flight has the whole allowance: a caller in a hurry must not cut short those who joined.
            let latest = peer.clock.now().plus(peer.total);
            let call = Call {
                method: Method::GET,
                path,
                headers,
                body: Bytes::new(),
                refusals: false,
            };
            async move { peer.call(call, latest).await }.boxed()
        });
        self.0.within(deadline, flight).await
    }
}

impl Inner {
    /// One call, told in the trace of whoever makes it: to whom and how it ended, and no path.
    fn call(
        &self,
        call: Call,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Response, OutboundError>> {
        let name = if call.method == Method::GET {
            "GET"
        } else {
            "POST"
        };
        let about = || {
            vec![
                Mark::Method(name),
                Mark::Host(self.origin.host()),
                Mark::Port(self.origin.port()),
            ]
        };
        let work = self.within(deadline, self.send(call));
        trace::told(Role::Client, name, about, work, |outcome| {
            vec![end(outcome)]
        })
    }

    async fn within(
        &self,
        deadline: Timestamp,
        work: impl Future<Output = Result<Response, OutboundError>>,
    ) -> Result<Response, OutboundError> {
        let latest = self.clock.now().plus(self.total).min(deadline);
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = self.clock.sleep_until(latest) => Err(OutboundError::TimedOut),
        }
    }

    async fn send(&self, call: Call) -> Result<Response, OutboundError> {
        let refusals = call.refusals;
        let request = self.request(call)?;
        let conditional = request.headers().contains_key(header::IF_NONE_MATCH);
        // The semaphore is never closed, so that an error here cannot mean anything but "no".
        let _room = self
            .room
            .acquire()
            .await
            .map_err(|_| OutboundError::Unreachable)?;
        let pass = self.breaker.admit().map_err(OutboundError::Open)?;
        let outcome = self.exchange(request, conditional, refusals).await;
        let refused = outcome.as_ref().ok().filter(|answer| {
            !answer.status.is_success() && answer.status != StatusCode::NOT_MODIFIED
        });
        let refused = refused.map(|answer| OutboundError::Status(answer.status.as_u16()));
        judge(pass, refused.as_ref().or(outcome.as_ref().err()));
        outcome
    }

    fn request(&self, call: Call) -> Result<reqwest::Request, OutboundError> {
        if FRAMING.iter().any(|name| call.headers.contains_key(name)) {
            return Err(OutboundError::Refused(Rule::Header));
        }
        let mut request = reqwest::Request::new(call.method, self.origin.url(&call.path)?);
        let headers = request.headers_mut();
        *headers = call.headers;
        if let Some(parent) = trace::parent().and_then(|parent| parent.header()) {
            headers.insert(traceparent::HEADER, parent);
        }
        self.rules.shown.put(headers)?;
        if self.rules.content == Content::Json {
            let json = HeaderValue::from_static("application/json");
            headers.entry(header::ACCEPT).or_insert(json);
        }
        if !call.body.is_empty() {
            *request.body_mut() = Some(call.body.into());
        }
        Ok(request)
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        conditional: bool,
        refusals: bool,
    ) -> Result<Response, OutboundError> {
        let asked = self.clock.now();
        let mut answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| client::failure(&error))?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        if status == StatusCode::NOT_MODIFIED && conditional {
            return Ok(Response {
                status,
                headers,
                body: Bytes::new(),
                asked,
            });
        }
        if REDIRECTS.contains(&status) {
            return Err(OutboundError::Redirect);
        }
        if !status.is_success() && !refusals {
            return Err(OutboundError::Status(status.as_u16()));
        }
        let body = body::read(answer, &headers, &self.rules).await?;
        Ok(Response {
            status,
            headers,
            body,
            asked,
        })
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.0.origin).finish()
    }
}

/// How a call ended, as its span tells it.
fn end(outcome: &Result<Response, OutboundError>) -> Mark {
    match outcome {
        Ok(answer) => Mark::Status(answer.status.as_u16()),
        Err(OutboundError::Status(status)) => Mark::Status(*status),
        Err(OutboundError::Refused(_)) => Mark::Failure("refused"),
        Err(OutboundError::Unreachable) => Mark::Failure("unreachable"),
        Err(OutboundError::TimedOut) => Mark::Failure("timeout"),
        Err(OutboundError::Redirect) => Mark::Failure("redirect"),
        Err(OutboundError::TooLarge) => Mark::Failure("too_large"),
        Err(OutboundError::NotJson) => Mark::Failure("not_json"),
        Err(OutboundError::Open(_)) => Mark::Failure("circuit_open"),
    }
}

/// Tells the breaker. An answer that concerns this one request (most of 4xx) shows a peer in good health; our
/// own rules say nothing about it.
fn judge(pass: Pass, error: Option<&OutboundError>) {
    match error {
        None | Some(OutboundError::Status(..429 | 430..500) | OutboundError::TooLarge) => {
            pass.answered();
        }
        Some(
            OutboundError::Status(429 | 500..)
            | OutboundError::Unreachable
            | OutboundError::TimedOut
            | OutboundError::Redirect
            | OutboundError::NotJson,
        ) => pass.failed(),
        Some(OutboundError::Refused(_) | OutboundError::Open(_)) => drop(pass),
    }
}

/// Headers that decide where a message goes or ends; they follow from the call and are not the caller's.
const FRAMING: [header::HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT_ENCODING,
    header::UPGRADE,
];

/// The statuses that name another place (RFC 9110 §15.4).
const REDIRECTS: [StatusCode; 6] = [
    StatusCode::MULTIPLE_CHOICES,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

#[cfg(test)]
mod tests {
    use std::{io, net::IpAddr};

    use futures_util::future::{BoxFuture, join_all};

    use super::*;
    use crate::outbound::{
        Credential, Lookup, OutboundSettings, SetupError, Shown, Slot, Trust,
        address::AddressKind,
        trap::{Trap, answer},
    };
    use crate::{domain::secret::Secret, seams::ManualClock, telemetry::settings::Sampling};

    const SECOND: Duration = Duration::from_secs(1);

    /// Every name is at this address.
    struct Fixed(IpAddr);

    impl Lookup for Fixed {
        fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let address = self.0;
            Box::pin(async move { Ok(vec![address]) })
        }
    }

    struct Fixture {
        clock: Arc<ManualClock>,
        outbound: Outbound,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = today();
            let settings = OutboundSettings {
                plain_http_on_loopback: true,
                platform_roots: "no/such/file".into(),
                ..OutboundSettings::default()
            };
            let seam = Arc::clone(&clock) as Arc<dyn Clock>;
            let lookup = Arc::new(Fixed("127.0.0.1".parse().unwrap()));
            Self {
                clock,
                outbound: Outbound::with_lookup(settings, seam, lookup),
            }
        }

        fn peer(&self, trap: &Trap) -> Peer {
            self.peer_with(trap, rules())
        }

        fn peer_with(&self, trap: &Trap, rules: Rules) -> Peer {
            let origin = Origin::parse(&format!("http://{}", trap.address)).unwrap();
            self.outbound.client_for(origin, rules).unwrap()
        }

        async fn get(&self, peer: &Peer) -> Result<Response, OutboundError> {
            peer.get("/x", HeaderMap::new(), self.soon()).await
        }

        fn soon(&self) -> Timestamp {
            self.clock.now().plus(5 * SECOND)
        }
    }

    /// A day on which the certificates of these tests are valid.
    fn today() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(
            Timestamp::from_seconds(1_800_000_000).unwrap(),
        ))
    }

    fn authority() -> (String, rustls::ServerConfig) {
        let key = rcgen::KeyPair::generate().unwrap();
        let name = vec!["idp.example".to_owned()];
        let certificate = rcgen::CertificateParams::new(name)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let private = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        (certificate.pem(), server)
    }

    fn rules() -> Rules {
        Rules {
            trust: Trust::Only(authority().0.into_bytes()),
            ..Rules::json()
        }
    }

    #[tokio::test]
    async fn an_answer_comes_with_its_etag_and_the_time_it_was_asked_for() {
        let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"v1\"\r\n\
                    content-length: 8\r\nconnection: close\r\n\r\n{\"a\": 1}";
        let (fixture, trap) = (Fixture::new(), Trap::answering(text).await);
        let response = fixture.get(&fixture.peer(&trap)).await.unwrap();
        assert_eq!(response.json::<serde_json::Value>().unwrap()["a"], 1);
        assert_eq!(response.etag().unwrap(), "\"v1\"");
        assert_eq!(response.asked, fixture.clock.now());
        assert_eq!(response.json::<Vec<u8>>(), Err(OutboundError::NotJson));
    }

    #[tokio::test]
    async fn an_unchanged_document_is_an_answer_only_to_a_conditional_request() {
        let text = "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n";
        let (fixture, trap) = (Fixture::new(), Trap::answering(text).await);
        let peer = fixture.peer(&trap);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"v1\""));
        assert!(
            peer.get("/x", headers, fixture.soon())
                .await
                .unwrap()
                .not_modified()
        );
        assert_eq!(fixture.get(&peer).await, Err(OutboundError::Status(304)));
    }

    #[tokio::test]
    async fn a_redirect_is_refused_and_not_followed() {
        let fixture = Fixture::new();
        let target = Trap::answering(answer("200 OK", "application/json", "{}")).await;
        for status in ["301", "302", "303", "307", "308"] {
            let text = format!(
                "HTTP/1.1 {status} Over There\r\nlocation: http://{}/x\r\nconnection: close\r\n\
                 content-length: 0\r\n\r\n",
                target.address
            );
            let trap = Trap::answering(text).await;
            let outcome = fixture.get(&fixture.peer(&trap)).await;
            assert_eq!(outcome, Err(OutboundError::Redirect), "{status}");
            assert_eq!(trap.connections(), 1);
        }
        assert_eq!(target.connections(), 0);
    }

    #[tokio::test]
    async fn a_refusal_is_read_by_whoever_asked_for_refusals_and_still_counts_as_one() {
        let fixture = Fixture::new();
        let busy = answer("503 Busy", "application/json", "{\"code\":\"overloaded\"}");
        let trap = Trap::answering(busy).await;
        let peer = fixture.peer(&trap);
        let ask = || {
            let (headers, body) = (HeaderMap::new(), Bytes::new());
            peer.ask(Method::POST, "/x", headers, body, fixture.soon())
        };
        for _ in 0..5 {
            let refused = ask().await.unwrap();
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                refused.json::<serde_json::Value>().unwrap()["code"],
                "overloaded"
            );
        }
        assert_eq!(ask().await, Err(OutboundError::Open(10 * SECOND)));
    }

    #[tokio::test]
    async fn a_page_with_status_200_is_not_json() {
        let fixture = Fixture::new();
        let page = Trap::answering(answer("200 OK", "text/html", "<html>{}</html>")).await;
        assert_eq!(
            fixture.get(&fixture.peer(&page)).await,
            Err(OutboundError::NotJson)
        );
        let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
                    content-length: 2\r\nconnection: close\r\n\r\n{}";
        let encoded = Trap::answering(text).await;
        assert_eq!(
            fixture.get(&fixture.peer(&encoded)).await,
            Err(OutboundError::NotJson)
        );
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_cut_whether_it_tells_its_length_or_not() {
        let fixture = Fixture::new();
        let small = Rules {
            max_body: 64,
            ..rules()
        };
        let told = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                    content-length: 99999999999\r\n\r\n[";
        let chunk = format!("40\r\n{}\r\n", " ".repeat(64)).repeat(4096);
        let untold = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{chunk}"
        );
        for text in [told.to_owned(), untold] {
            let trap = Trap::answering(text).await;
            let outcome = fixture.get(&fixture.peer_with(&trap, small.clone())).await;
            assert_eq!(outcome, Err(OutboundError::TooLarge));
        }
        let exact = Trap::answering(answer("200 OK", "application/json", &" ".repeat(64))).await;
        let whole = fixture
            .get(&fixture.peer_with(&exact, small))
            .await
            .unwrap();
        assert_eq!(whole.body.len(), 64);
    }

    #[tokio::test]
    async fn a_name_that_answers_with_loopback_is_not_connected_to() {
        let (fixture, (_, server)) = (Fixture::new(), authority());
        let trap = Trap::tls(answer("200 OK", "application/json", "{}"), server).await;
        let url = format!("https://idp.example:{}", trap.address.port());
        let peer = fixture
            .outbound
            .client_for(Origin::parse(&url).unwrap(), rules())
            .unwrap();
        let refused = OutboundError::Refused(Rule::Address(AddressKind::Loopback));
        assert_eq!(fixture.get(&peer).await, Err(refused));
        assert_eq!(trap.connections(), 0);
    }

    #[tokio::test]
    async fn a_named_network_with_its_own_authority_is_reached_over_tls() {
        let (fixture, (pem, server)) = (Fixture::new(), authority());
        let trap = Trap::tls(answer("200 OK", "application/json", "{}"), server).await;
        let url = format!("https://idp.example:{}", trap.address.port());
        let origin = Origin::parse(&url).unwrap();
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let trusting = Rules {
            networks,
            trust: Trust::Only(pem.into_bytes()),
            ..rules()
        };
        let distrusting = Rules {
            trust: rules().trust,
            ..trusting.clone()
        };
        let peer = fixture
            .outbound
            .client_for(origin.clone(), trusting)
            .unwrap();
        assert_eq!(fixture.get(&peer).await.unwrap().body, "{}");
        let stranger = fixture.outbound.client_for(origin, distrusting).unwrap();
        assert_eq!(
            fixture.get(&stranger).await,
            Err(OutboundError::Unreachable)
        );
        assert_eq!(trap.requests().len(), 1);
    }

    #[tokio::test]
    async fn origins_that_may_not_be_spoken_to_give_no_peer() {
        let fixture = Fixture::new();
        for (url, rule) in [
            ("http://idp.example", Rule::PlainHttp),
            ("http://10.0.0.1", Rule::PlainHttp),
            (
                "https://169.254.169.254",
                Rule::Address(AddressKind::LinkLocal),
            ),
            ("https://10.0.0.1", Rule::Address(AddressKind::Private)),
        ] {
            let outcome = fixture
                .outbound
                .client_for(Origin::parse(url).unwrap(), rules());
            assert!(
                matches!(outcome, Err(SetupError::Refused(found)) if found == rule),
                "{url}"
            );
        }
        let origin = Origin::parse("https://idp.example").unwrap();
        let outcome = fixture.outbound.client_for(origin, Rules::json());
        assert!(
            matches!(outcome, Err(SetupError::Roots { .. })),
            "no file of authorities"
        );
        let strict = Outbound::new(OutboundSettings::default(), today());
        let outcome = strict.client_for(Origin::parse("http://127.0.0.1:1").unwrap(), rules());
        assert!(matches!(outcome, Err(SetupError::Refused(Rule::PlainHttp))));
    }

    #[tokio::test]
    async fn a_silent_peer_costs_no_more_than_the_deadline() {
        let (fixture, trap) = (Fixture::new(), Trap::holding("").await);
        let peer = fixture.peer(&trap);
        let (outcome, ()) = tokio::join!(fixture.get(&peer), async {
            trap.saw(1).await;
            fixture.clock.advance(5 * SECOND);
        });
        assert_eq!(outcome, Err(OutboundError::TimedOut));
    }

    #[tokio::test]
    async fn a_failing_peer_is_left_alone_and_then_tried_once() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("502 Bad Gateway", "text/html", "")).await;
        let peer = fixture.peer(&trap);
        for _ in 0..5 {
            assert_eq!(fixture.get(&peer).await, Err(OutboundError::Status(502)));
        }
        // Another peer at the same origin is under the same breaker.
        let twin = fixture.peer(&trap);
        assert_eq!(
            fixture.get(&twin).await,
            Err(OutboundError::Open(10 * SECOND))
        );
        assert_eq!(trap.connections(), 5);
        fixture.clock.advance(10 * SECOND);
        assert_eq!(fixture.get(&peer).await, Err(OutboundError::Status(502)));
        assert_eq!(
            fixture.get(&peer).await,
            Err(OutboundError::Open(10 * SECOND))
        );
        assert_eq!(trap.connections(), 6);
    }

    #[tokio::test]
    async fn a_missing_record_is_an_answer_and_opens_nothing() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("404 Not Found", "application/json", "{}")).await;
        let peer = fixture.peer(&trap);
        for _ in 0..9 {
            assert_eq!(fixture.get(&peer).await, Err(OutboundError::Status(404)));
        }
    }

    #[tokio::test]
    async fn sixty_four_callers_make_one_request() {
        let fixture = Fixture::new();
        let trap = Trap::holding(answer("200 OK", "application/json", "{}")).await;
        let peer = fixture.peer(&trap);
        let asks = (0..64).map(|_| peer.get_coalesced("/x", HeaderMap::new(), fixture.soon()));
        let (outcomes, ()) = tokio::join!(join_all(asks), async {
            trap.saw(1).await;
            trap.release();
        });
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.as_ref().unwrap().body == "{}")
        );
        assert_eq!(trap.requests().len(), 1);
        peer.get_coalesced("/x", HeaderMap::new(), fixture.soon())
            .await
            .unwrap();
        assert_eq!(
            trap.requests().len(),
            2,
            "a finished answer is not served again"
        );
    }

    #[tokio::test]
    async fn an_answer_is_shared_neither_across_headers_nor_with_those_who_left() {
        let fixture = Fixture::new();
        let trap = Trap::holding(answer("200 OK", "application/json", "{}")).await;
        let peer = fixture.peer(&trap);
        let mut mine = HeaderMap::new();
        mine.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer mine"),
        );
        let hasty = fixture.clock.now().plus(SECOND);
        let (first, second, third, ()) = tokio::join!(
            peer.get_coalesced("/x", HeaderMap::new(), hasty),
            peer.get_coalesced("/x", HeaderMap::new(), fixture.soon()),
            peer.get_coalesced("/x", mine, fixture.soon()),
            async {
                trap.saw(2).await;
                fixture.clock.advance(SECOND);
                tokio::task::yield_now().await;
                trap.release();
            }
        );
        assert_eq!(first, Err(OutboundError::TimedOut));
        assert_eq!(second.unwrap().body, "{}");
        assert_eq!(third.unwrap().body, "{}");
        assert_eq!(trap.requests().len(), 2);
    }

    #[tokio::test]
    async fn the_bearer_goes_to_the_peer_and_into_no_error() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("401 Unauthorized", "text/html", "")).await;
        let token = Secret::from("hunter2".to_owned());
        let rules = Rules {
            shown: Shown::This(Credential::bearer(&token).unwrap()),
            ..rules()
        };
        let peer = fixture.peer_with(&trap, rules);
        let error = fixture.get(&peer).await.unwrap_err();
        assert!(trap.requests()[0].contains("authorization: Bearer hunter2\r\n"));
        assert!(!format!("{error} {error:?} {peer:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn without_the_credential_that_it_is_to_show_nothing_is_sent() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("401 Unauthorized", "text/html", "")).await;
        let slot = Slot::default();
        let rules = Rules {
            shown: Shown::Held(slot.clone()),
            ..rules()
        };
        let peer = fixture.peer_with(&trap, rules);
        // More often than the breaker takes: the peer did not fail.
        for _ in 0..20 {
            let error = fixture.get(&peer).await.unwrap_err();
            assert_eq!(error, OutboundError::Refused(Rule::NoCredential));
        }
        assert!(trap.requests().is_empty());
        for text in ["first", "second"] {
            slot.hold(Some(
                Credential::bearer(&Secret::from(text.to_owned())).unwrap(),
            ));
            fixture.get(&peer).await.unwrap_err();
            let last = trap.requests().pop().unwrap();
            assert!(
                last.contains(&format!("authorization: Bearer {text}\r\n")),
                "{last}"
            );
        }
    }

    #[tokio::test]
    async fn a_call_names_its_own_span_as_the_parent_where_there_is_one() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("200 OK", "application/json", "{}")).await;
        let peer = fixture.peer(&trap);
        fixture.get(&peer).await.unwrap();
        assert!(!trap.requests()[0].contains("traceparent"));
        let clock = Arc::new(ManualClock::at(fixture.clock.now()));
        let entropy = Arc::new(crate::seams::SystemEntropy);
        let all = Sampling::new(1.0).unwrap();
        let (tracer, mut queue) = trace::Tracer::new(all, clock, entropy);
        let span = tracer.request(None, "GET /x".to_owned(), Vec::new());
        let work = async { fixture.get(&peer).await.unwrap() };
        trace::request(span.unwrap(), work, |_| Mark::Status(200)).await;
        let spans = queue.recv().await.unwrap();
        let call = spans.iter().find(|span| span.role == Role::Client).unwrap();
        let header = format!("traceparent: 00-{}-{}-01\r\n", call.trace, call.id);
        assert!(
            trap.requests()[1].contains(&header),
            "{:?}",
            trap.requests()
        );
    }

    #[tokio::test]
    async fn a_caller_cannot_choose_the_host_by_a_header_or_a_path() {
        let fixture = Fixture::new();
        let trap = Trap::answering(answer("200 OK", "application/json", "{}")).await;
        let peer = fixture.peer(&trap);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("evil.example"));
        let outcome = peer.get("/x", headers, fixture.soon()).await;
        assert_eq!(outcome, Err(OutboundError::Refused(Rule::Header)));
        let outcome = peer
            .get("/a/../../admin", HeaderMap::new(), fixture.soon())
            .await;
        assert_eq!(outcome, Err(OutboundError::Refused(Rule::Path)));
        assert_eq!(trap.connections(), 0);
    }
}
