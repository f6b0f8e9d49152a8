//! What exists in a GitLab instance, and how it moves. No I/O and no clock. A retried job is another
//! job of the same pipeline, which then runs again.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::spec::{LabJob, LabStatus, Protection, StartPipeline};
use crate::error::WorldError;
use crate::repo::Counter;

pub(crate) struct Project {
    pub(crate) id: u64,
    pub(crate) namespace_id: u64,
    /// `group/name`
    pub(crate) path: String,
    pub(crate) environments: BTreeMap<String, Environment>,
}

pub(crate) struct Environment {
    pub(crate) id: u64,
    pub(crate) tier: &'static str,
    pub(crate) protection: Option<Protection>,
    pub(crate) created_at: OffsetDateTime,
}

pub(crate) struct Pipeline {
    pub(crate) id: u64,
    pub(crate) project_id: u64,
    pub(crate) spec: StartPipeline,
    pub(crate) jobs: Vec<u64>,
    pub(crate) status: LabStatus,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) pipeline_id: u64,
    pub(crate) spec: LabJob,
    pub(crate) status: LabStatus,
    pub(crate) retried: bool,
    pub(crate) created_at: OffsetDateTime,
}

pub(crate) struct State {
    projects: BTreeMap<u64, Project>,
    pipelines: BTreeMap<u64, Pipeline>,
    jobs: BTreeMap<u64, Job>,
    project_ids: Counter,
    environment_ids: Counter,
    pipeline_ids: Counter,
    job_ids: Counter,
}

impl Default for State {
    fn default() -> Self {
        Self {
            projects: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            jobs: BTreeMap::new(),
            project_ids: Counter::from(4_011),
            environment_ids: Counter::from(880_001),
            pipeline_ids: Counter::from(2_230_001),
            job_ids: Counter::from(9_410_001),
        }
    }
}

impl State {
    pub(crate) fn project(&self, id: u64) -> Option<&Project> {
        self.projects.get(&id)
    }

    pub(crate) fn pipeline(&self, id: u64) -> Option<&Pipeline> {
        self.pipelines.get(&id)
    }

    pub(crate) fn job(&self, id: u64) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub(crate) fn create_project(&mut self, path: &str) -> Result<&Project, WorldError> {
        if self.projects.values().any(|project| project.path == path) {
            return Err(WorldError::Exists {
                kind: "project",
                name: path.to_owned(),
            });
        }
        let id = self.project_ids.take();
        let project = Project {
            id,
            namespace_id: id + 90_000,
            path: path.to_owned(),
            environments: BTreeMap::new(),
        };
        Ok(self.projects.entry(id).or_insert(project))
    }

    /// Makes an environment; one of that name that exists is deleted first, and has another id.
    pub(crate) fn make_environment(
        &mut self,
        project: u64,
        name: &str,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        let id = self.environment_ids.take();
        let environment = Environment {
            id,
            tier: tier(name),
            protection: None,
            created_at: now,
        };
        let project = self.project_mut(project)?;
        project.environments.insert(name.to_owned(), environment);
        Ok(id)
    }

    /// Protects an environment so, or not at all.
    pub(crate) fn protect(
        &mut self,
        project: u64,
        name: &str,
        protection: Option<Protection>,
    ) -> Result<(), WorldError> {
        let project = self.project_mut(project)?;
        let environment = project.environments.get_mut(name);
        let environment = environment.ok_or_else(|| WorldError::unknown("environment", name))?;
        environment.protection = protection;
        Ok(())
    }

    pub(crate) fn start(
        &mut self,
        spec: StartPipeline,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        let project = self.project_mut(spec.project_id)?;
        let missing: Vec<String> = spec
            .jobs
            .iter()
            .filter_map(|job| job.environment.clone())
            .filter(|name| !project.environments.contains_key(name))
            .collect();
        for name in missing {
            self.make_environment(spec.project_id, &name, now)?;
        }
        let id = self.pipeline_ids.take();
        let jobs = spec.jobs.clone();
        let pipeline = Pipeline {
            id,
            project_id: spec.project_id,
            spec,
            jobs: Vec::new(),
            status: LabStatus::Running,
            created_at: now,
            updated_at: now,
        };
        self.pipelines.insert(id, pipeline);
        for job in jobs {
            self.add_job(id, job, now)?;
        }
        Ok(id)
    }

    /// Moves a job, and its pipeline with it.
    pub(crate) fn move_job(
        &mut self,
        id: u64,
        to: LabStatus,
        now: OffsetDateTime,
    ) -> Result<(), WorldError> {
        let job = self.jobs.get_mut(&id);
        let job = job.ok_or_else(|| WorldError::unknown("job", id))?;
        if job.status.is_complete() && job.status != LabStatus::Skipped {
            return Err(WorldError::Completed { kind: "job", id });
        }
        job.status = to;
        let pipeline = job.pipeline_id;
        self.recompute(pipeline, now)
    }

    /// Starts an ended job again: another job under the same name.
    pub(crate) fn retry(&mut self, id: u64, now: OffsetDateTime) -> Result<u64, WorldError> {
        let job = self.jobs.get_mut(&id);
        let job = job.ok_or_else(|| WorldError::unknown("job", id))?;
        if !job.status.is_complete() {
            return Err(WorldError::UnderWay(id));
        }
        job.retried = true;
        let (pipeline, spec) = (job.pipeline_id, job.spec.clone());
        let again = self.add_job(pipeline, spec, now)?;
        self.recompute(pipeline, now)?;
        Ok(again)
    }

    fn add_job(
        &mut self,
        pipeline: u64,
        spec: LabJob,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        let id = self.job_ids.take();
        let job = Job {
            id,
            pipeline_id: pipeline,
            spec,
            status: LabStatus::Running,
            retried: false,
            created_at: now,
        };
        self.jobs.insert(id, job);
        let pipeline = self.pipelines.get_mut(&pipeline);
        let pipeline = pipeline.ok_or_else(|| WorldError::unknown("pipeline", id))?;
        pipeline.jobs.push(id);
        Ok(id)
    }

    /// A pipeline is where its jobs are; jobs that were retried do not count any more.
    fn recompute(&mut self, id: u64, now: OffsetDateTime) -> Result<(), WorldError> {
        let pipeline = self.pipelines.get_mut(&id);
        let pipeline = pipeline.ok_or_else(|| WorldError::unknown("pipeline", id))?;
        let jobs = pipeline.jobs.iter().filter_map(|job| self.jobs.get(job));
        let now_at: Vec<LabStatus> = jobs.filter(|j| !j.retried).map(|j| j.status).collect();
        let first = |wanted: &[LabStatus]| wanted.iter().find(|s| now_at.contains(s)).copied();
        let running = now_at.contains(&LabStatus::Running);
        let status = if running {
            Some(LabStatus::Running)
        } else {
            first(&[
                LabStatus::Canceling,
                LabStatus::Pending,
                LabStatus::WaitingForResource,
                LabStatus::Preparing,
                LabStatus::Manual,
                LabStatus::Scheduled,
                LabStatus::Created,
                LabStatus::Failed,
                LabStatus::Canceled,
                LabStatus::Success,
            ])
        };
        pipeline.status = status.unwrap_or(LabStatus::Skipped);
        pipeline.updated_at = now;
        Ok(())
    }

    fn project_mut(&mut self, id: u64) -> Result<&mut Project, WorldError> {
        let project = self.projects.get_mut(&id);
        project.ok_or_else(|| WorldError::unknown("project", id))
    }
}

/// The vendor guesses the tier from the name.
fn tier(name: &str) -> &'static str {
    match name.split('/').next() {
        Some("production" | "prod" | "live") => "production",
        Some("staging" | "demo") => "staging",
        Some("test" | "qa") => "testing",
        Some("dev" | "review") => "development",
        Some(_) | None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_another_job_and_sets_the_pipeline_running_again() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut state = State::default();
        let project = state.create_project("acme/shop").unwrap().id;
        let jobs = vec![LabJob::new("build"), LabJob::new("deploy")];
        let start = StartPipeline::new(project, "https://writ.example", jobs);
        let pipeline = state.start(start, now).unwrap();
        let jobs = state.pipeline(pipeline).unwrap().jobs.clone();
        state.move_job(jobs[0], LabStatus::Success, now).unwrap();
        state.move_job(jobs[1], LabStatus::Failed, now).unwrap();
        let status = |state: &State| state.pipeline(pipeline).unwrap().status;
        assert_eq!(status(&state), LabStatus::Failed);

        let again = state.retry(jobs[1], now).unwrap();
        assert!(!jobs.contains(&again));
        assert_eq!(status(&state), LabStatus::Running);
        assert!(state.move_job(jobs[1], LabStatus::Running, now).is_err());
        state.move_job(again, LabStatus::Success, now).unwrap();
        assert_eq!(status(&state), LabStatus::Success);
    }
}
