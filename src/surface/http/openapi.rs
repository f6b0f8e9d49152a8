//! `GET /api/v1/openapi.json`: the routes of a listener in the words of `OpenAPI` 3.1, out of the table that
//! serves them. The public listener tells its own to everybody, and that of operators theirs to operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::ToSchema as _;

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

/// The same for operators, who alone may have it.
pub(super) async fn for_operators(Extension(document): Extension<Document>) -> Response {
    answer::unkept(&*document.0)
}

/// The document of the public routes at this issuer.
pub fn document(routes: &[Route], issuer: &Url) -> Value {
    let server = issuer.as_str().trim_end_matches('/');
    let mut paths = paths(routes);
    for route in routes.iter().filter(|route| route.well_known) {
        let item = paths.remove(route.path).unwrap_or_default();
        let host = issuer.origin().ascii_serialization();
        let server = ("servers".to_owned(), json!([{ "url": host }]));
        let below = issuer.path().trim_end_matches('/');
        let item = [server].into_iter().chain(item).collect();
        paths.insert(format!("{}{below}", route.path), item);
    }
    let about = "Short-lived credentials, each for one task";
    let parts = components(routes, &callers());
    whole("Writ", about, server, &paths, &parts)
}

/// The document of operators' routes, wherever it was read: it is for their listener and their socket.
pub fn operators<S>(routes: &[Route<S>]) -> Value {
    let about = "Orders to the broker, and what they did. Each names the role that it takes";
    let parts = components(routes, &operators_callers());
    whole("Writ for operators", about, "/", &paths(routes), &parts)
}

type Paths = BTreeMap<String, Map<String, Value>>;

fn whole(title: &str, about: &str, server: &str, paths: &Paths, parts: &Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "summary": about,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "paths": paths,
        "components": parts,
    })
}

/// `OpenAPI` has no parameter that goes over a slash: it is one parameter there, too.
fn paths<S>(routes: &[Route<S>]) -> Paths {
    let mut paths = Paths::new();
    for route in routes {
        let item = paths.entry(route.path.replace("{*", "{")).or_default();
        let method = route.method.as_str().to_ascii_lowercase();
        item.insert(method, operation(route));
    }
    paths
}

fn components<S>(routes: &[Route<S>], callers: &Value) -> Value {
    json!({ "schemas": schemas(routes), "securitySchemes": callers })
}

fn operation<S>(route: &Route<S>) -> Value {
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

fn parameters<S>(route: &Route<S>) -> Vec<Value> {
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
    let query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query",
            "required": parameter.need == Need::Required,
            "description": parameter.about, "schema": value(parameter),
        })
    });
    let once = route.once.map(|need| {
        json!({
            "name": "Idempotency-Key", "in": "header", "required": need == Need::Required,
            "description": "Under the same key the same is carried out once, and answered as it was for a day",
            "schema": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!#-+\\--:<-\\[\\]-~]+$" },
        })
    });
    open.chain(query).chain(proof).chain(once).collect()
}

fn value(parameter: &Parameter) -> Value {
    match parameter.most {
        Some(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        None => json!({ "type": "string" }),
    }
}

fn body(takes: &Takes) -> Option<Value> {
    let (media_type, schema) = match takes {
        Takes::Nothing => return None,
        Takes::Form(parameters) => (FORM, form(parameters)),
        Takes::Json(shape) | Takes::JsonOrNothing(shape) => (JSON, reference(&shape.name)),
        Takes::Bytes(what) => (BYTES, json!({ "type": "string", "description": what })),
        Takes::Delivery => (JSON, json!({ "type": "object" })),
    };
    let required = !matches!(takes, Takes::JsonOrNothing(_));
    Some(json!({ "required": required, "content": { media_type: { "schema": schema } } }))
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

fn responses<S>(route: &Route<S>) -> Map<String, Value> {
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

fn refusal<S>(route: &Route<S>, status: u16) -> Value {
    let own = route.refused.contains(&status).then_some(route.refuses);
    let problem = match own {
        Some(Refuses::Problem) if ANYONES.contains(&status) => {
            json!({ "anyOf": [reference(&Problem::name()), reference(&Refusal::name())] })
        }
        Some(Refuses::Problem) => reference(&Problem::name()),
        Some(Refuses::OAuth) | None => reference(&Refusal::name()),
    };
    let mut content = Map::new();
    if own == Some(Refuses::OAuth) {
        let schema = reference(&OAuthError::name());
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

fn schemas<S>(routes: &[Route<S>]) -> BTreeMap<String, Value> {
    let oauth = routes.iter().find(|route| route.refuses == Refuses::OAuth);
    let refusals = [Shape::of::<Problem>(), Shape::of::<Refusal>()]
        .into_iter()
        .chain(oauth.map(|_| Shape::of::<OAuthError>()));
    let asked = routes.iter().filter_map(|route| match &route.takes {
        Takes::Json(shape) | Takes::JsonOrNothing(shape) => Some(shape.clone()),
        Takes::Nothing | Takes::Form(_) | Takes::Bytes(_) | Takes::Delivery => None,
    });
    let answered = routes.iter().filter_map(|route| match &route.answer {
        Content::Json(shape) => Some(shape.clone()),
        Content::Nothing | Content::Object | Content::File(_) => None,
    });
    let shapes = refusals.chain(asked).chain(answered);
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
        "gateway": {
            "type": "apiKey", "in": "header", "name": "Proxy-Authorization",
            "description": "Name and secret of a resource server, as HTTP Basic",
        },
    })
}

fn operators_callers() -> Value {
    json!({
        "operator": {
            "type": "http", "scheme": "bearer",
            "description": "An ID token of the operators' provider for this broker's client. The admin socket \
                            takes the kernel's word instead, and whoever it lets in has every role",
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
        // OpenAPI 3.1 lets a requirement of any kind name roles.
        Caller::Operator(role) => Some(json!([{ "operator": [role.as_str()] }])),
        Caller::Gateway => Some(json!([{ "gateway": [] }, { "certificate": [] }])),
        // Theirs is in the body, or over it.
        Caller::Anybody | Caller::Evidence | Caller::Holder | Caller::Source => None,
    }
}

/// What any request may be refused with, before a handler sees it or when it fails (`guard`).
const ANYONES: &[u16] = &[408, 413, 415, 500, 503];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const BYTES: &str = "application/octet-stream";
const PROBLEM: &str = "application/problem+json";
