//! `POST /api/v1/preview`: the parameters and the proof of a token exchange, and the answer that it would
//! get, with nothing issued.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::laps::verb;
use crate::broker::preview::{Outlook, Permitted, Preview, Refused};
use crate::domain::grant::{Audience, Scope};
use crate::error::Error;
use crate::surface::http::form::Form;
use crate::surface::http::oauth::token::{PARAMETERS, exchange};
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Takes};
use crate::surface::http::{answer, present, problem};

pub const PREVIEW: &str = "/api/v1/preview";

pub fn route() -> Route {
    Route::post(PREVIEW, "preview", handle)
        .about("Tells what a token exchange would be answered, and issues nothing.")
        .by(Caller::Evidence)
        .takes(Takes::Form(PARAMETERS))
        .with_proof()
        .answers(StatusCode::OK, Content::json::<Document<'_>>())
        .refuses(Refuses::Problem, &[400, 401, 403, 503])
}

async fn handle(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let clock = public.broker.clock.as_ref();
    match verb(clock, "preview", look(&public, &headers, &body)).await {
        Ok(preview) => answer::unkept(document(&preview)),
        Err(error) => problem::response(&error),
    }
}

async fn look(public: &Public, headers: &HeaderMap, body: &[u8]) -> Result<Preview, Error> {
    let form = Form::parse(headers, body)?;
    let proof = present::proof(headers, "POST", &public.broker.issuer, PREVIEW)?;
    public.broker.preview(exchange(&form, proof)?).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = Preview)]
struct Document<'a> {
    source: &'a str,
    spiffe_id: &'a str,
    profiles: Vec<Profile<'a>>,
    #[serde(flatten)]
    outlook: Told<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewProfile)]
struct Profile<'a> {
    name: &'a str,
    /// Claims that it does not take, each with what the evidence says.
    failed: Vec<Failed<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewFailed)]
struct Failed<'a> {
    claim: &'a str,
    shown: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewOutcome)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Told<'a> {
    Permitted {
        profile: &'a str,
        task: String,
        instance: String,
        audiences: Vec<&'a str>,
        scopes: Vec<&'a str>,
        expires_at: String,
    },
    Denied(Why<'a>),
    Undetermined(Why<'a>),
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewRefusal)]
struct Why<'a> {
    code: &'static str,
    detail: &'a str,
    field: Option<&'a str>,
}

fn document(preview: &Preview) -> Document<'_> {
    let profiles = preview.candidates.iter().map(|candidate| Profile {
        name: candidate.profile.as_str(),
        failed: candidate
            .failed
            .iter()
            .map(|failed| Failed {
                claim: &failed.claim,
                shown: failed.shown.as_deref(),
            })
            .collect(),
    });
    Document {
        source: preview.source.as_str(),
        spiffe_id: preview.identity.id().as_str(),
        profiles: profiles.collect(),
        outlook: match &preview.outlook {
            Outlook::Permitted(permitted) => told(permitted),
            Outlook::Denied(refused) => Told::Denied(why(refused)),
            Outlook::Undetermined(refused) => Told::Undetermined(why(refused)),
        },
    }
}

fn told(permitted: &Permitted) -> Told<'_> {
    Told::Permitted {
        profile: permitted.profile.as_str(),
        task: permitted.task.to_string(),
        instance: permitted.instance.to_string(),
        audiences: permitted
            .token
            .audiences
            .iter()
            .map(Audience::as_str)
            .collect(),
        scopes: permitted.token.scopes.iter().map(Scope::as_str).collect(),
        expires_at: permitted.expires_at.to_string(),
    }
}

fn why(refused: &Refused) -> Why<'_> {
    Why {
        code: refused.code.as_str(),
        detail: &refused.public,
        field: refused.field.as_deref(),
    }
}
