//! Who may open, and hold, the task of a case. The request named it; the case has to name the one who
//! asks, by an id that evidence proved and in a field that such a workload cannot write. The other way
//! in is an operator's word for one workload.

use crate::context::fact::{Fact, FactState};
use crate::decide::case::Case;
use crate::decide::denial::{Denial, Ends, Refusal};
use crate::domain::context::RecordKind;
use crate::domain::profile::Naming;
use crate::error::Code;

/// Judged at every decision: a case that names somebody else today is not this workload's any more.
pub(super) fn check(case: &Case<'_>) -> Result<(), Refusal> {
    let Naming::Case(rule) = &case.profile.naming else {
        return Ok(());
    };
    let task = case.standing.task.as_ref();
    if task.is_some_and(|task| task.agent.as_ref() == Some(case.identity.id())) {
        return Ok(());
    }
    let record = case.facts.of(RecordKind::Case);
    let record = record.and_then(|observed| match &observed.state {
        FactState::Known(Fact { record, .. }) => record.as_ref(),
        FactState::Unavailable(_) => None,
    });
    for (field, claim) in &rule.opens_when {
        let named = record.and_then(|record| record.field(field));
        let shown = case.identity.fixed().get(claim).map(String::as_str);
        if named.is_some() && named == shown {
            continue;
        }
        let text = format!("the case's `{field}` does not name who asks");
        return Err(Denial::new(Code::ContextMismatch, text)
            .field(format!("{}.{field}", RecordKind::Case))
            .because(shown.unwrap_or("(absent)"), named.unwrap_or("(absent)"))
            .ends(if case.standing.lineage.is_some() {
                Ends::Lineage
            } else {
                Ends::Nothing
            })
            .into());
    }
    Ok(())
}
