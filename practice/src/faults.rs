//! What goes wrong on purpose, and what was asked for. Every route of the OpenID Provider and of
//! the API passes the gate here: it counts the request, then answers as the fault of its target
//! says or lets it through. The control API has no gate, so a broken world can always be mended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::WorldError;

/// A group of routes that fails together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Discovery,
    Jwks,
    Token,
    /// All of the API; a fault of a narrower target goes first.
    Api,
    Runs,
    Jobs,
    CheckRuns,
    Environments,
    /// `TokenReview`.
    Reviews,
    Cases,
}

impl Target {
    fn is_api(self) -> bool {
        match self {
            Self::Discovery | Self::Jwks | Self::Token => false,
            Self::Api
            | Self::Runs
            | Self::Jobs
            | Self::CheckRuns
            | Self::Environments
            | Self::Reviews
            | Self::Cases => true,
        }
    }
}

/// How a target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As it should.
    Ok,
    /// As it should, after the delay.
    Slow,
    /// The connection is closed without an answer.
    Down,
    /// 200 with a page, as a proxy or a captive portal gives.
    Html,
    /// 404.
    NotFound,
    /// 200 that says JSON and is none.
    Garbage,
    /// 503.
    Unavailable,
    /// 403 with an exhausted budget.
    RateLimited,
}

/// One fault; `delay_ms` (at most two minutes) passes before any answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub target: Target,
    pub mode: Mode,
    #[serde(default)]
    pub delay_ms: u64,
}

/// How often each target and path was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    pub targets: BTreeMap<Target, u64>,
    /// Relative to the site; the first 4,096 different ones.
    pub paths: BTreeMap<String, u64>,
}

impl Requests {
    /// Requests to `target`; every request to the API counts for `Api` too.
    pub fn of(&self, target: Target) -> u64 {
        self.targets.get(&target).copied().unwrap_or(0)
    }
}

/// The faults of one site and its request log.
#[derive(Default)]
pub struct Faults {
    set: Mutex<BTreeMap<Target, Fault>>,
    seen: Mutex<Requests>,
}

impl Faults {
    /// From now on `fault.target` answers as `fault.mode` says.
    pub fn set(&self, fault: Fault) -> Result<(), WorldError> {
        if fault.delay_ms > MAX_DELAY_MS {
            return Err(WorldError::Invalid(format!(
                "a delay is at most {MAX_DELAY_MS} ms"
            )));
        }
        self.faults().insert(fault.target, fault);
        Ok(())
    }

    /// Mends everything.
    pub fn clear(&self) {
        self.faults().clear();
    }

    pub fn list(&self) -> Vec<Fault> {
        self.faults().values().copied().collect()
    }

    pub fn requests(&self) -> Requests {
        self.log().clone()
    }

    pub fn forget_requests(&self) {
        *self.log() = Requests::default();
    }

    fn note(&self, target: Target, path: &str) {
        let mut seen = self.log();
        *seen.targets.entry(target).or_insert(0) += 1;
        if target.is_api() && target != Target::Api {
            *seen.targets.entry(Target::Api).or_insert(0) += 1;
        }
        if seen.paths.len() < MAX_PATHS || seen.paths.contains_key(path) {
            *seen.paths.entry(path.to_owned()).or_insert(0) += 1;
        }
    }

    fn of(&self, target: Target) -> Option<Fault> {
        let faults = self.faults();
        let wider = || faults.get(&Target::Api).filter(|_| target.is_api());
        faults.get(&target).or_else(wider).copied()
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<Target, Fault>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Requests> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks an answer that must not be sent: the server closes the connection instead.
#[derive(Clone)]
pub(crate) struct HangUp;

/// Middleware of a route that belongs to `target`.
pub(crate) async fn gate(
    State((faults, target)): State<(Arc<Faults>, Target)>,
    request: Request,
    next: Next,
) -> Response {
    faults.note(target, request.uri().path());
    let Some(fault) = faults.of(target) else {
        return next.run(request).await;
    };
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.mode {
        Mode::Ok | Mode::Slow => next.run(request).await,
        Mode::Down => {
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            response.extensions_mut().insert(HangUp);
            response
        }
        Mode::Html => Html(PAGE).into_response(),
        Mode::NotFound => (
            StatusCode::NOT_FOUND,
            Json(json!({ "message": "Not Found", "status": "404" })),
        )
            .into_response(),
        Mode::Garbage => ([(header::CONTENT_TYPE, "application/json")], GARBAGE).into_response(),
        Mode::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
        )
            .into_response(),
        Mode::RateLimited => (
            StatusCode::FORBIDDEN,
            [("x-ratelimit-remaining", "0"), ("retry-after", "60")],
            Json(json!({ "message": "API rate limit exceeded", "status": "403" })),
        )
            .into_response(),
    }
}

const MAX_DELAY_MS: u64 = 120_000;
const MAX_PATHS: usize = 4_096;
const PAGE: &str = "<!DOCTYPE html><html><head><title>Practice</title></head>\
                    <body><p>We had an issue producing the response.</p></body></html>";
/// Not JSON, not UTF-8.
const GARBAGE: &[u8] = b"{\"keys\": [\xff\xfe{\"kty\": \"RSA\", \"n\": ";
