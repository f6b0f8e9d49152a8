//! Apply: the profiles and policies of a configuration that was read again take the place of those in force,
//! all of them or none. What changes is said before, and recorded with who ordered it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::broker::Broker;
use crate::broker::revoke::{Order, unsettled};
use crate::broker::rules::Rules;
use crate::domain::key::Digest;
use crate::error::{Code, Error};
use crate::ledger::entry::{Delta, Event, Subject};

/// Where the configuration is read again.
pub trait Configuration: Send + Sync {
    /// Reads it, plans and applies. It goes on if nobody waits for it any more: what is recorded is in force.
    fn apply(
        self: Arc<Self>,
        wanted: Wanted,
        order: Order,
    ) -> BoxFuture<'static, Result<Plan, Error>>;
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only say what would change.
    Plan,
    /// Apply it, if it is still the one of this digest.
    This(Digest),
    /// Apply what there is.
    Whatever,
}

/// What changes, or has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub from: Digest,
    pub to: Digest,
    pub profiles: Delta,
    pub policies: Delta,
    pub applied: bool,
}

/// A broker whose configuration is not in a file that could be read again.
pub struct Fixed;

impl Configuration for Fixed {
    fn apply(self: Arc<Self>, _: Wanted, _: Order) -> BoxFuture<'static, Result<Plan, Error>> {
        Box::pin(async {
            let text =
                "this broker was started without a configuration file that it could read again";
            Err(refused(text))
        })
    }
}

/// The configuration is not taken; the one in force stays.
pub fn refused(why: impl Display) -> Error {
    Error::new(Code::ConfigurationRefused, why.to_string())
}

impl Broker {
    /// Puts rules in the place of those in force. Nothing is replaced before its record is durable.
    ///
    /// # Errors
    /// `conflict`: it is another configuration than the one that was shown. `store_unavailable` and its like:
    /// it could not be recorded, and everything stays as it was.
    pub async fn apply(&self, rules: Rules, wanted: Wanted, order: &Order) -> Result<Plan, Error> {
        let _turn = self.rules.turn.lock().await;
        let mut plan = Plan::between(&self.rules.now(), &rules);
        if matches!(wanted, Wanted::This(shown) if shown != plan.to) {
            let text = "the configuration is another one by now: look at what would change again";
            return Err(Error::new(Code::Conflict, text));
        }
        if wanted == Wanted::Plan || plan.from == plan.to {
            return Ok(plan);
        }
        let event = Event::RulesReplaced {
            from: plan.from,
            to: plan.to,
            profiles: plan.profiles.bounded(),
            policies: plan.policies.bounded(),
            by: order.by.clone(),
            reason: order.reason.clone(),
        };
        self.order(Vec::new(), Subject::default(), event)
            .await
            .map_err(unsettled)?;
        self.rules.replace(rules);
        plan.applied = true;
        Ok(plan)
    }
}

impl Plan {
    fn between(old: &Rules, new: &Rules) -> Self {
        Self {
            from: old.digest(),
            to: new.digest(),
            profiles: delta(old.profile_marks(), new.profile_marks()),
            policies: delta(old.policies.marks(), new.policies.marks()),
            applied: false,
        }
    }
}

fn delta<K: Ord + Display>(old: &BTreeMap<K, Digest>, new: &BTreeMap<K, Digest>) -> Delta {
    let changed = |(name, mark): &(&K, &Digest)| old.get(*name).is_some_and(|was| was != *mark);
    let names = |all: Vec<&K>| all.into_iter().map(ToString::to_string).collect();
    Delta {
        added: names(new.keys().filter(|name| !old.contains_key(*name)).collect()),
        changed: names(new.iter().filter(changed).map(|(name, _)| name).collect()),
        removed: names(old.keys().filter(|name| !new.contains_key(*name)).collect()),
    }
}
