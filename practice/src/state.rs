//! What exists in one site of the world: repositories, environments, runs, attempts and jobs, and
//! how they move. No I/O and no clock: every transition is given its time. Ids are never used
//! twice within a site, and every site counts from the same numbers, so that two issuers have
//! the same run ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::OffsetDateTime;

use crate::clock;
use crate::error::WorldError;
use crate::repo::{Counter, Repo};
use crate::run::{Attempt, CheckRunId, Job, JobId, Phase, Run, RunId};
use crate::spec::{Conclusion, EnvironmentSpec, NewRepo, StartJob, StartRun};

pub(crate) struct State {
    repos: BTreeMap<Arc<str>, Repo>,
    runs: BTreeMap<RunId, Run>,
    jobs: BTreeMap<JobId, Job>,
    by_check_run: BTreeMap<CheckRunId, JobId>,
    by_key: HashMap<String, JobId>,
    owner_ids: Counter,
    repo_ids: Counter,
    environment_ids: Counter,
    workflow_ids: Counter,
    run_ids: Counter,
    job_ids: Counter,
    check_run_ids: Counter,
}

impl Default for State {
    fn default() -> Self {
        Self {
            repos: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            by_check_run: BTreeMap::new(),
            by_key: HashMap::new(),
            owner_ids: Counter::from(40_101),
            repo_ids: Counter::from(812_345),
            environment_ids: Counter::from(161_088_068),
            workflow_ids: Counter::from(5_001),
            run_ids: Counter::from(9_900_001),
            job_ids: Counter::from(289_782_451),
            check_run_ids: Counter::from(1_291_536_064),
        }
    }
}

impl State {
    pub(crate) fn repo(&self, full_name: &str) -> Option<&Repo> {
        self.repos.get(full_name.to_lowercase().as_str())
    }

    pub(crate) fn repo_mut(&mut self, full_name: &str) -> Result<&mut Repo, WorldError> {
        self.repos
            .get_mut(full_name.to_lowercase().as_str())
            .ok_or_else(|| WorldError::unknown("repository", full_name))
    }

    pub(crate) fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    pub(crate) fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub(crate) fn job_of_check_run(&self, id: CheckRunId) -> Option<&Job> {
        self.by_check_run
            .get(&id)
            .and_then(|job| self.jobs.get(job))
    }

    pub(crate) fn job_of_key(&self, key: &str) -> Option<&Job> {
        self.by_key.get(key).and_then(|job| self.jobs.get(job))
    }

    /// Makes a repository; its full name is unique without regard to case.
    pub(crate) fn create_repo(
        &mut self,
        new: NewRepo,
        now: OffsetDateTime,
    ) -> Result<&Repo, WorldError> {
        let full_name = format!("{}/{}", new.owner, new.name);
        if new.owner.is_empty() || new.name.is_empty() || full_name.matches('/').count() != 1 {
            return Err(WorldError::Invalid(format!(
                "{full_name} is no repository name"
            )));
        }
        let key: Arc<str> = full_name.to_lowercase().into();
        if self.repos.contains_key(&key) {
            return Err(WorldError::Exists {
                kind: "repository",
                name: full_name,
            });
        }
        if self.repos.len() >= MAX_REPOS {
            return Err(WorldError::Full {
                kind: "repositories",
                limit: MAX_REPOS,
            });
        }
        let known_owner = self.repos.values().find(|repo| repo.owner == new.owner);
        let owner_id = match (new.owner_id, known_owner) {
            (Some(given), _) => given,
            (None, Some(sibling)) => sibling.owner_id,
            (None, None) => self.owner_ids.take(),
        };
        let id = new.repository_id.unwrap_or_else(|| self.repo_ids.take());
        let repo = Repo::new(new, owner_id, id, now);
        Ok(self.repos.entry(key).or_insert(repo))
    }

    /// Makes an environment, or, with `replace`, deletes the one of that name and makes another,
    /// which has another id.
    pub(crate) fn create_environment(
        &mut self,
        spec: EnvironmentSpec,
        replace: bool,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        let mut ids = self.environment_ids.clone();
        let repo = self.repo_mut(&spec.repo)?;
        let made = repo.create_environment(&spec.name, spec.rules, replace, &mut ids, now)?;
        self.environment_ids = ids;
        Ok(made)
    }

    /// Opens a run with its first attempt; its jobs are queued.
    pub(crate) fn open_run(
        &mut self,
        spec: Arc<StartRun>,
        now: OffsetDateTime,
    ) -> Result<RunId, WorldError> {
        if self.runs.len() >= MAX_RUNS {
            return Err(WorldError::Full {
                kind: "runs",
                limit: MAX_RUNS,
            });
        }
        if spec.jobs.is_empty() || spec.jobs.len() > MAX_JOBS {
            return Err(WorldError::Invalid(format!(
                "a run has 1 to {MAX_JOBS} jobs"
            )));
        }
        let mut environment_ids = self.environment_ids.clone();
        let mut workflow_ids = self.workflow_ids.clone();
        let repo = self.repo_mut(&spec.repo)?;
        for name in spec
            .jobs
            .iter()
            .filter_map(|job| job.environment.as_deref())
        {
            repo.ensure_environment(name, &mut environment_ids, now);
        }
        let workflow_id = repo.workflow_id(&spec.workflow, &mut workflow_ids);
        let number = repo.run_numbers.take();
        let key: Arc<str> = repo.full_name().to_lowercase().into();
        let default_ref = format!("refs/heads/{}", repo.default_branch);
        self.environment_ids = environment_ids;
        self.workflow_ids = workflow_ids;

        let id = RunId(self.run_ids.take());
        let run = Run {
            id,
            repo: key,
            number,
            workflow_id,
            check_suite_id: id.0 + 30_000_000_000,
            git_ref: spec.git_ref.clone().unwrap_or(default_ref),
            created_at: now,
            current: self.open_attempt(id, 1, &spec.jobs, now)?,
            past: Vec::new(),
            spec,
        };
        self.runs.insert(id, run);
        Ok(id)
    }

    /// Starts a completed run again: the next attempt, with jobs of its own.
    pub(crate) fn rerun(&mut self, id: RunId, now: OffsetDateTime) -> Result<(), WorldError> {
        let run = self
            .runs
            .get(&id)
            .ok_or_else(|| WorldError::unknown("run", id))?;
        if !run.current.phase.is_completed() {
            return Err(WorldError::UnderWay(id.0));
        }
        if run.past.len() >= MAX_ATTEMPTS {
            return Err(WorldError::Full {
                kind: "attempts",
                limit: MAX_ATTEMPTS,
            });
        }
        let (number, spec) = (run.current.number + 1, Arc::clone(&run.spec));
        let attempt = self.open_attempt(id, number, &spec.jobs, now)?;
        let run = self
            .runs
            .get_mut(&id)
            .ok_or_else(|| WorldError::unknown("run", id))?;
        let ended = std::mem::replace(&mut run.current, attempt);
        run.past.push(ended);
        Ok(())
    }

    /// Puts the current attempt under way.
    pub(crate) fn begin_run(&mut self, id: RunId, now: OffsetDateTime) -> Result<(), WorldError> {
        let run = self
            .runs
            .get_mut(&id)
            .ok_or_else(|| WorldError::unknown("run", id))?;
        run.current.phase = Phase::InProgress;
        run.current.updated_at = now;
        for job in &run.current.jobs {
            if let Some(job) = self.jobs.get_mut(job) {
                job.phase = Phase::InProgress;
            }
        }
        Ok(())
    }

    /// Ends one job. The run goes on until it is completed by its own call, as the vendor's
    /// run also ends some time after its last job.
    pub(crate) fn complete_job(
        &mut self,
        id: JobId,
        conclusion: Conclusion,
        now: OffsetDateTime,
    ) -> Result<RunId, WorldError> {
        let job = self
            .jobs
            .get_mut(&id)
            .ok_or_else(|| WorldError::unknown("job", id))?;
        if job.phase.is_completed() {
            return Err(WorldError::Completed {
                kind: "job",
                id: id.0,
            });
        }
        job.phase = Phase::Completed {
            conclusion,
            at: now,
        };
        if let Some(run) = self.runs.get_mut(&job.run) {
            run.current.updated_at = now;
        }
        Ok(job.run)
    }

    /// Ends the current attempt and every job of it that is still under way; gives those jobs.
    pub(crate) fn complete_run(
        &mut self,
        id: RunId,
        conclusion: Conclusion,
        now: OffsetDateTime,
    ) -> Result<Vec<JobId>, WorldError> {
        let run = self
            .runs
            .get_mut(&id)
            .ok_or_else(|| WorldError::unknown("run", id))?;
        if run.current.phase.is_completed() {
            return Err(WorldError::Completed {
                kind: "run",
                id: id.0,
            });
        }
        run.current.phase = Phase::Completed {
            conclusion,
            at: now,
        };
        run.current.updated_at = now;
        let mut ended = Vec::new();
        for job in &run.current.jobs {
            if let Some(job) = self.jobs.get_mut(job)
                && !job.phase.is_completed()
            {
                job.phase = Phase::Completed {
                    conclusion,
                    at: now,
                };
                ended.push(job.id);
            }
        }
        Ok(ended)
    }

    fn open_attempt(
        &mut self,
        run: RunId,
        number: u32,
        specs: &[StartJob],
        now: OffsetDateTime,
    ) -> Result<Attempt, WorldError> {
        let mut jobs = Vec::with_capacity(specs.len());
        for spec in specs {
            let id = JobId(self.job_ids.take());
            let job = Job {
                id,
                check_run_id: CheckRunId(self.check_run_ids.take()),
                run,
                attempt: number,
                name: spec.name.clone(),
                environment: spec.environment.clone(),
                deployment_id: id.0 + 7_000_000,
                runner_environment: spec.runner_environment,
                called_workflow: spec.job_workflow_ref.clone(),
                key: clock::random_hex::<16>()?,
                request_token: clock::random_hex::<32>()?,
                created_at: now,
                phase: Phase::Queued,
            };
            self.by_check_run.insert(job.check_run_id, id);
            self.by_key.insert(job.key.clone(), id);
            self.jobs.insert(id, job);
            jobs.push(id);
        }
        Ok(Attempt {
            number,
            phase: Phase::Queued,
            started_at: now,
            updated_at: now,
            jobs,
        })
    }
}

/// Enough for a long load run, small enough for a laptop (about 1 KiB each).
const MAX_RUNS: usize = 500_000;
const MAX_REPOS: usize = 10_000;
/// The vendor's limit for one matrix.
const MAX_JOBS: usize = 256;
const MAX_ATTEMPTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn state_with_run() -> (State, RunId) {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut state = State::default();
        state
            .create_repo(NewRepo::new("acme", "shop"), now)
            .unwrap();
        let jobs = vec![
            StartJob::new("build"),
            StartJob::new("deploy").in_environment("prod"),
        ];
        let run = state
            .open_run(Arc::new(StartRun::new("acme/shop", jobs)), now)
            .unwrap();
        state.begin_run(run, now).unwrap();
        (state, run)
    }

    #[test]
    fn completing_a_run_ends_every_job_and_is_final() {
        let (mut state, run) = state_with_run();
        let now = OffsetDateTime::UNIX_EPOCH;
        let jobs = state.run(run).unwrap().current.jobs.clone();
        state
            .complete_job(jobs[0], Conclusion::Success, now)
            .unwrap();
        let ended = state.complete_run(run, Conclusion::Cancelled, now).unwrap();
        assert_eq!(ended, vec![jobs[1]]);
        assert_eq!(
            state.job(jobs[0]).unwrap().phase.conclusion(),
            Some("success")
        );
        assert_eq!(
            state.job(jobs[1]).unwrap().phase.conclusion(),
            Some("cancelled")
        );
        let again = state.complete_run(run, Conclusion::Success, now);
        assert!(matches!(
            again,
            Err(WorldError::Completed { kind: "run", .. })
        ));
        assert_eq!(
            state.run(run).unwrap().current.phase.conclusion(),
            Some("cancelled")
        );
    }

    #[test]
    fn a_rerun_is_another_attempt_with_other_jobs_of_the_same_run() {
        let (mut state, run) = state_with_run();
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(matches!(
            state.rerun(run, now),
            Err(WorldError::UnderWay(_))
        ));
        state.complete_run(run, Conclusion::Failure, now).unwrap();
        state.rerun(run, now).unwrap();
        let run = state.run(run).unwrap();
        assert_eq!(run.current.number, 2);
        assert!(
            run.current
                .jobs
                .iter()
                .all(|job| !run.attempt(1).unwrap().jobs.contains(job))
        );
        assert_eq!(run.attempt(1).unwrap().phase.conclusion(), Some("failure"));
    }

    #[test]
    fn a_check_run_leads_to_its_job_and_has_another_id() {
        let (state, run) = state_with_run();
        for id in &state.run(run).unwrap().current.jobs {
            let job = state.job(*id).unwrap();
            assert_ne!(job.check_run_id.0, job.id.0);
            assert_eq!(state.job_of_check_run(job.check_run_id).unwrap().id, *id);
        }
    }

    #[test]
    fn a_refused_run_leaves_nothing_behind() {
        let (mut state, _) = state_with_run();
        let spec = StartRun::new("acme/other", vec![StartJob::new("build")]);
        let refused = state.open_run(Arc::new(spec), OffsetDateTime::UNIX_EPOCH);
        assert!(matches!(
            refused,
            Err(WorldError::Unknown {
                kind: "repository",
                ..
            })
        ));
        assert_eq!(state.runs.len(), 1);
        assert_eq!(state.jobs.len(), 2);
    }
}
