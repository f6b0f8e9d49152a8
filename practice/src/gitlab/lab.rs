//! One GitLab instance with everything behind it. The verbs change the state under one lock and then
//! send the webhooks of what changed; a verb returns when they were answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::claims::{self, Terms};
use super::hooks::{LabHook, LabHooks};
use super::payloads;
use super::spec::{LabStatus, Protection, StartPipeline};
use super::state::State;
use crate::clock::{self, Clock};
use crate::error::WorldError;
use crate::faults::Faults;
use crate::hooks::Delivery;
use crate::keys::Keys;
use crate::mint;

/// A GitLab instance under one path prefix of the world.
pub struct Lab {
    url: String,
    api_token: String,
    state: Mutex<State>,
    clock: Clock,
    keys: Keys,
    faults: Arc<Faults>,
    hooks: LabHooks,
}

/// A project's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LabProject {
    pub project_id: u64,
    pub namespace_id: u64,
}

/// A pipeline's id, and what its jobs hold.
#[derive(Debug, Clone, Serialize)]
pub struct StartedPipeline {
    pub pipeline_id: u64,
    pub jobs: Vec<StartedLabJob>,
}

/// A started job. Its ID token was minted when it started, and is the only one that it gets.
#[derive(Debug, Clone, Serialize)]
pub struct StartedLabJob {
    pub job_id: u64,
    pub pipeline_id: u64,
    pub id_token: String,
}

impl Lab {
    pub(crate) fn new(
        url: &str,
        api_token: String,
        http: reqwest::Client,
    ) -> Result<Self, WorldError> {
        Ok(Self {
            url: url.to_owned(),
            api_token,
            state: Mutex::default(),
            clock: Clock::default(),
            keys: Keys::load()?,
            faults: Arc::default(),
            hooks: LabHooks::new(http),
        })
    }

    /// The `iss` of its tokens, and the base of everything it serves.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// The base URL of the API.
    pub fn api_url(&self) -> String {
        format!("{}/api/v4", self.url)
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets this instance's clock that many seconds ahead of the system's (negative: behind).
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// Where webhooks go from now on; `None`: nowhere.
    pub fn set_hook(&self, hook: Option<LabHook>) {
        self.hooks.set(hook);
    }

    /// The last deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.hooks.deliveries()
    }

    /// Sends a delivery again as it was.
    pub async fn replay(&self, guid: &str) -> Result<Delivery, WorldError> {
        self.hooks.replay(guid).await
    }

    /// Sends any body as any event, to any receiver.
    pub async fn forge(
        &self,
        to: &LabHook,
        event: &str,
        body: Value,
    ) -> Result<Delivery, WorldError> {
        let now = self.now().unix_timestamp();
        self.hooks.send(to, event, &body, now).await
    }

    /// Makes a project of the path `group/name`.
    pub fn create_project(&self, path: &str) -> Result<LabProject, WorldError> {
        let mut state = self.locked();
        let project = state.create_project(path)?;
        Ok(LabProject {
            project_id: project.id,
            namespace_id: project.namespace_id,
        })
    }

    /// Makes an environment, in place of the one of that name; gives its id.
    pub fn make_environment(&self, project: u64, name: &str) -> Result<u64, WorldError> {
        self.locked().make_environment(project, name, self.now())
    }

    /// Protects an environment so, or not at all.
    pub fn protect(
        &self,
        project: u64,
        name: &str,
        protection: Option<Protection>,
    ) -> Result<(), WorldError> {
        self.locked().protect(project, name, protection)
    }

    /// Starts a pipeline with all its jobs.
    pub async fn start(&self, spec: StartPipeline) -> Result<StartedPipeline, WorldError> {
        let audience = spec.audience.clone();
        let (id, jobs) = {
            let mut state = self.locked();
            let id = state.start(spec, self.now())?;
            let jobs = state.pipeline(id).map(|p| p.jobs.clone());
            (id, jobs.unwrap_or_default())
        };
        let mut started = Vec::new();
        for job in &jobs {
            started.push(self.started(*job, &audience)?);
        }
        self.announce(id, &jobs).await?;
        Ok(StartedPipeline {
            pipeline_id: id,
            jobs: started,
        })
    }

    /// Moves a job to another status.
    pub async fn move_job(&self, id: u64, to: LabStatus) -> Result<(), WorldError> {
        let pipeline = {
            let mut state = self.locked();
            state.move_job(id, to, self.now())?;
            state.job(id).map_or(0, |job| job.pipeline_id)
        };
        self.announce(pipeline, &[id]).await
    }

    /// Ends every job of a pipeline that has not ended, and with them the pipeline.
    pub async fn cancel(&self, pipeline: u64) -> Result<(), WorldError> {
        let ended: Vec<u64> = {
            let mut state = self.locked();
            let jobs = state.pipeline(pipeline).map(|p| p.jobs.clone());
            let jobs = jobs.ok_or_else(|| WorldError::unknown("pipeline", pipeline))?;
            let mut ended = Vec::new();
            for job in jobs {
                if state.move_job(job, LabStatus::Canceled, self.now()).is_ok() {
                    ended.push(job);
                }
            }
            ended
        };
        self.announce(pipeline, &ended).await
    }

    /// Starts an ended job again, as another job, with a token of its own.
    pub async fn retry(&self, id: u64) -> Result<StartedLabJob, WorldError> {
        let (again, pipeline, audience) = {
            let mut state = self.locked();
            let again = state.retry(id, self.now())?;
            let pipeline = state.job(again).map_or(0, |job| job.pipeline_id);
            let spec = state.pipeline(pipeline).map(|p| p.spec.audience.clone());
            (again, pipeline, spec.unwrap_or_default())
        };
        let started = self.started(again, &audience)?;
        self.announce(pipeline, &[again]).await?;
        Ok(started)
    }

    /// A job's ID token as of now, with members laid over its claims; `null` removes one. The vendor
    /// mints no second token: this is what a forger would like to have.
    pub fn mint(
        &self,
        job: u64,
        audience: &str,
        over: Map<String, Value>,
    ) -> Result<String, WorldError> {
        let terms = Terms {
            issuer: self.url.clone(),
            audience: audience.to_owned(),
            jti: clock::random_uuid()?,
            now: self.now(),
        };
        let found = self.read(|state| {
            let job = state.job(job)?;
            let pipeline = state.pipeline(job.pipeline_id)?;
            let project = state.project(pipeline.project_id)?;
            Some(claims::of_job(project, pipeline, job, &terms))
        });
        let mut claims = found.ok_or_else(|| WorldError::unknown("job", job))?;
        mint::overlay(&mut claims, over);
        mint::honest(&*self.keys.signing()?, &claims)
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        token == self.api_token
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.locked())
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    fn started(&self, job: u64, audience: &str) -> Result<StartedLabJob, WorldError> {
        let pipeline_id = self.read(|state| state.job(job).map(|job| job.pipeline_id));
        Ok(StartedLabJob {
            job_id: job,
            pipeline_id: pipeline_id.ok_or_else(|| WorldError::unknown("job", job))?,
            id_token: self.mint(job, audience, Map::new())?,
        })
    }

    async fn announce(&self, pipeline: u64, jobs: &[u64]) -> Result<(), WorldError> {
        let Some(hook) = self.hooks.current() else {
            return Ok(());
        };
        let events = self.read(|state| {
            let Some(pipeline) = state.pipeline(pipeline) else {
                return Vec::new();
            };
            let Some(project) = state.project(pipeline.project_id) else {
                return Vec::new();
            };
            let jobs = jobs.iter().filter_map(|id| state.job(*id));
            let mut events: Vec<(&str, Value)> = jobs
                .map(|job| ("Job Hook", payloads::job_event(project, pipeline, job)))
                .collect();
            let run = payloads::pipeline_event(state, project, pipeline);
            events.push(("Pipeline Hook", run));
            events
        });
        let now = self.now().unix_timestamp();
        for (event, body) in events {
            self.hooks.send(&hook, event, &body, now).await?;
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
