//! GitHub's read calls about runs, jobs, check runs and environments. Nothing is answered without
//! the API token; what does not exist and what belongs to another repository look the same.
//! Answers carry an `ETag`, and asking again with it costs none of the budget.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use ring::digest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::{Target, gate};
use crate::payloads::Scene;
use crate::repo_payloads;
use crate::run::{CheckRunId, JobId, RunId};
use crate::site::Site;

pub(crate) fn routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    let repo = "/repos/{owner}/{repo}";
    let runs = format!("{repo}/actions/runs/{{id}}");
    let jobs = format!("{repo}/actions/jobs/{{id}}");
    let check_runs = format!("{repo}/check-runs/{{id}}");
    let environments = format!("{repo}/environments/{{name}}");
    Router::new()
        .route(&runs, gated(site, Target::Runs, run))
        .route(
            &format!("{runs}/attempts/{{n}}"),
            gated(site, Target::Runs, attempt),
        )
        .route(
            &format!("{runs}/jobs"),
            gated(site, Target::Jobs, jobs_of_run),
        )
        .route(
            &format!("{runs}/attempts/{{n}}/jobs"),
            gated(site, Target::Jobs, jobs_of_attempt),
        )
        .route(&jobs, gated(site, Target::Jobs, job))
        .route(&check_runs, gated(site, Target::CheckRuns, check_run))
        .route(
            &environments,
            gated(site, Target::Environments, environment),
        )
        .fallback_service(gated(site, Target::Api, unknown).with_state(Arc::clone(site)))
}

fn gated<H, T>(site: &Arc<Site>, target: Target, handler: H) -> MethodRouter<Arc<Site>>
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    get(handler).layer(from_fn_with_state(
        (Arc::clone(site.faults()), target),
        gate,
    ))
}

async fn run(caller: Caller, Path((owner, repo, id)): Path<(String, String, RunId)>) -> Response {
    caller.answer(|site| site.of_run(&owner, &repo, id, None, |scene| scene.run()))
}

async fn attempt(
    caller: Caller,
    Path((owner, repo, id, n)): Path<(String, String, RunId, u32)>,
) -> Response {
    caller.answer(|site| site.of_run(&owner, &repo, id, Some(n), |scene| scene.run()))
}

async fn jobs_of_run(
    caller: Caller,
    Path((owner, repo, id)): Path<(String, String, RunId)>,
    Query(page): Query<JobsPage>,
) -> Response {
    caller.answer(|site| site.jobs(&owner, &repo, id, None, &page))
}

async fn jobs_of_attempt(
    caller: Caller,
    Path((owner, repo, id, n)): Path<(String, String, RunId, u32)>,
    Query(page): Query<JobsPage>,
) -> Response {
    caller.answer(|site| site.jobs(&owner, &repo, id, Some(n), &page))
}

async fn job(caller: Caller, Path((owner, repo, id)): Path<(String, String, JobId)>) -> Response {
    caller.answer(|site| {
        site.read(|state, links| {
            let job = state.job(id)?;
            let scene = Scene::of(state, links, job.run, Some(job.attempt))?;
            scene.is_of(&owner, &repo).then(|| scene.job(job))
        })
    })
}

async fn check_run(
    caller: Caller,
    Path((owner, repo, id)): Path<(String, String, CheckRunId)>,
) -> Response {
    caller.answer(|site| {
        site.read(|state, links| {
            let job = state.job_of_check_run(id)?;
            let scene = Scene::of(state, links, job.run, Some(job.attempt))?;
            scene.is_of(&owner, &repo).then(|| scene.check_run(job))
        })
    })
}

async fn environment(
    caller: Caller,
    Path((owner, repo, name)): Path<(String, String, String)>,
) -> Response {
    caller.answer(|site| {
        site.read(|state, links| {
            let repo = state.repo(&format!("{owner}/{repo}"))?;
            Some(repo_payloads::environment(
                links,
                repo,
                repo.environment(&name)?,
            ))
        })
    })
}

async fn unknown(caller: Caller) -> Response {
    caller.answer(|_| None)
}

#[derive(Deserialize)]
struct JobsPage {
    filter: Option<String>,
    per_page: Option<usize>,
    page: Option<usize>,
}

impl Site {
    fn of_run(
        &self,
        owner: &str,
        repo: &str,
        id: RunId,
        attempt: Option<u32>,
        show: impl FnOnce(Scene<'_>) -> Value,
    ) -> Option<Value> {
        self.read(|state, links| {
            let scene = Scene::of(state, links, id, attempt)?;
            scene.is_of(owner, repo).then(|| show(scene))
        })
    }

    /// The jobs of one attempt, or with `filter=all` of every attempt.
    fn jobs(
        &self,
        owner: &str,
        repo: &str,
        id: RunId,
        attempt: Option<u32>,
        page: &JobsPage,
    ) -> Option<Value> {
        let per_page = page.per_page.unwrap_or(30).clamp(1, 100);
        let skipped = page
            .page
            .unwrap_or(1)
            .saturating_sub(1)
            .saturating_mul(per_page);
        self.read(|state, links| {
            let scene = Scene::of(state, links, id, attempt)?;
            if !scene.is_of(owner, repo) {
                return None;
            }
            let all = attempt.is_none() && page.filter.as_deref() == Some("all");
            let past = scene.run.past.iter().filter(|_| all);
            let shown = std::iter::once(scene.attempt).chain(past);
            let ids: Vec<JobId> = shown
                .flat_map(|attempt| attempt.jobs.iter().copied())
                .collect();
            let jobs = ids.iter().skip(skipped).take(per_page).filter_map(|id| {
                let job = state.job(*id)?;
                Some(Scene::of(state, links, job.run, Some(job.attempt))?.job(job))
            });
            Some(json!({ "total_count": ids.len(), "jobs": jobs.collect::<Vec<_>>() }))
        })
    }
}

impl Scene<'_> {
    /// Names are compared without regard to case, as the vendor does.
    fn is_of(&self, owner: &str, repo: &str) -> bool {
        self.repo.owner.eq_ignore_ascii_case(owner) && self.repo.name.eq_ignore_ascii_case(repo)
    }
}

/// Somebody who showed the API token.
struct Caller {
    site: Arc<Site>,
    if_none_match: Option<String>,
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let credentials = text(&parts.headers, &header::AUTHORIZATION);
        let token = credentials
            .as_deref()
            .and_then(|value| value.split_once(' '));
        let known = token.is_some_and(|(scheme, token)| {
            let scheme = scheme.to_ascii_lowercase();
            (scheme == "bearer" || scheme == "token") && site.accepts_api_token(token)
        });
        if !known {
            return Err(message(StatusCode::UNAUTHORIZED, "Bad credentials"));
        }
        let if_none_match = text(&parts.headers, &header::IF_NONE_MATCH);
        Ok(Self {
            site: Arc::clone(site),
            if_none_match,
        })
    }
}

impl Caller {
    fn answer(self, find: impl FnOnce(&Site) -> Option<Value>) -> Response {
        let found = find(&self.site);
        let now = self.site.now().unix_timestamp();
        let body = found.map(|document| document.to_string());
        let etag = body.as_deref().map(etag);
        let unchanged = etag.is_some() && etag == self.if_none_match;
        let Some(budget) = self.site.rate_limit().spend(u64::from(!unchanged), now) else {
            return message(StatusCode::FORBIDDEN, "API rate limit exceeded");
        };
        let mut response = match (body, unchanged) {
            (_, true) => StatusCode::NOT_MODIFIED.into_response(),
            (Some(body), false) => {
                let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
                (json, body).into_response()
            }
            (None, false) => message(StatusCode::NOT_FOUND, "Not Found"),
        };
        let shown = [
            ("x-ratelimit-limit", budget.limit.to_string()),
            (
                "x-ratelimit-remaining",
                (budget.limit - budget.used).to_string(),
            ),
            ("x-ratelimit-used", budget.used.to_string()),
            ("x-ratelimit-reset", budget.reset.to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
            ("x-github-media-type", "github.v3; format=json".to_owned()),
            (
                "cache-control",
                "private, max-age=60, s-maxage=60".to_owned(),
            ),
        ];
        let tagged = etag.map(|etag| ("etag", etag));
        for (name, value) in shown.into_iter().chain(tagged) {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The hourly budget of the API token.
#[derive(Default)]
pub(crate) struct RateLimit {
    window: Mutex<Option<Budget>>,
}

#[derive(Clone, Copy)]
struct Budget {
    limit: u64,
    used: u64,
    reset: i64,
}

impl RateLimit {
    /// Begins an hour at `now` in which `limit` requests are answered.
    pub(crate) fn set(&self, limit: u64, now: i64) {
        let budget = Budget {
            limit,
            used: 0,
            reset: now.saturating_add(HOUR_SECS),
        };
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Some(budget);
    }

    fn spend(&self, cost: u64, now: i64) -> Option<Budget> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = window.map_or(HOURLY_LIMIT, |budget| budget.limit);
        let fresh = Budget {
            limit,
            used: 0,
            reset: now.saturating_add(HOUR_SECS),
        };
        let budget = window.filter(|budget| now < budget.reset).unwrap_or(fresh);
        let used = budget
            .used
            .checked_add(cost)
            .filter(|used| *used <= limit)?;
        let spent = Budget { used, ..budget };
        *window = Some(spent);
        Some(spent)
    }
}

fn message(status: StatusCode, message: &str) -> Response {
    let body = json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": status.as_u16().to_string(),
    });
    (status, Json(body)).into_response()
}

fn etag(body: &str) -> String {
    format!(
        "W/\"{}\"",
        hex::encode(digest::digest(&digest::SHA256, body.as_bytes()))
    )
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// What an app of a large organisation gets.
const HOURLY_LIMIT: u64 = 15_000;
const HOUR_SECS: i64 = 3_600;
