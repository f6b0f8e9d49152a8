//! What a profile grants. Secrets are the strictest part: once read they cannot be called back, so
//! who reads them must be a known workflow at work on merged code, and the grant must end with it.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::acts;
use super::check::set;
use super::findings::Findings;
use super::problem::Rule;
use super::profile::Trusted;
use super::raw::{RawBinding, RawGrant, RawProfile, Text};
use super::templates;
use crate::attest::vocabulary::Vocabulary;
use crate::domain::name::GrantName;
use crate::domain::profile::{Allowance, GrantRule};

pub(super) fn check(
    raw: &RawProfile,
    source: Trusted<'_>,
    allow: &BTreeSet<Allowance>,
    case: bool,
    findings: &mut Findings<'_>,
) -> BTreeMap<GrantName, GrantRule> {
    let mut grants = BTreeMap::new();
    for (name, section) in &raw.grant {
        let rule = one(name, section, raw, source, findings);
        if let (Some(name), Some(rule)) = (findings.parsed(name, Rule::Name), rule) {
            grants.insert(name, rule);
        }
    }
    let first_secret = raw.grant.values().find_map(|g| g.get_ref().secrets.first());
    if let Some(at) = first_secret {
        secrets(raw, at, allow, findings);
        if !case {
            of_one_workflow(raw, at, source.words, findings);
        }
    }
    grants
}

fn one(
    name: &Text,
    section: &Spanned<RawGrant>,
    profile: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<GrantRule> {
    let raw = section.get_ref();
    let taken = !raw.secrets.is_empty() || !raw.jwt_svids.is_empty() || raw.x509_svid;
    if raw.audiences.is_empty() && !taken {
        let what = format!("the grant `{name}` has no audience, no secret and no SVID");
        findings.refuse(name.span(), Rule::GrantEmpty, what);
    }
    if let (Some(uses), false, true) = (&raw.uses, raw.writes.is_empty(), taken) {
        let what = "`uses` counts the writes of a grant, and this one has secrets or SVIDs as well";
        findings.refuse(uses.span(), Rule::UsesMixed, what);
    }
    let most = if raw.writes.is_empty() {
        MOST_CREDENTIALS
    } else {
        MOST_WRITES
    };
    let uses = match &raw.uses {
        Some(uses) => findings.number(Some(uses), "uses", 1..=most, 1).map(Some),
        None => Some(None),
    };
    let secrets = raw.secrets.iter();
    Some(GrantRule {
        audiences: set(&raw.audiences, Rule::Value, findings),
        scopes: set(&raw.scopes, Rule::Value, findings),
        secrets: secrets
            .filter_map(|text| templates::secret(text, source.words, findings))
            .collect(),
        jwt_svids: set(&raw.jwt_svids, Rule::Value, findings),
        x509_svid: raw.x509_svid,
        acts: acts::check(name, raw, profile, source, findings),
        uses: uses?,
    })
}

const MOST_CREDENTIALS: u32 = 1_000_000;

/// Each has a row for as long as its task has one, and all are shown together.
const MOST_WRITES: u32 = 1_000;

fn secrets(raw: &RawProfile, at: &Text, allow: &BTreeSet<Allowance>, findings: &mut Findings<'_>) {
    if raw.binding.is_empty() {
        let what = "secrets are granted to a task that is bound to nothing";
        findings.refuse(at.span(), Rule::SecretsWithoutBinding, what);
    }
    if allow.contains(&Allowance::PullRequest) {
        let what = "secrets are granted to runs of code that nobody has merged";
        findings.refuse(at.span(), Rule::SecretsForUnmerged, what);
    }
}

/// Where the request names a case, the case names the one who may read. Elsewhere the conditions do.
fn of_one_workflow(raw: &RawProfile, at: &Text, words: &Vocabulary, findings: &mut Findings<'_>) {
    let claims = raw.matches.get_ref();
    let met = |set: &&&[&str]| set.iter().all(|claim| claims.contains_key(*claim));
    let mut sets = words.preset.one_workflow().iter().filter(met);
    let environment = sets.clone().any(|set| set.contains(&"environment"));
    if sets.next().is_none() {
        let what = "secrets are granted to every workflow that can run there";
        findings.refuse(at.span(), Rule::SecretsForAnyWorkflow, what);
    }
    let watched = |b: &Spanned<RawBinding>| b.get_ref().record.get_ref() == "environment";
    if environment && !raw.binding.is_empty() && !raw.binding.iter().any(watched) {
        let what = "secrets stay readable when the environment loses its protection";
        findings.warn(at.span(), Rule::EnvironmentUnbound, what);
    }
}
