//! Sift: the open tasks that a condition means, shown before anything is revoked. Nothing is changed
//! here; what is revoked is revoked by id, so that it is what was shown and counted.

use std::collections::BTreeSet;

use crate::broker::outstanding::CredentialState;
use crate::broker::{Broker, unavailable};
use crate::domain::condition::{Condition, FIELDS, nearest};
use crate::domain::credential::CredentialRecord;
use crate::domain::ids::TaskId;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::store::Down;

/// What a part of all tasks was found to hold.
#[derive(Debug)]
pub struct Sifted {
    /// The condition with its times in full: what the next part is to be asked with.
    pub condition: Condition,
    /// Newest first.
    pub tasks: Vec<(Task, Tally)>,
    /// How many more fit and are over already.
    pub over: u32,
    /// The claims of the condition that some lineage has.
    pub claims_met: BTreeSet<String>,
    pub looked_at: u32,
    /// Where to go on, if there is more.
    pub next: Option<TaskId>,
}

/// Credentials, counted by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub live: u32,
    pub revoked: u32,
    /// Certificates that are revoked and not on the lists yet.
    pub propagating: u32,
    /// Those that should be on the lists by now.
    pub stuck: u32,
    /// Certificates that are revoked and on the lists: taken by whoever reads none until they expire.
    pub listed: u32,
    /// Revoked, and taken offline until they expire.
    pub offline: u32,
    /// When the last expires of those that somebody may take although they are revoked.
    pub offline_until: Option<Timestamp>,
    pub exposed: u32,
}

impl Broker {
    /// Looks through the tasks from below `before`, newest first.
    ///
    /// # Errors
    /// `request_malformed`: no identity is made of a claim of this name, so that it would fit nothing.
    pub async fn sift(
        &self,
        condition: Condition,
        before: Option<TaskId>,
    ) -> Result<Sifted, Error> {
        self.knows_claims(&condition)?;
        let now = self.clock.now();
        let page = self.store.tasks(self.realm, before, PAGE).await;
        let page = page.map_err(|down| unavailable(&down))?;
        let mut sifted = Sifted {
            next: page.last().map(|task| task.id),
            looked_at: u32::try_from(page.len()).unwrap_or(u32::MAX),
            tasks: Vec::new(),
            over: 0,
            claims_met: BTreeSet::new(),
            condition,
        };
        if sifted.looked_at < PAGE {
            sifted.next = None;
        }
        for task in page {
            if sifted
                .condition
                .opened_from()
                .is_some_and(|from| task.opened_at < from)
            {
                // Tasks come in the order of their opening: all the rest is older.
                sifted.next = None;
                break;
            }
            self.sift_one(task, &mut sifted, now)
                .await
                .map_err(|down| unavailable(&down))?;
        }
        Ok(sifted)
    }

    /// A slip of the pen would read as good news.
    fn knows_claims(&self, condition: &Condition) -> Result<(), Error> {
        let known = self.attestors.identifying();
        let Some(claim) = condition.claims().find(|claim| !known.contains(*claim)) else {
            return Ok(());
        };
        let names = known.iter().map(String::as_str).chain(FIELDS);
        let meant = nearest(claim, names)
            .map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
        let text = format!("no identity is made of a claim `{claim}`{meant}");
        Err(Error::new(Code::RequestMalformed, text).with_field("where"))
    }

    async fn sift_one(&self, task: Task, sifted: &mut Sifted, now: Timestamp) -> Result<(), Down> {
        let condition = &sifted.condition;
        if !condition.fits_task(&task) {
            return Ok(());
        }
        let mut meant = None;
        if condition.asks_lineages() {
            let lineages = self.store.lineages(self.realm, task.id).await?;
            for claim in condition.claims() {
                if lineages
                    .iter()
                    .any(|l| l.identity.fixed().contains_key(claim))
                {
                    sifted.claims_met.insert(claim.to_owned());
                }
            }
            let fitting = lineages
                .iter()
                .filter(|lineage| condition.fits_lineage(lineage));
            let fitting: BTreeSet<_> = fitting.map(|lineage| lineage.id).collect();
            if fitting.is_empty() {
                return Ok(());
            }
            meant = Some(fitting);
        }
        if condition.asks_issues() {
            let all = self
                .store
                .credentials(self.realm, task.id, Timestamp::EPOCH);
            let fits = |record: &CredentialRecord| {
                let of_meant = meant.as_ref().is_none_or(|m| m.contains(&record.lineage));
                of_meant && condition.fits_issue(record.issued_at)
            };
            if !all.await?.iter().any(fits) {
                return Ok(());
            }
        }
        if !task.is_open() || task.deadline <= now {
            sifted.over += 1;
            return Ok(());
        }
        let rows = self.standing_of(&task).await?;
        let tally = Tally::of(rows.iter());
        sifted.tasks.push((task, tally));
        Ok(())
    }
}

impl Tally {
    /// Counts credentials by where they stand.
    pub fn of<'a>(rows: impl Iterator<Item = &'a (CredentialRecord, CredentialState)>) -> Self {
        let mut tally = Self::default();
        for (record, state) in rows {
            match state {
                CredentialState::Live => tally.live += 1,
                CredentialState::Revoked => tally.revoked += 1,
                CredentialState::Propagating => tally.propagating += 1,
                CredentialState::Stuck(_) => tally.stuck += 1,
                CredentialState::Listed => tally.listed += 1,
                CredentialState::ExpiresAt => tally.offline += 1,
                CredentialState::Exposed => tally.exposed += 1,
                CredentialState::Expired => {}
            }
            if state.is_usable() && *state != CredentialState::Live {
                tally.offline_until = tally.offline_until.max(Some(record.expires_at));
            }
        }
        tally
    }
}

/// How many tasks are looked at in one call.
const PAGE: u32 = 500;
