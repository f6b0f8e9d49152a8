//! Every route of operators is asked what no honest operator asks, in each part of a request that it leaves
//! open: its path, its query, its body. Whatever it is, the answer is a problem document and the log has
//! nothing new. What a route says of itself is where the questions come from, so that a new one is asked too.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use writ::surface::http::admin::table;
use writ::surface::http::admin::table::OperatorRoute;
use writ::surface::http::route::Takes;

use crate::support::broker::Broker;
use crate::support::client::Answer;
use crate::support::desk::{Desk, JSON};
use crate::support::profiles::DEPLOY;

/// A desk, and what the log of its broker had when nothing was asked yet.
struct Walk {
    broker: Broker,
    desk: Desk,
    before: usize,
}

impl Walk {
    async fn new() -> Self {
        let broker = Broker::with(DEPLOY).await;
        broker.put_secret("ci/prod/key", "kept-canary").await;
        let desk = Desk::open(&broker);
        let before = broker.log().await.len();
        Self {
            broker,
            desk,
            before,
        }
    }

    async fn ask(&self, route: &OperatorRoute, path: &str, body: &[u8], kind: &str) -> Answer {
        let kind = [("content-type", kind)];
        let kind = if kind[0].1.is_empty() { &[][..] } else { &kind };
        let body = Bytes::copy_from_slice(body);
        self.desk.ask(route.method.clone(), path, body, kind).await
    }

    /// With what the route takes, so that the rest of the request is what is refused.
    async fn at(&self, route: &OperatorRoute, path: &str) -> Answer {
        let body = honest(route);
        self.ask(route, path, body.as_bytes(), kind(route)).await
    }

    /// A body that differs from an honest one, at a path that is one.
    async fn with(&self, route: &OperatorRoute, body: &str) -> Answer {
        self.ask(route, &filled(route.path), body.as_bytes(), JSON.1)
            .await
    }

    async fn assert_untouched(self) {
        assert_eq!(self.broker.log().await.len(), self.before);
    }
}

/// A path whose open parts are well formed and name what is not there.
fn filled(path: &str) -> String {
    path.replace("{task}", "task_018f2b3c4d5e7f60a1b2c3d4e5f60718")
        .replace("{scope}", "profile%2Fdeploy")
        .replace("{challenge}", "ch-018f2b3c4d5e7f60a1b2c3d4e5f60718-2")
        .replace("{lineage}", "lin_018f2b3c4d5e7f60a1b2c3d4e5f60718")
        .replace("denials/{id}", "denials/dn-9-9")
        .replace("{id}", "no-such-key")
        .replace("{step}", "activate")
        .replace("{about}", "dn-9-9")
        .replace("{*path}", "no/such")
}

/// The schema of the JSON that a route takes, with the example that it is published with.
fn taken(route: &OperatorRoute) -> Option<(&Value, &Value)> {
    let (Takes::Json(shape) | Takes::JsonOrNothing(shape)) = &route.takes else {
        return None;
    };
    let (_, schema) = &shape.schemas[0];
    assert_eq!(schema["additionalProperties"], false, "{}", route.path);
    let example = schema.get("example");
    Some((
        schema,
        example.unwrap_or_else(|| panic!("{} has no example", route.path)),
    ))
}

fn honest(route: &OperatorRoute) -> String {
    match (&route.takes, taken(route)) {
        (_, Some((_, example))) => example.to_string(),
        (Takes::Bytes(_), None) => "dn-9-9".to_owned(),
        _ => String::new(),
    }
}

fn kind(route: &OperatorRoute) -> &'static str {
    match route.takes {
        Takes::Json(_) | Takes::JsonOrNothing(_) => JSON.1,
        Takes::Bytes(_) => "application/octet-stream",
        _ => "",
    }
}

/// A refusal in the published form, of a status that the route is published with.
fn assert_refused(answer: &Answer, route: &OperatorRoute, what: &str) {
    let status = answer.status.as_u16();
    let what = format!("{} {} {what}: {answer:?}", route.method, route.path);
    assert!((400..500).contains(&status), "{what}");
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{what}"
    );
    assert_eq!(answer.json["status"], status, "{what}");
    let anyones = [405, 413, 415].contains(&status);
    assert_eq!(anyones, answer.json["code"].is_null(), "{what}");
    assert!(anyones || route.refused.contains(&status), "{what}");
}

fn assert_malformed(answer: &Answer, route: &OperatorRoute, what: &str) {
    assert_refused(answer, route, what);
    assert_eq!(
        answer.json["code"], "request_malformed",
        "{what}: {answer:?}"
    );
}

#[tokio::test]
async fn a_body_that_is_not_what_the_route_takes_is_refused_by_every_route_and_nothing_is_written()
{
    let walk = Walk::new().await;
    let mut asked = 0;
    for route in table().routes() {
        let Some((_, example)) = taken(route) else {
            continue;
        };
        let honest = example.to_string();
        let mut unknown = example.clone();
        unknown["surprise"] = json!(1);
        let answer = walk.with(route, &unknown.to_string()).await;
        assert_malformed(&answer, route, "an unknown member");
        let detail = answer.text("detail");
        assert!(detail.contains("unknown field `surprise`"), "{detail}");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let twice = honest.replacen('{', &format!("{{{},", member(example)), 1);
        for bad in [
            "{",
            "null",
            "[]",
            "\"canary\"",
            "1e99999",
            "\u{feff}{}",
            "{\"\\ud800\":1}",
            &format!("{honest} {honest}"),
            &format!("{honest}canary"),
            &twice,
            &deep,
        ] {
            let answer = walk.with(route, bad).await;
            let shown: String = bad.chars().take(60).collect();
            assert_malformed(&answer, route, &shown);
            assert!(!answer.text("detail").contains("canary"), "{answer:?}");
            asked += 1;
        }
        let answer = walk
            .ask(route, &filled(route.path), b"{\"\xff\":1}", JSON.1)
            .await;
        assert_malformed(&answer, route, "no text");
        for other in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonl",
        ] {
            let answer = walk
                .ask(route, &filled(route.path), honest.as_bytes(), other)
                .await;
            assert_malformed(&answer, route, other);
        }
        if matches!(route.takes, Takes::Json(_)) {
            assert_malformed(&walk.with(route, "").await, route, "nothing");
        }
    }
    assert!(asked > 80, "{asked}");
    walk.assert_untouched().await;
}

/// The first member of an object, as it is written there.
fn member(object: &Value) -> String {
    let (name, value) = object.as_object().unwrap().iter().next().unwrap();
    format!("{}:{value}", Value::from(name.as_str()))
}

#[tokio::test]
async fn a_member_of_another_type_or_without_an_end_is_refused_by_every_route_and_nothing_is_written()
 {
    let walk = Walk::new().await;
    let mut asked = 0;
    for route in table().routes() {
        let Some((schema, example)) = taken(route) else {
            continue;
        };
        for (name, member) in schema["properties"].as_object().unwrap() {
            let is = |kind: &str| {
                let of = &member["type"];
                of == kind || of.as_array().is_some_and(|all| all.contains(&json!(kind)))
            };
            let long = "x".repeat(100_000);
            let bad = if is("array") {
                vec![
                    json!("one"),
                    json!([1]),
                    json!([long]),
                    json!(vec![long.clone(); 9]),
                    json!(vec!["x"; 1000]),
                ]
            } else if is("string") {
                vec![
                    json!(1),
                    json!(["one"]),
                    json!(long),
                    json!("\u{0}"),
                    json!("a\nb\u{1b}[31m"),
                ]
            } else {
                vec![json!("yes"), json!(2), json!([]), Value::Null]
            };
            for value in bad {
                let mut body = example.clone();
                body[name] = value.clone();
                let answer = walk.with(route, &body.to_string()).await;
                let shown: String = value.to_string().chars().take(60).collect();
                assert_malformed(&answer, route, &format!("{name}: {shown}"));
                asked += 1;
            }
        }
    }
    assert!(asked > 60, "{asked}");
    walk.assert_untouched().await;
}

#[tokio::test]
async fn a_path_that_names_nothing_is_refused_by_every_route_and_nothing_is_written() {
    let walk = Walk::new().await;
    let mut asked = 0;
    for route in table().routes() {
        let Some((start, rest)) = route.path.split_once('{') else {
            continue;
        };
        let (_, end) = rest.split_once('}').unwrap();
        let end = filled(end);
        let broken = walk.at(route, &format!("{start}%ff%fe{end}")).await;
        assert_malformed(&broken, route, "no text");
        for bad in [
            "x".repeat(20_000),
            "%00".to_owned(),
            "..%2F..%2Fetc".to_owned(),
            "%1b%5B31m".to_owned(),
        ] {
            let answer = walk.at(route, &format!("{start}{bad}{end}")).await;
            assert_refused(&answer, route, "a bad name");
        }
        // Nothing is there yet when a secret is put.
        if route.method != Method::PUT {
            let absent = walk.at(route, &filled(route.path)).await;
            assert_refused(&absent, route, "what is not there");
            assert_eq!(absent.json["code"], "not_found", "{absent:?}");
        }
        asked += 1;
    }
    assert!(asked >= 10, "{asked}");
    walk.assert_untouched().await;
}

#[tokio::test]
async fn a_query_that_the_route_does_not_have_is_refused_by_every_list() {
    let walk = Walk::new().await;
    let mut asked = 0;
    for route in table().routes() {
        let long = format!("{}={}", "cursor", "x".repeat(10_000));
        let mut bad = vec![
            "surprise=1".to_owned(),
            "limit=1&surprise=1".to_owned(),
            long,
        ];
        for parameter in route.query {
            let name = parameter.name;
            bad.extend([
                format!("{name}=%ff"),
                format!("{name}="),
                format!("{name}=1&{name}=1"),
            ]);
            if let Some(most) = parameter.most {
                bad.extend([
                    format!("{name}=0"),
                    format!("{name}=-1"),
                    format!("{name}={}", most + 1),
                ]);
                bad.push(format!("{name}=1e1"));
            }
        }
        if route.query.is_empty() {
            continue;
        }
        for query in bad {
            let answer = walk.at(route, &format!("{}?{query}", route.path)).await;
            assert_malformed(&answer, route, &query);
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
    walk.assert_untouched().await;
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_a_packed_or_an_endless_body_is_refused_by_every_route()
{
    let walk = Walk::new().await;
    let table = table();
    for route in table.routes() {
        let path = filled(route.path);
        let has = |method: &Method| {
            let same = |other: &&OperatorRoute| other.path == route.path && other.method == method;
            table.routes().iter().any(|other| same(&other))
        };
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
        ] {
            if has(&method) {
                continue;
            }
            let answer = walk.desk.ask(method, &path, Bytes::new(), &[]).await;
            assert_eq!(answer.status, 405, "{} {answer:?}", route.path);
            assert_refused(&answer, route, "another method");
        }
        let large = walk
            .ask(route, &path, &vec![b'a'; 2 * 1024 * 1024], kind(route))
            .await;
        assert_eq!(large.status, 413, "{} {large:?}", route.path);
        let packed = [("content-encoding", "gzip"), ("content-type", kind(route))];
        let packed = walk.desk.ask(
            route.method.clone(),
            &path,
            Bytes::from_static(b"{}"),
            &packed,
        );
        let packed = packed.await;
        assert_eq!(packed.status, 415, "{} {packed:?}", route.path);
    }
    walk.assert_untouched().await;
}

#[tokio::test]
async fn a_value_that_is_empty_or_has_no_end_is_refused_by_every_route_that_takes_one() {
    let walk = Walk::new().await;
    let mut asked = 0;
    for route in table().routes() {
        if !matches!(route.takes, Takes::Bytes(_)) {
            continue;
        }
        for bad in [Vec::new(), vec![b'x'; 100_000]] {
            let answer = walk
                .ask(route, &filled(route.path), &bad, kind(route))
                .await;
            assert_malformed(&answer, route, "a value");
            asked += 1;
        }
    }
    assert_eq!(asked, 4);
    walk.assert_untouched().await;
}

/// What given again changes nothing, or sets the same once more.
const NATURAL: [&str; 11] = [
    "revoke_task",
    "close_task",
    "revoke",
    "freeze",
    "quarantine",
    "raise_risk",
    "approve",
    "put_secret",
    "apply_configuration",
    // They change nothing the first time either.
    "find",
    "preview_revocation",
];

#[tokio::test]
async fn each_order_may_be_given_again_by_its_nature_or_under_a_key_and_a_bad_key_orders_nothing() {
    let walk = Walk::new().await;
    let mut keyed = 0;
    for route in table().routes() {
        if route.method == Method::GET {
            assert!(route.once.is_none(), "{} orders nothing", route.path);
            continue;
        }
        let natural = NATURAL.contains(&route.name);
        assert_ne!(
            natural,
            route.once.is_some(),
            "{} {}",
            route.method,
            route.path
        );
        if natural {
            continue;
        }
        for bad in ["", "\"", "two words", &"x".repeat(129)] {
            let headers = [("content-type", kind(route)), ("idempotency-key", bad)];
            let body = Bytes::from(honest(route));
            let method = route.method.clone();
            let answer = walk
                .desk
                .ask(method, &filled(route.path), body, &headers)
                .await;
            assert_malformed(&answer, route, bad);
        }
        keyed += 1;
    }
    assert_eq!(keyed, 6);
    walk.assert_untouched().await;
}
