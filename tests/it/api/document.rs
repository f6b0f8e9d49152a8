//! The `OpenAPI` document is what is served, and a change of it is seen: clients are generated from it.

use serde_json::Value;
use url::Url;
use writ::surface::http::{openapi, public};

use crate::support::broker::Broker;
use crate::support::profiles::DEPLOY;

const PUBLISHED: &str = include_str!("../../../docs/reference/openapi.json");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi.json");

/// With `WRIT_PUBLISH` in the environment the page is written anew.
#[test]
fn the_published_document_is_the_one_that_the_code_has() {
    let issuer = Url::parse("https://writ.example").unwrap();
    let document = openapi::document(&public::table(), &issuer);
    if std::env::var_os("WRIT_PUBLISH").is_some() {
        let text = serde_json::to_string_pretty(&document).unwrap();
        std::fs::write(PATH, format!("{text}\n")).unwrap();
        return;
    }
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    assert!(
        published == document,
        "docs/reference/openapi.json is not what the routes say: see what changed, and write it with WRIT_PUBLISH=1"
    );
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
