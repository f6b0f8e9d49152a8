//! From a profile's bindings to facts: for each binding the newest thing that is known within its
//! greatest age, by a way that the binding counts, asking the source only where nothing else does.

use std::time::Duration;

use futures_util::future::join_all;

use crate::attest::{Attested, Related};
use crate::context::Sources;
use crate::context::cache::FactCache;
use crate::context::fact::{Fact, FactState, Facts, Observed};
use crate::domain::context::{Locator, Record, RecordKey, RecordKind};
use crate::domain::lineage::Lineage;
use crate::domain::profile::{BindingRule, TaskProfile, Via};
use crate::domain::time::Timestamp;
use crate::seams::Clock;
use crate::telemetry::span::{Mark, Role};
use crate::telemetry::trace;

/// Everything that observing needs.
pub struct Observer {
    pub cache: FactCache,
    pub sources: Sources,
    pub clock: std::sync::Arc<dyn Clock>,
}

/// Which records to look at.
#[derive(Clone, Copy)]
pub enum Ties<'a> {
    /// Those that fresh evidence names, some of which it proves, and the case that the task is named by.
    Evidence(&'a Attested, Option<&'a RecordKey>),
    /// Those that the lineage was bound to when it opened.
    Lineage(&'a Lineage),
}

impl Observer {
    /// What is known, at this moment, for each binding of the profile. A binding whose record the
    /// evidence does not name at all is left out; the decision treats that as a refusal.
    pub async fn observe(&self, profile: &TaskProfile, ties: Ties<'_>) -> Facts {
        if let Ties::Evidence(attested, _) = ties {
            self.take_proofs(attested);
        }
        let reads = profile.bindings.iter().filter_map(|rule| {
            let (key, locate) = ties.record(rule)?;
            Some(self.one(rule, key, locate))
        });
        Facts::new(trace::within("observe", join_all(reads)).await)
    }

    /// Whether a record was heard to go on within `age`, with no hint since. One that is known to be
    /// over does not go on, however it came to be known.
    pub fn goes_on(&self, key: &RecordKey, age: Duration) -> bool {
        let known = self.cache.fresh(key, age, self.clock.now());
        known.is_some_and(|fact| !fact.record.as_ref().is_some_and(Record::is_over))
    }

    /// Reads a record at its source although nobody waits for a decision, unless something is known
    /// of it that is no older than `age`.
    pub async fn reread(&self, key: &RecordKey, locate: &Locator, age: Duration) -> FactState {
        let Some(source) = self.sources.get(&key.source) else {
            return FactState::Unavailable("the source is not configured to be asked".to_owned());
        };
        match self.cache.read(source.as_ref(), key, locate, age).await {
            Ok(fact) => FactState::Known(fact),
            Err(why) => FactState::Unavailable(why.0),
        }
    }

    /// What the evidence proves, as of its issue. An issuer whose clock is ahead of ours proves
    /// nothing of a time that has not come: such a fact would stand against what is read meanwhile.
    fn take_proofs(&self, attested: &Attested) {
        let observed_at = attested.evidence().issued_at.min(self.clock.now());
        for Related { key, proven, .. } in attested.records() {
            if let Some(record) = proven {
                self.cache.take_proof(Fact {
                    key: key.clone(),
                    record: Some(record.clone()),
                    via: Via::IssuerProof,
                    observed_at,
                    version: None,
                });
            }
        }
    }

    async fn one(&self, rule: &BindingRule, key: &RecordKey, locate: &Locator) -> Observed {
        let about = || vec![Mark::Source(key.source.clone()), Mark::Record(key.kind)];
        let known = |state: &FactState| vec![Mark::Known(matches!(state, FactState::Known(_)))];
        let work = self.state(rule, key, locate);
        let state = trace::told(Role::Internal, "read", about, work, known).await;
        Observed {
            key: key.clone(),
            locate: locate.clone(),
            state,
        }
    }

    async fn state(&self, rule: &BindingRule, key: &RecordKey, locate: &Locator) -> FactState {
        let cached = self.cache.fresh(key, rule.max_age, self.clock.now());
        if let Some(fact) = cached.filter(|fact| rule.via.contains(&fact.via)) {
            trace::mark(|| Mark::Cached(true));
            return FactState::Known(fact);
        }
        if !rule.via.contains(&Via::Pull) {
            return FactState::Unavailable("no evidence is fresh enough to prove it".to_owned());
        }
        let Some(source) = self.sources.get(&key.source) else {
            return FactState::Unavailable("the source is not configured to be asked".to_owned());
        };
        let (source, age) = (source.as_ref(), rule.max_age);
        let read = if rule.via.contains(&Via::IssuerProof) {
            self.cache.read(source, key, locate, age).await
        } else {
            self.cache.pull(source, key, locate, age).await
        };
        match read {
            Ok(fact) if rule.via.contains(&fact.via) => FactState::Known(fact),
            Ok(_) => {
                FactState::Unavailable("what is known came by a way that does not count".to_owned())
            }
            Err(why) => FactState::Unavailable(why.0),
        }
    }
}

impl<'a> Ties<'a> {
    fn record(self, rule: &BindingRule) -> Option<(&'a RecordKey, &'a Locator)> {
        match self {
            Self::Evidence(_, case) if rule.record == RecordKind::Case => {
                case.map(|key| (key, &NOWHERE))
            }
            Self::Evidence(attested, _) => {
                attested.record(rule.record).map(|r| (&r.key, &r.locate))
            }
            Self::Lineage(lineage) => {
                let binding = lineage
                    .bindings
                    .iter()
                    .find(|b| b.record.kind == rule.record)?;
                Some((&binding.record, &binding.locate))
            }
        }
    }
}

/// When a fact stops being good for a decision: the end that the ledger compares with its clock.
pub fn good_until(facts: &Facts, profile: &TaskProfile) -> Option<Timestamp> {
    facts
        .known()
        .filter_map(|fact| {
            Some(
                fact.observed_at
                    .plus(profile.binding(fact.key.kind)?.max_age),
            )
        })
        .min()
}

/// A case is found by its id alone.
static NOWHERE: Locator = Locator(std::collections::BTreeMap::new());
