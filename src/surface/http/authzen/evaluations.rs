//! `POST /access/v1/evaluations`: several at once (AuthZEN 1.0 §7). What an evaluation leaves out is taken from
//! the request itself. They are decided in their order; how far is what `evaluations_semantic` says.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::check::CheckRequest;
use crate::error::Error;
use crate::surface::http::authzen::wire::{Action, Decision, Subject, Thing, request};
use crate::surface::http::authzen::{EVALUATIONS, asked, check, told};
use crate::surface::http::form::malformed;
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};
use crate::surface::settings::ResourceServer;

pub(super) fn route() -> Route {
    Route::post(EVALUATIONS, "evaluate_several", handle)
        .about("Decides several actions, for the holder of a token (AuthZEN).")
        .by(Caller::ResourceServer)
        .takes(Takes::Json(Shape::of::<Body>()))
        .answers(StatusCode::OK, Content::json::<Answer>())
        .refuses(Refuses::Problem, &[400, 401, 503])
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenEvaluations)]
struct Body {
    #[serde(flatten)]
    defaults: Item,
    /// At most 100. None at all: the request is one evaluation itself.
    evaluations: Option<Vec<Item>>,
    options: Option<Options>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenItem)]
struct Item {
    subject: Option<Subject>,
    action: Option<Action>,
    resource: Option<Thing>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AuthzenOptions)]
struct Options {
    evaluations_semantic: Option<Semantic>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = AuthzenSemantic)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuthzenAnswer)]
#[serde(untagged)]
enum Answer {
    One(Decision),
    Several { evaluations: Vec<Decision> },
}

async fn handle(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    told(&headers, evaluate(&public, &peer, &headers, &body).await)
}

async fn evaluate(
    public: &Public,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Error> {
    let (server, body) = asked::<Body>(public, peer, headers, body).await?;
    let items = body.evaluations.unwrap_or_default();
    if items.len() > MOST {
        return Err(
            malformed("at most 100 evaluations are taken at once").with_field("evaluations")
        );
    }
    if items.is_empty() {
        let question = merged(&body.defaults, &body.defaults, server)?;
        return Ok(Answer::One(Decision::of(check(public, &question).await)?));
    }
    let questions = items
        .iter()
        .map(|item| merged(item, &body.defaults, server));
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    let semantic = body
        .options
        .and_then(|options| options.evaluations_semantic);
    let semantic = semantic.unwrap_or_default();
    let mut evaluations = Vec::with_capacity(questions.len());
    for one in &questions {
        let decision = Decision::of(check(public, one).await);
        let decision = decision.unwrap_or_else(|error| Decision::failed(&error));
        let last = semantic.stops_at(decision.is_permit());
        evaluations.push(decision);
        if last {
            break;
        }
    }
    Ok(Answer::Several { evaluations })
}

fn merged(item: &Item, defaults: &Item, server: &ResourceServer) -> Result<CheckRequest, Error> {
    let subject = item.subject.as_ref().or(defaults.subject.as_ref());
    let action = item.action.as_ref().or(defaults.action.as_ref());
    let resource = item.resource.as_ref().or(defaults.resource.as_ref());
    let missing = |name: &'static str| malformed("a member is missing").with_field(name);
    request(
        subject.ok_or_else(|| missing("subject"))?,
        action.ok_or_else(|| missing("action"))?,
        resource.ok_or_else(|| missing("resource"))?,
        server,
    )
}

impl Semantic {
    /// Whether nothing is asked after such a decision.
    const fn stops_at(self, permit: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !permit,
            Self::PermitOnFirstPermit => permit,
        }
    }
}

/// How many evaluations one request may have.
const MOST: usize = 100;
