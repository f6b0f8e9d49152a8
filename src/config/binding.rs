//! What a task is bound to. Each field that is required or pinned must be one that every configured
//! way of observing can see, or the decision would rest on nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;

use super::conditions;
use super::findings::{Bounds, Findings};
use super::problem::Rule;
use super::profile::Trusted;
use super::raw::{RawBinding, RawProfile, Text};
use crate::context::settings::seen;
use crate::domain::case::CaseStatus;
use crate::domain::context::{RecordKind, RunStatus};
use crate::domain::profile::{BindingRule, Via};

pub(super) fn check(
    raw: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Vec<BindingRule> {
    let records = raw.binding.iter().map(|b| &b.get_ref().record);
    super::check::distinct(records, "binding of this profile", findings);
    let mut rules = Vec::new();
    for section in &raw.binding {
        let Some(rule) = one(section, source, findings) else {
            continue;
        };
        let claims = raw.matches.get_ref();
        if rule.record == RecordKind::Environment && !claims.contains_key("environment") {
            let what = "the profile takes jobs that have no environment";
            let at = section.get_ref().record.span();
            findings.refuse(at, Rule::BindingWithoutClaim, what);
        }
        rules.push(rule);
    }
    rules
}

fn one(
    section: &Spanned<RawBinding>,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<BindingRule> {
    let raw = section.get_ref();
    let kinds = RecordKind::ALL.map(|kind| (kind.as_str(), kind));
    let record = findings.choice(&raw.record, "record", &kinds);
    let max_age = findings.duration(Some(&raw.max_age), &MAX_AGE);
    let asked = match record {
        // A desk is always asked; without one, it is the profile that is at fault.
        Some(RecordKind::Case) => true,
        _ => source.has_api,
    };
    let via = via(raw, source, asked, findings);
    if raw.require.is_empty() && raw.pin.is_empty() {
        let what = "the binding holds the task to nothing";
        findings.refuse(raw.record.span(), Rule::BindingEmpty, what);
    }
    let record = record?;
    let require = require(raw, record, findings);
    for field in raw.require.keys().chain(&raw.pin) {
        visible(field, record, &via, source, findings);
    }
    Some(BindingRule {
        record,
        require,
        pin: raw.pin.iter().map(|f| f.get_ref().clone()).collect(),
        max_age: max_age?,
        via,
    })
}

fn via(
    raw: &RawBinding,
    source: Trusted<'_>,
    asked: bool,
    findings: &mut Findings<'_>,
) -> BTreeSet<Via> {
    let choices = [("issuer-proof", Via::IssuerProof), ("pull", Via::Pull)];
    if raw.via.get_ref().is_empty() {
        findings.refuse(raw.via.span(), Rule::EmptyList, "`via` is empty");
    }
    let mut ways = BTreeSet::new();
    for text in raw.via.get_ref() {
        match findings.choice(text, "via", &choices) {
            Some(Via::IssuerProof) if !source.preset.mints_again() => {
                let what = "a token of this vendor proves only that the job started";
                findings.refuse(text.span(), Rule::ProofOnce, what);
            }
            Some(Via::Pull) if !asked => {
                let what = "the source has no API to ask";
                findings.refuse(text.span(), Rule::ViaWithoutApi, what);
            }
            Some(way @ (Via::IssuerProof | Via::Pull)) => {
                ways.insert(way);
            }
            None => {}
        }
    }
    ways
}

fn require(
    raw: &RawBinding,
    record: RecordKind,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut required = BTreeMap::new();
    for (field, texts) in &raw.require {
        let values = conditions::values(texts, findings);
        let possible = |value: &String| can_hold(record, field.get_ref(), value);
        if !values.iter().all(possible) {
            let what = format!("`{record}.{field}` cannot stay at one of these values");
            findings.refuse(texts.span(), Rule::BindingValue, what);
        }
        required.insert(field.get_ref().clone(), values);
    }
    required
}

/// Whether a record can have the value while its task lives. A completed run or job is over, and so
/// is one that has a conclusion.
fn can_hold(record: RecordKind, field: &str, value: &str) -> bool {
    let alive = [RunStatus::Queued, RunStatus::Waiting, RunStatus::InProgress];
    match (record, field) {
        (RecordKind::Pipeline | RecordKind::Job, "status") => {
            alive.iter().any(|status| status.as_str() == value)
        }
        (RecordKind::Pipeline | RecordKind::Job, "conclusion") => false,
        (RecordKind::Environment, "protected") => matches!(value, "true" | "false"),
        (RecordKind::Case, "status") => {
            let alive = [CaseStatus::Open, CaseStatus::Pending];
            alive.iter().any(|status| status.as_str() == value)
        }
        (
            RecordKind::Pipeline | RecordKind::Job | RecordKind::Environment | RecordKind::Case,
            _,
        ) => true,
    }
}

/// Whether a record of the source, or a case of the profile's desk, can have the field.
pub(super) fn has_field(record: RecordKind, name: &str, source: Trusted<'_>) -> bool {
    let case = source.desk.filter(|_| record == RecordKind::Case);
    match case {
        Some(desk) => name == "status" || desk.case.fields.contains_key(name),
        None => record.fields().contains(&name),
    }
}

fn visible(
    field: &Text,
    record: RecordKind,
    via: &BTreeSet<Via>,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) {
    let name = field.get_ref().as_str();
    if !has_field(record, name, source) {
        let what = format!("`{record}` has no field `{name}`");
        findings.refuse(field.span(), Rule::BindingField, what);
        return;
    }
    // A desk shows all of its cases to whoever asks it, and nothing of them to anybody else.
    let sees = |way: &&Via| match record {
        RecordKind::Case => **way == Via::Pull,
        RecordKind::Pipeline | RecordKind::Job | RecordKind::Environment => {
            seen(source.preset, **way, record).contains(&name)
        }
    };
    if let Some(blind) = via.iter().find(|way| !sees(way)) {
        let way = match blind {
            Via::IssuerProof => "issuer-proof",
            Via::Pull => "pull",
        };
        let what = format!("`{way}` does not see `{record}.{name}`");
        findings.refuse(field.span(), Rule::BindingUnseen, what);
    }
}

const MAX_AGE: Bounds = Bounds {
    key: "max_age",
    least: Duration::from_secs(1),
    most: Duration::from_mins(5),
    default: Duration::from_mins(1),
    rule: Rule::MaxAge,
};
