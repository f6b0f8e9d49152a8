//! `GET /api/v1/openapi.json`: the public routes in the words of `OpenAPI` 3.1, out of the table that serves
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use url::Url;

use crate::surface::http::answer;
use crate::surface::http::guard::Refusal;
use crate::surface::http::oauth::error::OAuthError;
use crate::surface::http::problem::Problem;
use crate::surface::http::route::{Caller, Content, Need, Parameter, Refuses, Route, Shape, Takes};

pub const OPENAPI: &str = "/api/v1/openapi.json";

pub fn route() -> Route {
    Route::get(OPENAPI, "openapi", handle)
        .about("This document.")
        .answers(StatusCode::OK, Content::Object)
}

/// The document that a router serves. Each request is handed a clone of it, whatever it asks for.
#[derive(Clone)]
pub(super) struct Document(pub Arc<Value>);

async fn handle(Extension(document): Extension<Document>) -> Response {
    answer::kept(&*document.0)
}

/// The document of these routes at this issuer.
pub fn document(routes: &[Route], issuer: &Url) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let item = paths.entry(path(route, issuer)).or_default();
        if route.well_known {
            let host = issuer.origin().ascii_serialization();
            item.insert("servers".to_owned(), json!([{ "url": host }]));
        }
        let method = route.method.as_str().to_ascii_lowercase();
        item.insert(method, operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Writ",
            "summary": "Short-lived credentials, each for one task",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": issuer.as_str().trim_end_matches('/') }],
        "paths": paths,
        "components": { "schemas": schemas(routes), "securitySchemes": callers() },
    })
}

/// `OpenAPI` has no parameter that goes over a slash: it is one parameter there, too.
fn path(route: &Route, issuer: &Url) -> String {
    let path = route.path.replace("{*", "{");
    if route.well_known {
        return format!("{path}{}", issuer.path().trim_end_matches('/'));
    }
    path
}

fn operation(route: &Route) -> Value {
    let mut operation = Map::new();
    let mut say = |name: &str, value: Value| operation.insert(name.to_owned(), value);
    say("operationId", route.name.into());
    say("summary", route.about.into());
    let parameters = parameters(route);
    if !parameters.is_empty() {
        say("parameters", parameters.into());
    }
    if let Some(body) = body(&route.takes) {
        say("requestBody", body);
    }
    say("responses", responses(route).into());
    if let Some(security) = security(route.caller) {
        say("security", security);
    }
    operation.into()
}

fn parameters(route: &Route) -> Vec<Value> {
    let open = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let name = name.trim_start_matches('*');
        let schema = json!({ "type": "string", "minLength": 1 });
        Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
    });
    let proof = route.proof.then(|| {
        json!({
            "name": "DPoP", "in": "header", "required": false,
            "description": "A proof of possession for this request (RFC 9449 §4)",
            "schema": { "type": "string" },
        })
    });
    open.chain(proof).collect()
}

fn body(takes: &Takes) -> Option<Value> {
    let (media_type, schema) = match takes {
        Takes::Nothing => return None,
        Takes::Form(parameters) => (FORM, form(parameters)),
        Takes::Json(shape) => (JSON, reference(&shape.name)),
        Takes::Delivery => (JSON, json!({ "type": "object" })),
    };
    Some(json!({ "required": true, "content": { media_type: { "schema": schema } } }))
}

fn form(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> = parameters
        .iter()
        .map(|parameter| {
            let about = parameter.about;
            let schema = match parameter.need {
                Need::Repeatable => {
                    json!({ "type": "array", "items": { "type": "string" }, "description": about })
                }
                Need::Required | Need::Optional => {
                    json!({ "type": "string", "description": about })
                }
            };
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<_> = parameters
        .iter()
        .filter(|parameter| parameter.need == Need::Required)
        .map(|parameter| parameter.name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn responses(route: &Route) -> Map<String, Value> {
    let content = match &route.answer {
        Content::Nothing => None,
        Content::Json(shape) => Some(json!({ JSON: { "schema": reference(&shape.name) } })),
        Content::Object => Some(json!({ JSON: { "schema": { "type": "object" } } })),
        Content::File(media_type) => {
            Some(json!({ *media_type: { "schema": { "type": "string" } } }))
        }
    };
    let mut done = json!({ "description": described(route.status) });
    if let (Some(content), Some(members)) = (content, done.as_object_mut()) {
        members.insert("content".to_owned(), content);
    }
    let own = route.refused.iter().copied();
    let anyones = ANYONES.iter().copied();
    let refused = own.chain(anyones).map(|status| {
        let refused = refusal(route, status);
        (status.to_string(), refused)
    });
    refused
        .chain([(route.status.as_str().to_owned(), done)])
        .collect()
}

fn refusal(route: &Route, status: u16) -> Value {
    let own = route.refused.contains(&status).then_some(route.refuses);
    let problem = match own {
        Some(Refuses::Problem) if ANYONES.contains(&status) => {
            json!({ "anyOf": [reference(&Shape::of::<Problem>().name), reference(&Shape::of::<Refusal>().name)] })
        }
        Some(Refuses::Problem) => reference(&Shape::of::<Problem>().name),
        Some(Refuses::OAuth) | None => reference(&Shape::of::<Refusal>().name),
    };
    let mut content = Map::new();
    if own == Some(Refuses::OAuth) {
        let schema = reference(&Shape::of::<OAuthError>().name);
        content.insert(JSON.to_owned(), json!({ "schema": schema }));
    }
    if own != Some(Refuses::OAuth) || ANYONES.contains(&status) {
        content.insert(PROBLEM.to_owned(), json!({ "schema": problem }));
    }
    let status = StatusCode::from_u16(status).unwrap_or_default();
    json!({ "description": described(status), "content": content })
}

fn described(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn schemas(routes: &[Route]) -> BTreeMap<String, Value> {
    let refusals = [
        Shape::of::<Problem>(),
        Shape::of::<Refusal>(),
        Shape::of::<OAuthError>(),
    ];
    let asked = routes.iter().filter_map(|route| match &route.takes {
        Takes::Json(shape) => Some(shape.clone()),
        Takes::Nothing | Takes::Form(_) | Takes::Delivery => None,
    });
    let answered = routes.iter().filter_map(|route| match &route.answer {
        Content::Json(shape) => Some(shape.clone()),
        Content::Nothing | Content::Object | Content::File(_) => None,
    });
    let shapes = refusals.into_iter().chain(asked).chain(answered);
    shapes.flat_map(|shape| shape.schemas).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn callers() -> Value {
    json!({
        "dpop": {
            "type": "http", "scheme": "DPoP",
            "description": "An access token of this broker, for the broker, with a proof in `DPoP`",
        },
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "An access token of this broker, for the broker, that is bound to no key",
        },
        "certificate": {
            "type": "mutualTLS",
            "description": "An X.509-SVID of this broker that has not expired",
        },
        "resource_server": {
            "type": "http", "scheme": "basic",
            "description": "Name and secret of a resource server; they may be in the form as well",
        },
    })
}

fn security(caller: Caller) -> Option<Value> {
    match caller {
        Caller::AccessToken => Some(json!([{ "dpop": [] }, { "bearer": [] }])),
        Caller::AccessTokenOrCertificate => {
            Some(json!([{ "dpop": [] }, { "bearer": [] }, { "certificate": [] }]))
        }
        Caller::ResourceServer => {
            Some(json!([{ "resource_server": [] }, { "certificate": [] }, {}]))
        }
        // Theirs is in the body, or over it.
        Caller::Anybody | Caller::Evidence | Caller::Holder | Caller::Source => None,
    }
}

/// What any request may be refused with, before a handler sees it or when it fails (`guard`).
const ANYONES: &[u16] = &[408, 413, 415, 500, 503];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";
