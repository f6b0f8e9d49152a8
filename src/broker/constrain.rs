//! What every order about one lineage has in common: it is found with a task that goes on, moved, and the move
//! is recorded with who ordered it.

use crate::broker::revoke::unsettled;
use crate::broker::settle::Unsettled;
use crate::broker::{Broker, unavailable};
use crate::domain::constraint::Unmovable;
use crate::domain::identity::Identity;
use crate::domain::ids::LineageId;
use crate::domain::lineage::Lineage;
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, Subject};

/// A lineage as an order left it.
#[derive(Debug)]
pub struct Constrained {
    pub lineage: Lineage,
    /// It was so before: nothing was changed.
    pub already: bool,
}

impl Broker {
    /// A lineage whose task goes on.
    pub(in crate::broker) async fn constrainable(
        &self,
        id: LineageId,
    ) -> Result<(Task, Lineage), Error> {
        let found = self.lineage_and_task(id).await;
        let found = found.map_err(|down| unavailable(&down))?;
        let absent = || {
            let text = "there is no lineage with this id, or it was over long ago";
            Error::new(Code::NotFound, text).with_field("lineage")
        };
        let (task, lineage) = found.ok_or_else(absent)?;
        if !task.is_open() || task.deadline <= self.clock.now() {
            return Err(unmovable(Unmovable::Over));
        }
        Ok((task, lineage))
    }

    /// Commits a move; none where another change came first and all is to be looked at again.
    pub(in crate::broker) async fn constrain(
        &self,
        task: &Task,
        moved: Lineage,
        event: Event,
        note: Option<Write>,
    ) -> Result<Option<Lineage>, Error> {
        let subject = Subject {
            task: Some(task.id),
            task_name: Some(task.name.clone()),
            lineage: Some(moved.id),
            session: None,
            workload: Some(moved.identity.id().clone()),
        };
        let mut writes = vec![Write::Lineage(moved.clone())];
        writes.extend(note);
        match self.order(writes, subject, event).await {
            Ok(()) => Ok(Some(moved)),
            Err(Unsettled::Again) => Ok(None),
            Err(other) => Err(unsettled(other)),
        }
    }
}

/// Whoever asked for something does not decide on it: the one who had the lineage constrained, the one who
/// opened its task, and the workload itself, should it log in as an operator.
pub(in crate::broker) fn separate(
    decides: &str,
    asked: &str,
    (task, lineage): (&Task, &Lineage),
) -> Result<(), Error> {
    let opened = task.opened_by.as_deref();
    if decides != asked && Some(decides) != opened && !is_itself(decides, &lineage.identity) {
        return Ok(());
    }
    let text = "whoever asked for it does not decide on it as well: ask another approver";
    Err(Error::new(Code::SeparationRequired, text))
}

/// Whether an operator's subject is a claim that the workload is known by: `oidc:ISSUER#SUB`.
fn is_itself(operator: &str, identity: &Identity) -> bool {
    let subject = operator.rsplit_once('#').map(|(_, subject)| subject);
    let mut claims = identity.fixed().values();
    subject.is_some_and(|subject| {
        subject == identity.id().as_str() || claims.any(|claim| claim == subject)
    })
}

pub(in crate::broker) fn unmovable(why: Unmovable) -> Error {
    let (code, text) = match why {
        Unmovable::Over => (Code::Conflict, "it has ended"),
        Unmovable::Quarantined => (Code::Conflict, "it is in quarantine"),
        Unmovable::AtThatRisk => (
            Code::Conflict,
            "it is at that risk already, or at a higher one",
        ),
        Unmovable::AtLarge => (Code::Conflict, "nothing constrains it"),
        Unmovable::NoSuchChallenge => (
            Code::Conflict,
            "the challenge is over: something else constrains it now, or nothing",
        ),
        Unmovable::NotNarrower => (
            Code::Conflict,
            "it has to go on with less than it had: say without what",
        ),
        Unmovable::OwnChallenge => (
            Code::SeparationRequired,
            "whoever raised the risk does not approve as well: ask another approver",
        ),
    };
    Error::new(code, text).with_field("lineage")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_workload_that_logs_in_is_itself_by_whatever_it_is_known_by() {
        let claims = BTreeMap::from([("agent_id".to_owned(), "a-7".to_owned())]);
        let agent = Identity::new("spiffe://a/agents/a-7".parse().unwrap(), claims);
        for own in [
            "oidc:https://id.example#a-7",
            "oidc:x#spiffe://a/agents/a-7",
        ] {
            assert!(is_itself(own, &agent), "{own}");
        }
        for other in ["oidc:https://id.example#a-8", "uid:0 (root)", "a-7", "desk"] {
            assert!(!is_itself(other, &agent), "{other}");
        }
    }
}
