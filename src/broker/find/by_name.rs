//! By what a task's name is made of. Names are kept in order, so that a run's number is found behind
//! every repository in turn, one step for each: no name is looked at twice, and no index is needed.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::clue::RunPage;
use super::{By, Found, Hit, Looked, MOST_HITS};
use crate::broker::Broker;
use crate::domain::name::{SourceName, TaskName};
use crate::domain::task::Task;

impl Broker {
    /// The tasks and jobs of a run's page.
    pub(super) async fn by_page(&self, page: &RunPage) -> Looked<Found> {
        let Some((claim, value)) = &page.run else {
            let job = page.job.clone().unwrap_or_default();
            return self.by_instance(&job).await;
        };
        let (mut tasks, more) = self.named_by(claim, value).await?;
        if let Some(attempt) = &page.attempt {
            let places = self.places("run_attempt");
            tasks.retain(|task| {
                let mut of_task = places.iter().filter(|(source, _)| is_of(task, source));
                of_task.all(|(_, place)| segment(&task.name, *place) == Some(attempt))
            });
        }
        let mut hits = Vec::new();
        for task in tasks {
            match &page.job {
                None => hits.push(Hit::of_task(By::Run, task)),
                Some(job) => hits.extend(self.job_hits(task, job).await?),
            }
        }
        Ok(Found::many(hits, more))
    }

    /// The tasks that a claim names; where it names none, the lineages whose identity has it.
    pub(super) async fn by_claim(&self, name: &str, value: &str) -> Looked<Found> {
        let (tasks, more) = self.named_by(name, value).await?;
        if tasks.is_empty() {
            return self.by_fixed_claim(name, value).await;
        }
        let hits = tasks.into_iter().map(|task| Hit::of_task(By::Claim, task));
        Ok(Found::many(hits.collect(), more))
    }

    /// A text in the form of a task's name is also looked for as everything else that has slashes.
    pub(super) async fn by_name(&self, name: &TaskName) -> Looked<Found> {
        if let Some(task) = self.store.task_named(self.realm, name).await? {
            return Ok(Found::of(Some(Hit::of_task(By::Task, task))));
        }
        self.by_word(name.as_str()).await
    }

    /// A number may be any id of any source; a word, a repository, a commit or a secret's path.
    pub(super) async fn by_word(&self, word: &str) -> Looked<Found> {
        let mut found = Found::many(Vec::new(), false);
        if word.bytes().all(|b| b.is_ascii_digit()) {
            let rules = self.rules.now();
            let claims: BTreeSet<String> = rules
                .profiles
                .all()
                .flat_map(|profile| profile.named_by().into_iter().map(str::to_owned))
                .collect();
            for claim in claims {
                let (tasks, more) = self.named_by(&claim, word).await?;
                let hits = tasks.into_iter().map(|task| Hit::of_task(By::Claim, task));
                found.add(Found::many(hits.collect(), more));
            }
            if found.hits.is_empty() {
                found.add(self.by_instance(word).await?);
            }
            return Ok(found);
        }
        if word.contains('/') {
            found.add(self.by_repository(word).await?);
        }
        if let Ok(path) = word.parse() {
            found.add(self.by_secret_path(&path).await?);
        }
        let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
        if hex && (7..=64).contains(&word.len()) {
            found.add(self.by_commit(word).await?);
        }
        Ok(found)
    }

    /// The tasks in whose names a claim has this value, in the order of their names.
    async fn named_by(&self, claim: &str, value: &str) -> Looked<(Vec<Task>, bool)> {
        let (mut names, mut more) = (BTreeSet::new(), false);
        for (source, place) in self.places(claim) {
            more |= self.collect(&source, place, value, &mut names).await?;
        }
        let mut tasks = Vec::new();
        for name in names {
            tasks.extend(self.store.task_named(self.realm, &name).await?);
        }
        Ok((tasks, more))
    }

    /// Where in the names of which source's tasks a claim stands.
    fn places(&self, claim: &str) -> BTreeSet<(SourceName, usize)> {
        let rules = self.rules.now();
        let profiles = rules.profiles.all();
        profiles
            .filter_map(|p| p.place_of(claim))
            .map(|(source, place)| (source.clone(), place))
            .collect()
    }

    /// Gathers the names of a source with a value at a place, and says whether it stopped early.
    async fn collect(
        &self,
        source: &SourceName,
        place: usize,
        value: &str,
        names: &mut BTreeSet<TaskName>,
    ) -> Looked<bool> {
        let mut from = format!("{source}/");
        for _ in 0..MOST_STEPS {
            let next = self.store.names(self.realm, &from, 1).await?;
            let Some(name) = next.into_iter().next() else {
                return Ok(false);
            };
            if !name.as_str().starts_with(&format!("{source}/")) {
                return Ok(false);
            }
            from = match segment(&name, place) {
                None => behind(name.as_str()),
                Some(here) => {
                    let prefix = prefix(&name, place);
                    match here.cmp(value) {
                        Ordering::Less => format!("{prefix}/{value}"),
                        Ordering::Greater => format!("{prefix}0"),
                        Ordering::Equal if names.len() == MOST_HITS => return Ok(true),
                        Ordering::Equal => {
                            let from = behind(name.as_str());
                            names.insert(name);
                            from
                        }
                    }
                }
            };
        }
        Ok(true)
    }

    async fn job_hits(&self, task: Task, job: &str) -> Looked<Vec<Hit>> {
        let lineages = self.store.lineages(self.realm, task.id).await?;
        let of_job = lineages.into_iter().filter(|l| l.instance.as_str() == job);
        Ok(of_job
            .map(|lineage| Hit::of_lineage(By::Job, task.clone(), lineage))
            .collect())
    }
}

/// The first text above a name that is neither the name nor above any longer one: `!` is below
/// everything that a name may hold.
fn behind(name: &str) -> String {
    format!("{name}!")
}

/// One segment of a name below its source.
fn segment(name: &TaskName, place: usize) -> Option<&str> {
    name.as_str().split('/').nth(place + 1)
}

/// A name up to, and without, one segment below its source; `0` is the character above the slash.
fn prefix(name: &TaskName, place: usize) -> String {
    let segments: Vec<_> = name.as_str().split('/').take(place + 1).collect();
    segments.join("/")
}

fn is_of(task: &Task, source: &SourceName) -> bool {
    task.name.as_str().split('/').next() == Some(source.as_str())
}

/// A step for each repository, and one for each task of a run.
const MOST_STEPS: usize = 10_000;
