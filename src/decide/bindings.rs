//! Bindings against facts: what is required must hold, what was pinned must be what it was, and what
//! is not known decides nothing. A fact that is known to be false outweighs another that is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::context::fact::{FactState, Observed};
use crate::decide::case::Case;
use crate::decide::denial::{Denial, Ends, Refusal, Undetermined};
use crate::domain::context::{Record, RecordKind};
use crate::domain::lineage::{Binding, Lineage};
use crate::domain::profile::BindingRule;
use crate::domain::time::Timestamp;
use crate::error::Code;

/// Judges every binding of the profile.
pub(super) fn check(case: &Case<'_>, _now: Timestamp) -> Result<(), Refusal> {
    let mut unknown = None;
    for rule in &case.profile.bindings {
        match one(case, rule) {
            Ok(()) => {}
            Err(Refusal::Undetermined(why)) => unknown = unknown.or(Some(why)),
            Err(denied @ Refusal::Denied(_)) => return Err(denied),
        }
    }
    unknown.map_or(Ok(()), |why| Err(Refusal::Undetermined(why)))
}

/// Ties for a lineage that opens now, with the pinned fields as they are.
pub(super) fn pins(case: &Case<'_>) -> Vec<Binding> {
    let tie = |rule: &BindingRule| {
        let observed = case.facts.of(rule.record)?;
        let FactState::Known(fact) = &observed.state else {
            return None;
        };
        let record = fact.record.as_ref()?;
        let pins: BTreeMap<String, String> = rule
            .pin
            .iter()
            .filter_map(|name| Some((name.clone(), record.field(name)?.to_owned())))
            .collect();
        Some(Binding {
            record: observed.key.clone(),
            locate: observed.locate.clone(),
            pins,
        })
    };
    case.profile.bindings.iter().filter_map(tie).collect()
}

fn one(case: &Case<'_>, rule: &BindingRule) -> Result<(), Refusal> {
    let Some(observed) = case.facts.of(rule.record) else {
        let text = format!(
            "the profile is bound to a record of the kind `{}`, which the evidence does not name",
            rule.record
        );
        return Err(Denial::new(Code::ProfileUnmatched, text)
            .field(rule.record.as_str())
            .into());
    };
    let record = known(observed, rule.record)?;
    if record.is_over() {
        return Err(over(record, case.standing.lineage.as_ref()));
    }
    let bound = case.standing.lineage.as_ref();
    required(record, rule, bound)?;
    match bound {
        Some(lineage) => pinned(record, rule, observed, lineage),
        None => Ok(()),
    }
}

fn known(observed: &Observed, kind: RecordKind) -> Result<&Record, Refusal> {
    match &observed.state {
        FactState::Known(fact) => fact.record.as_ref().ok_or_else(|| {
            let text = format!("the source knows no such {kind}");
            Denial::new(Code::ContextUnknown, text)
                .field(kind.as_str())
                .because("a record", "none")
                .into()
        }),
        FactState::Unavailable(why) => Err(Undetermined {
            code: Code::ContextUnavailable,
            public: format!("the state of the {kind} cannot be read now").into(),
            field: Some(kind.as_str().to_owned()),
            internal: Some(why.clone()),
            retry_after: RETRY,
        }
        .into()),
    }
}

/// A run, job or case that is over ends what stands on it: a run its task, a job its lineage. A run or
/// case that may be started again ends no more than the lineage: the task is there for what is to come.
fn over(record: &Record, lineage: Option<&Lineage>) -> Refusal {
    let ends = match (record.kind(), lineage) {
        (_, None) => Ends::Nothing,
        (RecordKind::Pipeline | RecordKind::Case, Some(_)) if record.is_terminal() => Ends::Task,
        (
            RecordKind::Pipeline | RecordKind::Job | RecordKind::Environment | RecordKind::Case,
            Some(_),
        ) => Ends::Lineage,
    };
    let observed = record
        .field("conclusion")
        .or_else(|| record.field("status"))
        .unwrap_or("completed")
        .to_owned();
    Denial::new(Code::ContextEnded, format!("the {} is over", record.kind()))
        .field(format!("{}.status", record.kind()))
        .because("not over", observed)
        .ends(ends)
        .into()
}

fn required(record: &Record, rule: &BindingRule, bound: Option<&Lineage>) -> Result<(), Refusal> {
    for (name, allowed) in &rule.require {
        let value = record.field(name);
        if value.is_some_and(|value| allowed.contains(value)) {
            continue;
        }
        let allowed: Vec<_> = allowed.iter().map(String::as_str).collect();
        let text = format!(
            "the {}'s `{name}` is not what the profile requires",
            rule.record
        );
        return Err(Denial::new(Code::ContextMismatch, text)
            .field(format!("{}.{name}", rule.record))
            .because(allowed.join(" or "), value.unwrap_or("(absent)"))
            .ends(if bound.is_some() {
                Ends::Lineage
            } else {
                Ends::Nothing
            })
            .into());
    }
    Ok(())
}

fn pinned(
    record: &Record,
    rule: &BindingRule,
    observed: &Observed,
    lineage: &Lineage,
) -> Result<(), Refusal> {
    let tie = lineage
        .bindings
        .iter()
        .find(|binding| binding.record == observed.key);
    let Some(tie) = tie else {
        let text = format!(
            "the lineage is tied to another {} than the evidence names",
            rule.record
        );
        return Err(Denial::new(Code::ContextMismatch, text)
            .field(format!("{}.id", rule.record))
            .ends(Ends::Lineage)
            .into());
    };
    for (name, pin) in &tie.pins {
        let value = record.field(name);
        if value == Some(pin) {
            continue;
        }
        let text = format!(
            "the {}'s `{name}` has changed since the lineage opened",
            rule.record
        );
        return Err(Denial::new(Code::ContextMismatch, text)
            .field(format!("{}.{name}", rule.record))
            .because(pin, value.unwrap_or("(absent)"))
            .ends(Ends::Lineage)
            .into());
    }
    Ok(())
}

/// What a caller should wait before it asks again for what cannot be read.
const RETRY: Duration = Duration::from_secs(5);
