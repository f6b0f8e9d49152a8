//! A profile as a whole. The mistakes that CI trust settings are known for are refused here, at
//! load, where somebody reads the answer.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::check::distinct;
use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawDesk, RawProfile, RawSource};
use super::{binding, conditions, grants, lifetimes, mapping, opening, source, templates};
use crate::attest::preset::{ClaimNature, Preset};
use crate::attest::vocabulary::Vocabulary;
use crate::context::desk::DeskSettings;
use crate::domain::profile::{Allowance, Recorded, RenewalMode, SenderMode, TaskProfile};

/// What a profile needs to know of its source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trusted<'a> {
    pub(super) preset: Preset,
    pub(super) words: &'a Vocabulary,
    pub(super) has_api: bool,
    /// The desk whose cases the profile is for.
    pub(super) desk: Option<&'a DeskSettings>,
}

pub(super) fn check(
    raw: &[Spanned<RawProfile>],
    sources: &[Spanned<RawSource>],
    all_desks: &[Spanned<RawDesk>],
    desks: &[DeskSettings],
    findings: &mut Findings<'_>,
) -> Vec<TaskProfile> {
    distinct(raw.iter().map(|p| &p.get_ref().name), "profile", findings);
    let known: BTreeMap<&str, &RawSource> = sources
        .iter()
        .map(Spanned::get_ref)
        .map(|source| (source.name.get_ref().as_str(), source))
        .collect();
    let mut profiles = Vec::new();
    for section in raw {
        let profile = section.get_ref();
        let Some(source) = known.get(profile.source.get_ref().as_str()) else {
            let what = format!("no source has the name `{}`", profile.source);
            findings.refuse(profile.source.span(), Rule::SourceUnknown, what);
            continue;
        };
        // A source without a known preset was refused already; nothing can be judged against it.
        if let Some(preset) = source::preset_of(source) {
            let has_api = source.api.is_some();
            let words = &mapping::vocabulary(source, preset);
            let trusted = Trusted {
                preset,
                words,
                has_api,
                desk: opening::desk(profile, all_desks, desks, findings),
            };
            profiles.extend(one(section, trusted, findings));
        }
    }
    opening::not_by_itself(raw, &known, &profiles, desks, findings);
    profiles
}

fn one(
    section: &Spanned<RawProfile>,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<TaskProfile> {
    let raw = section.get_ref();
    let name = findings.parsed(&raw.name, Rule::Name);
    let source_name = findings.parsed(&raw.source, Rule::Name);
    let allow = allowances(raw, findings);
    let matches = conditions::check(&raw.matches, source.words, findings);
    conditions::against(&raw.matches, &allow, source.words, findings);
    let is_id = |claim: &&String| source.words.nature(claim) == Some(ClaimNature::Id);
    let ids = matches.keys().filter(is_id).cloned().collect();
    let naming = opening::naming(raw, source, findings);
    let agents = raw.case_of.is_some();
    let instance = templates::instance(&raw.instance, source.words, agents, findings);
    let mut bindings = binding::check(raw, source, findings);
    if let Some(naming) = &naming {
        opening::bound(raw, naming, &mut bindings, findings);
    }
    let grants = grants::check(raw, source, &allow, agents, findings);
    if raw.grant.is_empty() {
        let what = "the profile grants nothing";
        findings.refuse(raw.name.span(), Rule::ProfileWithoutGrant, what);
    }
    let lifetimes = lifetimes::check(raw, agents, findings);
    let renewal = renewal(raw, source.preset, findings);
    let sender = sender(raw, source.preset, findings);
    let evidence_uses = evidence_uses(raw, sender, findings);
    Some(TaskProfile {
        name: name?,
        source: source_name?,
        matches,
        ids,
        naming: naming?,
        instance: instance?,
        bindings,
        grants,
        lifetimes: lifetimes?,
        renewal: renewal?,
        sender: sender?,
        evidence_uses: evidence_uses?,
        allow,
        quorum: findings.number(raw.approvals.as_ref(), "approvals", 1..=5, 1)?,
        reads_recorded: reads_recorded(raw, findings),
    })
}

fn allowances(raw: &RawProfile, findings: &mut Findings<'_>) -> BTreeSet<Allowance> {
    let choices = Allowance::ALL.map(|risk| (risk.as_str(), risk));
    let texts = raw.allow.iter();
    texts
        .filter_map(|text| findings.choice(text, "allow", &choices))
        .collect()
}

fn reads_recorded(raw: &RawProfile, findings: &mut Findings<'_>) -> Recorded {
    let choices = [
        ("before-answer", Recorded::BeforeAnswer),
        ("after-answer", Recorded::AfterAnswer),
    ];
    let given = raw.reads_recorded.as_ref();
    given
        .and_then(|text| findings.choice(text, "reads_recorded", &choices))
        .unwrap_or_default()
}

fn renewal(raw: &RawProfile, preset: Preset, findings: &mut Findings<'_>) -> Option<RenewalMode> {
    let Some(text) = &raw.renewal else {
        return Some(if preset == Preset::JwtSvid {
            RenewalMode::FreshEvidence
        } else {
            RenewalMode::Handle
        });
    };
    let choices = [
        ("handle", RenewalMode::Handle),
        ("fresh-evidence", RenewalMode::FreshEvidence),
    ];
    let mode = findings.choice(text, "renewal", &choices)?;
    if mode == RenewalMode::Handle && preset == Preset::JwtSvid {
        let what = "the task that the SVID was made for would not be looked at again";
        findings.refuse(text.span(), Rule::RenewalUnwatched, what);
    }
    if mode == RenewalMode::FreshEvidence && !preset.mints_again() {
        let what = "a job of this vendor has no second token to show";
        findings.refuse(text.span(), Rule::RenewalImpossible, what);
    }
    Some(mode)
}

fn sender(raw: &RawProfile, preset: Preset, findings: &mut Findings<'_>) -> Option<SenderMode> {
    let Some(text) = &raw.sender else {
        return Some(SenderMode::Optional);
    };
    let choices = [
        ("optional", SenderMode::Optional),
        ("required", SenderMode::Required),
    ];
    let mode = findings.choice(text, "sender", &choices)?;
    if mode == SenderMode::Required && !preset.names_session_key() {
        let what =
            "a job of this vendor cannot name a key in its token, so everybody would be refused";
        findings.refuse(text.span(), Rule::SenderImpossible, what);
    }
    Some(mode)
}

fn evidence_uses(
    raw: &RawProfile,
    sender: Option<SenderMode>,
    findings: &mut Findings<'_>,
) -> Option<u32> {
    let given = raw.evidence_uses.as_ref();
    let uses = findings.number(given, "evidence_uses", 1..=100, 1)?;
    if let (Some(given), Some(SenderMode::Required)) = (given, sender)
        && uses > 1
    {
        let what = "`evidence_uses` is for callers without a key, whom `sender` shuts out";
        findings.refuse(given.span(), Rule::Contradiction, what);
    }
    Some(uses)
}
