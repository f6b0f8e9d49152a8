//! What names a profile's task, and who may open one that a request names. A request can name any case;
//! the case has to name the one who asks, in a field that such a workload cannot write.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::profile::Trusted;
use super::raw::{RawDesk, RawProfile, RawSource, Text};
use super::{scope, source, templates};
use crate::attest::preset::{ClaimNature, Preset};
use crate::context::desk::{DeskSettings, FieldMapping, Writer};
use crate::domain::context::RecordKind;
use crate::domain::profile::{BindingRule, CaseRule, Naming, TaskProfile};

/// The desk that a profile names. What is wrong with the desk itself was told already.
pub(super) fn desk<'d>(
    raw: &RawProfile,
    all: &[Spanned<RawDesk>],
    desks: &'d [DeskSettings],
    findings: &mut Findings<'_>,
) -> Option<&'d DeskSettings> {
    let name = raw.case_of.as_ref()?;
    let mut names = all.iter().map(|desk| desk.get_ref().name.get_ref());
    if !names.any(|known| known == name.get_ref()) {
        let what = format!("no desk has the name `{name}`");
        findings.refuse(name.span(), Rule::SourceUnknown, what);
    }
    desks
        .iter()
        .find(|desk| desk.name.as_str() == name.get_ref())
}

pub(super) fn naming(
    raw: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<Naming> {
    if let (Some(scope), Some(_)) = (&raw.task_scope, &raw.case_of) {
        let what = "`task_scope` is for the jobs of a run, and `case_of` names the task";
        findings.refuse(scope.span(), Rule::Contradiction, what);
        return None;
    }
    match (scope::task(raw, source.words, findings), &raw.case_of) {
        (Some(template), None) => {
            if let Some(when) = &raw.opens_when {
                let what = "`opens_when` is for a case, and the evidence names this task";
                findings.refuse(when.span(), Rule::Contradiction, what);
            }
            templates::task(&template, source.words, findings).map(Naming::Evidence)
        }
        (None, Some(name)) => case_rule(raw, name, source, findings).map(Naming::Case),
        (Some(template), Some(_)) => {
            let what = "both `task` and `case_of` name the task";
            findings.refuse(template.span(), Rule::Contradiction, what);
            None
        }
        (None, None) => {
            let what = "neither `task` nor `task_scope` nor `case_of` names the task";
            findings.refuse(raw.name.span(), Rule::Missing, what);
            None
        }
    }
}

/// Holds the task to its case: the state of the case is required, and what names its worker is pinned.
pub(super) fn bound(
    raw: &RawProfile,
    naming: &Naming,
    bindings: &mut [BindingRule],
    findings: &mut Findings<'_>,
) {
    let tie = bindings.iter_mut().find(|b| b.record == RecordKind::Case);
    match (naming, tie) {
        (Naming::Evidence(_), None) => {}
        (Naming::Case(rule), Some(tie)) if tie.require.contains_key("status") => {
            tie.pin.extend(rule.opens_when.keys().cloned());
        }
        (Naming::Case(_), _) => {
            let what = "the task would go on when the case is closed";
            findings.refuse(raw.name.span(), Rule::CaseUnbound, what);
        }
        (Naming::Evidence(_), Some(_)) => {
            let what = "the profile is bound to a case, and nothing names one";
            findings.refuse(raw.name.span(), Rule::CaseUnbound, what);
        }
    }
}

/// Refuses profiles whose workloads could write themselves into a case: by their evidence, or with a
/// token that this profile, or another which takes the same evidence, grants. Whoever shows an SVID of
/// this broker got it under another profile, and may hold what that one grants.
pub(super) fn not_by_itself(
    raw: &[Spanned<RawProfile>],
    sources: &BTreeMap<&str, &RawSource>,
    profiles: &[TaskProfile],
    desks: &[DeskSettings],
    findings: &mut Findings<'_>,
) {
    for profile in profiles {
        let Naming::Case(rule) = &profile.naming else {
            continue;
        };
        let Some(desk) = desks.iter().find(|desk| desk.name == rule.desk) else {
            continue;
        };
        let source = sources.get(profile.source.as_str());
        let preset = source.and_then(|source| source::preset_of(source));
        let writes = writers(profile, preset == Some(Preset::JwtSvid), profiles);
        let section = raw
            .iter()
            .map(Spanned::get_ref)
            .find(|raw| raw.name.get_ref() == profile.name.as_str());
        let named = section.and_then(|raw| raw.opens_when.as_ref());
        for (field, claim) in named.into_iter().flat_map(Spanned::get_ref) {
            let mapping = desk.case.fields.get(field.get_ref());
            let may = mapping.and_then(|mapping| mapping.writable_by.as_ref());
            let by = may.and_then(|may| may.intersection(&writes).next());
            if let Some(by) = by {
                let what = format!("`{claim}` could be written into `{field}` by way of `{by}`");
                findings.refuse(field.span(), Rule::OpensWhenWritable, what);
            }
        }
    }
}

fn case_rule(
    raw: &RawProfile,
    name: &Text,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<CaseRule> {
    let desk = source.desk?;
    let Some(when) = raw
        .opens_when
        .as_ref()
        .filter(|when| !when.get_ref().is_empty())
    else {
        let what = "whoever has such evidence could open every case";
        findings.refuse(name.span(), Rule::OpensWhenMissing, what);
        return None;
    };
    let mut opens_when = BTreeMap::new();
    for (field, claim) in when.get_ref() {
        declared(field, desk.case.fields.get(field.get_ref()), findings);
        if !source.words.is(claim.get_ref(), ClaimNature::Id) {
            let what = format!("`{claim}` is no id of this source");
            findings.refuse(claim.span(), Rule::OpensWhenClaim, what);
        }
        opens_when.insert(field.get_ref().clone(), claim.get_ref().clone());
    }
    Some(CaseRule {
        desk: desk.name.clone(),
        opens_when,
    })
}

fn declared(field: &Text, mapping: Option<&FieldMapping>, findings: &mut Findings<'_>) {
    match mapping.map(|mapping| &mapping.writable_by) {
        Some(Some(_)) => {}
        Some(None) => {
            let what = format!("nobody has said who can write `{field}`");
            findings.refuse(field.span(), Rule::OpensWhenWriters, what);
        }
        None => {
            let what = format!("the desk's cases have no field `{field}`");
            findings.refuse(field.span(), Rule::BindingField, what);
        }
    }
}

/// As whom, and with which tokens, a workload of a profile could write.
fn writers(profile: &TaskProfile, by_svid: bool, all: &[TaskProfile]) -> BTreeSet<Writer> {
    let has_svids = |other: &TaskProfile| other.grants.values().any(|g| !g.jwt_svids.is_empty());
    let same = all
        .iter()
        .filter(|other| meet(profile, other) || (by_svid && has_svids(other)));
    let sources = same
        .clone()
        .map(|other| Writer::Source(other.source.clone()));
    let grants = same.flat_map(|other| other.grants.values());
    let tokens = grants.flat_map(|grant| grant.audiences.iter().chain(&grant.jwt_svids));
    tokens.cloned().map(Writer::Token).chain(sources).collect()
}

/// Whether one piece of evidence could be taken by both.
fn meet(one: &TaskProfile, other: &TaskProfile) -> bool {
    let apart = one.matches.iter().any(|(claim, values)| {
        let others = other.matches.get(claim);
        others.is_some_and(|others| values.is_disjoint(others))
    });
    one.source == other.source && !apart
}
