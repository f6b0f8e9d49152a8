//! Every route of the table is asked what no honest client asks. A new route is asked too: what it does not
//! refuse as the others do fails here.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use writ::surface::http::public;
use writ::surface::http::route::{Caller, Need, Route, Shape, Takes};

use crate::support::broker::BILLING_SECRET;
use crate::support::client::EXCHANGE;
use crate::support::held::Held;
use crate::support::profiles::DEPLOY;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused_by_every_route() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    for route in public::table() {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
        ] {
            if method == route.method {
                continue;
            }
            let answer = ask(&held, &route, &method).send().await.unwrap();
            let allowed = answer.headers()["allow"].to_str().unwrap().to_owned();
            assert!(allowed.contains(route.method.as_str()), "{allowed}");
            let what = format!("{method} {}", route.path);
            assert_refused(answer, 405, None, &what).await;
        }
    }
    let nowhere = held
        .client
        .http
        .get(format!("{}/nowhere", held.broker.issuer));
    assert_refused(nowhere.send().await.unwrap(), 404, None, "nowhere").await;
    assert_untouched(&held, before).await;
}

#[tokio::test]
async fn whoever_shows_nothing_or_something_false_gets_nothing_from_any_route() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    let mut asked = 0;
    for route in public::table() {
        // What is missing, and what is false.
        let expected = match route.caller {
            Caller::Anybody => continue,
            Caller::Evidence => [(400, "request_malformed"), unverified(&route)],
            Caller::AccessToken | Caller::AccessTokenOrCertificate => [(401, "token_invalid"); 2],
            Caller::ResourceServer => [(401, "client_invalid"); 2],
            // To a gateway 401 is the fault of whose request it holds.
            Caller::Gateway => [(403, "client_invalid"); 2],
            Caller::Source => [(401, "evidence_invalid"); 2],
            // RFC 7009 §2.2: a token that nobody knows is as good as revoked.
            Caller::Operator(_) => panic!("{} is no public route", route.path),
            Caller::Holder => [(400, "request_malformed"), (200, "")],
        };
        for (shows, (status, code)) in [false, true].into_iter().zip(expected) {
            let request = ask(&held, &route, &route.method);
            let request = body(request, &route, shows);
            let request = match (route.caller, shows) {
                (Caller::AccessToken | Caller::AccessTokenOrCertificate, true) => {
                    request.bearer_auth("eyJhbGciOiJub25lIn0.e30.")
                }
                (Caller::ResourceServer, true) => request.basic_auth("billing", Some("false")),
                (Caller::Gateway, true) => {
                    request.header("Proxy-Authorization", "Basic YmlsbGluZzpmYWxzZQ==")
                }
                (Caller::Source, true) => request.header("X-Hub-Signature-256", "sha256=00"),
                _ => request,
            };
            let answer = request.send().await.unwrap();
            if status == 200 {
                assert_eq!(answer.status(), 200, "{}", route.path);
            } else {
                assert_refused(answer, status, Some(code), route.path).await;
            }
            asked += 1;
        }
    }
    assert!(asked >= 16, "{asked}");
    assert_untouched(&held, before).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_packed_or_of_another_type_is_refused_by_every_route() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    for route in public::table() {
        let large = ask(&held, &route, &route.method).body(vec![b'a'; LARGE]);
        assert_refused(large.send().await.unwrap(), 413, None, route.path).await;
        let packed = ask(&held, &route, &route.method).header("Content-Encoding", "gzip");
        assert_refused(packed.send().await.unwrap(), 415, None, route.path).await;
        let others: &[&str] = match route.takes {
            Takes::Form(_) => &["", JSON, "text/plain", "multipart/form-data; boundary=x"],
            Takes::Json(_) | Takes::JsonOrNothing(_) => &["", FORM, "text/plain"],
            // A delivery is what its signature says.
            Takes::Nothing | Takes::Delivery | Takes::Bytes(_) => &[],
        };
        for other in others {
            let mut request = ask(&held, &route, &route.method).body("{}");
            if !other.is_empty() {
                request = request.header("Content-Type", *other);
            }
            request = match (route.caller, &route.takes) {
                (Caller::ResourceServer, Takes::Json(_)) => {
                    request.basic_auth("billing", Some(BILLING_SECRET))
                }
                (_, Takes::Json(_)) => request.bearer_auth(held.first.text("access_token")),
                _ => request,
            };
            let answer = request.send().await.unwrap();
            assert_refused(answer, 400, Some("request_malformed"), route.path).await;
        }
    }
    assert_untouched(&held, before).await;
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_by_every_route_that_leaves_one_open() {
    let held = Held::billing(DEPLOY).await;
    let before = held.broker.recorded().await;
    let open = |route: &Route| route.path.contains('{');
    for route in public::table().into_iter().filter(open) {
        let (start, _) = route.path.split_once('{').unwrap();
        let url = format!("{}{start}%ff%fe", held.broker.issuer);
        let request = held.client.http.request(route.method.clone(), url);
        let answer = request.send().await.unwrap();
        assert_refused(answer, 400, Some("request_malformed"), route.path).await;
    }
    assert_untouched(&held, before).await;
}

fn ask(held: &Held, route: &Route, method: &Method) -> RequestBuilder {
    let path: Vec<_> = route
        .path
        .split('/')
        .map(|part| {
            if part.starts_with('{') {
                "github"
            } else {
                part
            }
        })
        .collect();
    let url = format!("{}{}", held.broker.issuer, path.join("/"));
    held.client.http.request(method.clone(), url)
}

/// What the route takes, with what it requires.
fn body(request: RequestBuilder, route: &Route, shows: bool) -> RequestBuilder {
    match &route.takes {
        Takes::Nothing | Takes::Bytes(_) => request,
        Takes::Delivery => request.header("Content-Type", JSON).body("{}"),
        Takes::Json(shape) | Takes::JsonOrNothing(shape) => {
            let (_, schema) = &shape.schemas[0];
            let request = match route.once {
                Some(Need::Required) => request.header("Idempotency-Key", "a"),
                Some(_) | None => request,
            };
            request.json(&required(shape, schema))
        }
        Takes::Form(parameters) => {
            let required = parameters.iter().filter(|p| p.need == Need::Required);
            let mut form: Vec<_> = required
                // Whoever holds a token shows just that.
                .filter(|p| shows || route.caller != Caller::Holder || p.name != "token")
                .map(|p| {
                    (
                        p.name,
                        if p.name == "grant_type" {
                            EXCHANGE
                        } else {
                            "false"
                        },
                    )
                })
                .collect();
            if shows && route.caller == Caller::Evidence {
                form.push(("subject_token", "eyJhbGciOiJub25lIn0.e30."));
                form.push(("subject_token_type", crate::support::client::ID_TOKEN));
            }
            request.form(&form)
        }
    }
}

/// The least that a schema takes.
fn required(shape: &Shape, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let named = shape.schemas.iter().find(|(known, _)| known == name);
        return required(shape, &named.unwrap().1);
    }
    let Some(names) = schema["required"].as_array() else {
        return "db.example".into();
    };
    let names = names.iter().map(|name| name.as_str().unwrap());
    let member = |name: &str| {
        (
            name.to_owned(),
            required(shape, &schema["properties"][name]),
        )
    };
    Value::Object(names.map(member).collect())
}

/// The OAuth endpoint says 400 where the API says 401 (RFC 8693 §2.2.2).
fn unverified(route: &Route) -> (u16, &'static str) {
    let oauth = route.refuses == writ::surface::http::route::Refuses::OAuth;
    (if oauth { 400 } else { 401 }, "evidence_invalid")
}

/// A refusal in one of the two published forms.
async fn assert_refused(answer: Response, status: u16, code: Option<&str>, what: &str) {
    assert_eq!(answer.status().as_u16(), status, "{what}: {answer:?}");
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let json: Value = answer.json().await.unwrap();
    if kind == "application/problem+json" {
        assert_eq!(json["status"], status, "{what}");
    } else {
        assert_eq!(kind, JSON, "{what}");
        assert!(json["error"].is_string(), "{what}: {json}");
    }
    assert_eq!(
        json.get("code").and_then(Value::as_str),
        code,
        "{what}: {json}"
    );
}

/// Nothing was issued, and what stands still does.
async fn assert_untouched(held: &Held, before: crate::support::ledger::Recorded) {
    assert_eq!(held.broker.recorded().await, before);
    assert!(held.is_active().await);
}

/// More than any route takes.
const LARGE: usize = 2 * 1024 * 1024;
