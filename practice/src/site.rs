//! One issuer with everything behind it: keys, repositories and runs, API, webhooks, faults. The
//! verbs here change the state under one lock and then announce what changed, in the order in
//! which it happened. Sites share nothing, so two of them can have runs of the same id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::claims::{self, Terms};
use crate::clock::{self, Clock};
use crate::error::WorldError;
use crate::faults::Faults;
use crate::github_api::RateLimit;
use crate::hooks::{Event, Hooks};
use crate::keys::Keys;
use crate::payloads::{Links, Scene};
use crate::run::{CheckRunId, JobId, RunId};
use crate::spec::{Conclusion, EnvironmentSpec, NewRepo, StartRun};
use crate::state::State;

/// An issuer under one path prefix of the world.
pub struct Site {
    links: Links,
    api_token: String,
    state: Mutex<State>,
    clock: Clock,
    keys: Keys,
    faults: Arc<Faults>,
    hooks: Hooks,
    rate_limit: RateLimit,
}

/// A repository's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct CreatedRepo {
    pub repository_id: u64,
    pub owner_id: u64,
}

/// A run's ids, and for each job what its runner holds.
#[derive(Clone, Deserialize, Serialize)]
pub struct StartedRun {
    pub run_id: RunId,
    pub run_number: u64,
    pub run_attempt: u32,
    pub workflow_id: u64,
    pub jobs: Vec<StartedJob>,
}

/// One job of a started run. `token_url` and `request_token` are what a runner gets as
/// `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
#[derive(Clone, Deserialize, Serialize)]
pub struct StartedJob {
    pub job_id: JobId,
    pub check_run_id: CheckRunId,
    pub name: String,
    pub environment: Option<String>,
    pub job_key: String,
    pub token_url: String,
    pub request_token: String,
}

impl Site {
    pub(crate) fn new(base_url: &str, api_token: String, hooks: Hooks) -> Result<Self, WorldError> {
        Ok(Self {
            links: Links {
                html: base_url.to_owned(),
                api: format!("{base_url}/api"),
            },
            api_token,
            state: Mutex::default(),
            clock: Clock::default(),
            keys: Keys::load()?,
            faults: Arc::default(),
            hooks,
            rate_limit: RateLimit::default(),
        })
    }

    /// The `iss` of its tokens, and the base of everything it serves.
    pub fn issuer(&self) -> &str {
        &self.links.html
    }

    /// The base URL of the API.
    pub fn api_url(&self) -> &str {
        &self.links.api
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Sets this site's clock that many seconds ahead of the system's (negative: behind).
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// Begins an hour in which the API answers `limit` requests.
    pub fn set_rate_limit(&self, limit: u64) {
        self.rate_limit.set(limit, self.now().unix_timestamp());
    }

    pub fn create_repo(&self, new: NewRepo) -> Result<CreatedRepo, WorldError> {
        let mut state = self.locked();
        let repo = state.create_repo(new, self.now())?;
        Ok(CreatedRepo {
            repository_id: repo.id,
            owner_id: repo.owner_id,
        })
    }

    /// Makes an environment and gives its id.
    pub fn create_environment(&self, spec: EnvironmentSpec) -> Result<u64, WorldError> {
        self.locked().create_environment(spec, false, self.now())
    }

    /// Deletes an environment and makes another of the same name; gives the other id.
    pub fn recreate_environment(&self, spec: EnvironmentSpec) -> Result<u64, WorldError> {
        self.locked().create_environment(spec, true, self.now())
    }

    /// Replaces the rules of an environment, which keeps its id.
    pub fn edit_environment(&self, spec: EnvironmentSpec) -> Result<u64, WorldError> {
        let now = self.now();
        let mut state = self.locked();
        state
            .repo_mut(&spec.repo)?
            .edit_environment(&spec.name, spec.rules, now)
    }

    pub fn delete_environment(&self, repo: &str, name: &str) -> Result<u64, WorldError> {
        self.locked().repo_mut(repo)?.delete_environment(name)
    }

    /// Starts a run: requested, its jobs queued, then all under way.
    pub async fn start_run(&self, spec: StartRun) -> Result<StartedRun, WorldError> {
        self.change(|site, state, now| {
            let id = state.open_run(Arc::new(spec), now)?;
            site.begin(state, id, now)
        })
        .await
    }

    /// Runs a completed run again, as its next attempt.
    pub async fn rerun(&self, id: RunId) -> Result<StartedRun, WorldError> {
        self.change(|site, state, now| {
            state.rerun(id, now)?;
            site.begin(state, id, now)
        })
        .await
    }

    /// Ends one job; its run goes on.
    pub async fn complete_job(&self, id: JobId, how: Conclusion) -> Result<(), WorldError> {
        self.change(|site, state, now| {
            let run = state.complete_job(id, how, now)?;
            Ok(((), site.job_events(state, run, &[id], "completed")))
        })
        .await
    }

    /// Ends a run and every job of it that is still under way.
    pub async fn complete_run(&self, id: RunId, how: Conclusion) -> Result<(), WorldError> {
        self.change(|site, state, now| {
            let ended = state.complete_run(id, how, now)?;
            let mut events = site.job_events(state, id, &ended, "completed");
            events.extend(site.run_event(state, id, "completed"));
            Ok(((), events))
        })
        .await
    }

    /// Cancels a run and every job of it that is still under way.
    pub async fn cancel_run(&self, id: RunId) -> Result<(), WorldError> {
        self.complete_run(id, Conclusion::Cancelled).await
    }

    /// Starts a run that no webhook announces; gives its first job.
    pub(crate) fn start_quietly(&self, spec: StartRun) -> Result<JobId, WorldError> {
        let now = self.now();
        let mut state = self.locked();
        let id = state.open_run(Arc::new(spec), now)?;
        state.begin_run(id, now)?;
        let first = state
            .run(id)
            .and_then(|run| run.current.jobs.first().copied());
        first.ok_or_else(|| WorldError::unknown("run", id))
    }

    pub(crate) fn rate_limit(&self) -> &RateLimit {
        &self.rate_limit
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn accepts_api_token(&self, token: &str) -> bool {
        token == self.api_token
    }

    /// The claims of a job's ID token, whatever state the job is in.
    pub(crate) fn job_claims(
        &self,
        job: JobId,
        audience: String,
        lifetime_secs: i64,
    ) -> Result<Map<String, Value>, WorldError> {
        let terms = Terms {
            issuer: self.issuer().to_owned(),
            audience,
            jti: clock::random_uuid()?,
            now: self.now(),
            lifetime_secs,
        };
        let state = self.locked();
        let found = state.job(job).and_then(|job| {
            let scene = Scene::of(&state, &self.links, job.run, Some(job.attempt))?;
            Some(claims::of_job(&scene, job, terms))
        });
        found.ok_or_else(|| WorldError::unknown("job", job))
    }

    /// The audience of a token for which none was asked: the owner's page.
    pub(crate) fn default_audience(&self, job: JobId) -> Result<String, WorldError> {
        let owner = self.read(|state, _| {
            let run = state.run(state.job(job)?.run)?;
            Some(state.repo(&run.repo)?.owner.clone())
        });
        let owner = owner.ok_or_else(|| WorldError::unknown("job", job))?;
        Ok(format!("{}/{owner}", self.issuer()))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, &Links) -> T) -> T {
        look(&self.locked(), &self.links)
    }

    async fn change<T>(
        &self,
        verb: impl FnOnce(&Self, &mut State, OffsetDateTime) -> Result<(T, Vec<Event>), WorldError>,
    ) -> Result<T, WorldError> {
        let (answer, events) = verb(self, &mut self.locked(), self.now())?;
        self.hooks.announce(events).await?;
        Ok(answer)
    }

    fn begin(
        &self,
        state: &mut State,
        id: RunId,
        now: OffsetDateTime,
    ) -> Result<(StartedRun, Vec<Event>), WorldError> {
        let jobs = state.run(id).map(|run| run.current.jobs.clone());
        let jobs = jobs.ok_or_else(|| WorldError::unknown("run", id))?;
        let mut events = Vec::from_iter(self.run_event(state, id, "requested"));
        events.extend(self.job_events(state, id, &jobs, "queued"));
        state.begin_run(id, now)?;
        events.extend(self.run_event(state, id, "in_progress"));
        events.extend(self.job_events(state, id, &jobs, "in_progress"));
        let started = self
            .started(state, id)
            .ok_or_else(|| WorldError::unknown("run", id))?;
        Ok((started, events))
    }

    fn started(&self, state: &State, id: RunId) -> Option<StartedRun> {
        let run = state.run(id)?;
        let jobs = run.current.jobs.iter().filter_map(|id| state.job(*id));
        let jobs = jobs.map(|job| StartedJob {
            job_id: job.id,
            check_run_id: job.check_run_id,
            name: job.name.clone(),
            environment: job.environment.clone(),
            job_key: job.key.clone(),
            // Clients append `&audience=…`, so the URL has a query already.
            token_url: format!("{}/token/{}?api-version=2.0", self.issuer(), job.key),
            request_token: job.request_token.clone(),
        });
        Some(StartedRun {
            run_id: run.id,
            run_number: run.number,
            run_attempt: run.current.number,
            workflow_id: run.workflow_id,
            jobs: jobs.collect(),
        })
    }

    fn run_event(&self, state: &State, id: RunId, action: &'static str) -> Option<Event> {
        let scene = Scene::of(state, &self.links, id, None)?;
        Some(Event {
            name: "workflow_run",
            action,
            body: scene.run_event(action),
        })
    }

    fn job_events(
        &self,
        state: &State,
        run: RunId,
        jobs: &[JobId],
        action: &'static str,
    ) -> Vec<Event> {
        let jobs = jobs.iter().filter_map(|id| state.job(*id));
        jobs.filter_map(|job| {
            let scene = Scene::of(state, &self.links, run, Some(job.attempt))?;
            Some(Event {
                name: "workflow_job",
                action,
                body: scene.job_event(job, action),
            })
        })
        .collect()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
