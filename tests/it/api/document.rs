//! The `OpenAPI` documents are what is served, and a change of one is seen: clients are generated from them.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;
use writ::surface::http::{admin, openapi, public};

use crate::support::broker::Broker;
use crate::support::desk::Desk;
use crate::support::profiles::DEPLOY;

const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi.json");
const OPERATORS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/docs/reference/openapi-operator.json"
);

/// With `WRIT_PUBLISH` in the environment the pages are written anew.
#[test]
fn the_published_documents_are_those_that_the_code_has() {
    let issuer = Url::parse("https://writ.example").unwrap();
    let public = openapi::document(&public::table(), &issuer);
    let operators = openapi::operators(admin::table().routes());
    for (path, document) in [(PUBLIC, public), (OPERATORS, operators)] {
        if std::env::var_os("WRIT_PUBLISH").is_some() {
            let text = serde_json::to_string_pretty(&document).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
            continue;
        }
        let published = std::fs::read_to_string(path).unwrap();
        let published: Value = serde_json::from_str(&published).unwrap();
        assert!(
            published == document,
            "{path} is not what the routes say: see what changed, and write it with WRIT_PUBLISH=1"
        );
    }
}

#[tokio::test]
async fn operators_read_their_document_and_the_public_one_has_none_of_their_routes() {
    let broker = Broker::with(DEPLOY).await;
    let desk = Desk::open(&broker);
    let answer = desk.get(openapi::OPENAPI).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.json, openapi::operators(admin::table().routes()));
    let mut named = BTreeSet::new();
    for (role, route) in admin::table().rows() {
        let method = route.method.as_str().to_ascii_lowercase();
        let told = &answer.json["paths"][route.path.replace("{*", "{")][method];
        assert_eq!(
            told["security"][0]["operator"],
            serde_json::json!([role.as_str()])
        );
        assert!(named.insert(route.name), "{} names two", route.name);
    }
    for pointer in references(&answer.json) {
        let pointer = pointer.strip_prefix('#').unwrap();
        assert!(answer.json.pointer(pointer).is_some(), "{pointer}");
    }
    let public = openapi::document(&public::table(), &Url::parse(&broker.issuer).unwrap());
    let public = public["paths"].as_object().unwrap();
    let operators = answer.json["paths"].as_object().unwrap();
    let both: Vec<_> = operators
        .keys()
        .filter(|path| public.contains_key(*path))
        .collect();
    assert_eq!(both, [openapi::OPENAPI]);
}

#[test]
fn below_a_path_only_the_well_known_part_stands_before_it() {
    let issuer = Url::parse("https://writ.example/tenant").unwrap();
    let document = openapi::document(&public::table(), &issuer);
    assert_eq!(document["servers"][0]["url"], "https://writ.example/tenant");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/oauth2/token"));
    let metadata = &paths["/.well-known/oauth-authorization-server/tenant"];
    assert_eq!(metadata["servers"][0]["url"], "https://writ.example");
}

#[tokio::test]
async fn anybody_may_read_the_document_and_every_reference_in_it_leads_somewhere() {
    let broker = Broker::with(DEPLOY).await;
    let url = format!("{}{}", broker.issuer, openapi::OPENAPI);
    let answer = broker.client().http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["servers"][0]["url"], broker.issuer.as_str());
    let mut count = 0;
    for pointer in references(&document) {
        let pointer = pointer.strip_prefix('#').unwrap().to_owned();
        assert!(document.pointer(&pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            own.into_iter()
                .chain(members.values().flat_map(references))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
