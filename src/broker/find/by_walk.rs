//! Among the newest: what no key leads to. Lineages and entries are looked through from the newest on,
//! so many and no more, and the answer says when it stopped there.

use std::collections::HashMap;

use super::by_id::read;
use super::{By, Found, Hit, Looked, MOST_HITS};
use crate::broker::Broker;
use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::grant::SecretPath;
use crate::domain::identity::SpiffeId;
use crate::domain::ids::TaskId;
use crate::domain::lineage::Lineage;
use crate::domain::task::Task;
use crate::ledger::change::Write;
use crate::store::inquiry::{Mark, Sort};

impl Broker {
    pub(super) async fn by_instance(&self, instance: &str) -> Looked<Found> {
        self.walk(By::Job, |lineage| lineage.instance.as_str() == instance)
            .await
    }

    pub(super) async fn by_fixed_claim(&self, name: &str, value: &str) -> Looked<Found> {
        let has = |lineage: &Lineage| {
            let fixed = lineage.identity.fixed().get(name);
            fixed.is_some_and(|claim| claim == value)
        };
        self.walk(By::Claim, has).await
    }

    pub(super) async fn by_workload(&self, id: &SpiffeId) -> Looked<Found> {
        self.walk(By::Workload, |lineage| lineage.identity.id() == id)
            .await
    }

    /// By the name that a repository had when it was last asked about. Hosts fold its case.
    pub(super) async fn by_repository(&self, name: &str) -> Looked<Found> {
        let has = |lineage: &Lineage| {
            let mut names = lineage.bindings.iter().filter_map(|binding| {
                let locate = &binding.locate.0;
                locate
                    .get("repository")
                    .or_else(|| locate.get("project_path"))
            });
            names.any(|known| known.eq_ignore_ascii_case(name))
        };
        self.walk(By::Repository, has).await
    }

    /// By a commit that the evidence of a run named, or that a binding pins.
    pub(super) async fn by_commit(&self, commit: &str) -> Looked<Found> {
        let commit = commit.to_ascii_lowercase();
        let is =
            |(name, value): (&String, &String)| name.contains("sha") && value.starts_with(&commit);
        let has = |lineage: &Lineage| {
            let bindings = &lineage.bindings;
            let pinned = bindings.iter().flat_map(|binding| &binding.pins);
            let named = bindings.iter().flat_map(|binding| &binding.locate.0);
            let fixed = lineage.identity.fixed();
            pinned.chain(named).chain(fixed).any(is)
        };
        self.walk(By::Commit, has).await
    }

    /// Who read a secret, newest first.
    pub(super) async fn by_secret_path(&self, path: &SecretPath) -> Looked<Found> {
        let mut found = Found::many(Vec::new(), false);
        let mut before: Option<Mark> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .store
                .newest_entries(self.realm, Sort::Reads, before, PAGE);
            let page = page.await?;
            for entry in &page {
                let leaf = read(entry)?;
                let mut records = leaf.writes.iter().filter_map(Write::credential);
                let of_path = |record: &&CredentialRecord| {
                    matches!(&record.kind,
                        CredentialKind::SecretLease(lease) if lease.path == *path)
                };
                if let Some(record) = records.find(of_path) {
                    let hit = self
                        .credential_hit(By::SecretPath, record.lineage, record.id)
                        .await?;
                    found.add(Found::of(hit));
                }
            }
            before = page.last().map(Mark::from);
            if found.hits.len() == MOST_HITS || page.len() < PAGE as usize {
                found.more |= page.len() == PAGE as usize;
                return Ok(found);
            }
        }
        found.more = true;
        Ok(found)
    }

    /// The lineages that satisfy something, among the newest.
    async fn walk(&self, by: By, has: impl Fn(&Lineage) -> bool) -> Looked<Found> {
        let mut found = Found::many(Vec::new(), false);
        let mut tasks: HashMap<TaskId, Task> = HashMap::new();
        let mut before = None;
        for _ in 0..MOST_PAGES {
            let page = self.store.newest_lineages(self.realm, before, PAGE).await?;
            before = page.last().map(|lineage| lineage.id);
            let whole = page.len() < PAGE as usize;
            for lineage in page.into_iter().filter(|lineage| has(lineage)) {
                let task = match tasks.get(&lineage.task) {
                    Some(task) => Some(task.clone()),
                    None => self.store.task(self.realm, lineage.task).await?,
                };
                if let Some(task) = task {
                    tasks.insert(task.id, task.clone());
                    found.add(Found::of(Some(Hit::of_lineage(by, task, lineage))));
                }
            }
            if whole || found.hits.len() == MOST_HITS {
                found.more |= !whole;
                return Ok(found);
            }
        }
        found.more = true;
        Ok(found)
    }
}

/// How many rows are read at a time.
const PAGE: u32 = 500;

/// How many times: ten thousand rows are a fraction of a second.
const MOST_PAGES: usize = 20;
