//! What evidence a profile takes: claims compared with whole values. At least one of them must be an
//! id that its vendor never gives to somebody else.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::{Text, Texts};
use crate::attest::preset::{ClaimNature, Preset};
use crate::attest::vocabulary::Vocabulary;
use crate::domain::profile::Allowance;

type RawMatch = Spanned<BTreeMap<Text, Texts>>;
type Checked = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(raw: &RawMatch, words: &Vocabulary, findings: &mut Findings<'_>) -> Checked {
    let mut checked = BTreeMap::new();
    let mut has_id = false;
    for (claim, texts) in raw.get_ref() {
        let values = values(texts, findings);
        match words.nature(claim.get_ref()) {
            Some(ClaimNature::Id) => {
                has_id = true;
                id(claim, texts, words, findings);
            }
            Some(ClaimNature::Token) => token_claim(claim, findings),
            Some(ClaimNature::Text) if claim.get_ref() == WORKFLOW => pinned(texts, findings),
            Some(
                ClaimNature::Run
                | ClaimNature::Instance
                | ClaimNature::Label
                | ClaimNature::Text
                | ClaimNature::Name,
            ) => {}
            None => {
                let what = format!(
                    "tokens of {} have no claim `{claim}`",
                    words.preset.as_str()
                );
                findings.refuse(claim.span(), Rule::ClaimUnknown, what);
            }
        }
        checked.insert(claim.get_ref().clone(), values);
    }
    if !has_id {
        let what = "`match` holds no id, only what others can come to have";
        findings.refuse(raw.span(), Rule::MatchWithoutId, what);
    }
    if !anchored(&checked, words) {
        let what = "every workflow on every branch is taken";
        findings.warn(raw.span(), Rule::AnyWorkflow, what);
    }
    checked
}

/// Whether more is asked for than that it runs somewhere inside.
fn anchored(checked: &Checked, words: &Vocabulary) -> bool {
    let mut claims = checked.keys();
    // Evidence that names no run is of one agent, and there is no workflow to name.
    if words.of_nature(ClaimNature::Run).next().is_none() {
        return true;
    }
    if words.preset == Preset::Oidc {
        let fixed = |c: &String| words.is(c, ClaimNature::Label) || words.is(c, ClaimNature::Text);
        return claims.any(fixed);
    }
    claims.any(|claim| ANCHORS.contains(&claim.as_str()))
}

/// Refuses conditions that only circumstances can meet that the profile does not allow.
pub(super) fn against(
    raw: &RawMatch,
    allow: &BTreeSet<Allowance>,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) {
    for (claim, texts) in raw.get_ref() {
        let name = claim.get_ref().as_str();
        let mut values = texts.get_ref().0.iter().map(String::as_str);
        let needed = if name == "runner_environment" && values.any(|v| v == "self-hosted") {
            Allowance::SelfHosted
        } else if let Some((event, unmerged)) = words.preset.unmerged()
            && name == event
            && values.any(|v| unmerged.contains(&v))
        {
            Allowance::PullRequest
        } else {
            continue;
        };
        if !allow.contains(&needed) {
            let what = "the condition asks for what `allow` does not name";
            findings.refuse(claim.span(), Rule::Contradiction, what);
        }
    }
}

/// The values, each refused if it looks like a pattern or cannot be told from another by eye.
pub(super) fn values(texts: &Texts, findings: &mut Findings<'_>) -> BTreeSet<String> {
    let all = &texts.get_ref().0;
    if all.is_empty() {
        findings.refuse(texts.span(), Rule::EmptyList, "no value is named");
    }
    for value in all {
        let pattern = value.contains(PATTERN) || value.contains(".+");
        let plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
        let visible = !value.is_empty() && value.trim() == value && value.chars().all(plain);
        if pattern || !visible {
            let what = format!("{value:?} is not one plain value");
            findings.refuse(texts.span(), Rule::MatchPattern, what);
        }
    }
    all.iter().cloned().collect()
}

fn id(claim: &Text, texts: &Texts, words: &Vocabulary, findings: &mut Findings<'_>) {
    let plain = |v: &String| !v.contains(PATTERN);
    let mut all = texts.get_ref().0.iter().filter(|v| plain(v));
    if !all.all(|v| words.preset.is_id(v)) {
        let what = format!("`{claim}` has another form in every token of this vendor");
        findings.refuse(texts.span(), Rule::IdNotNumber, what);
    }
}

fn token_claim(claim: &Text, findings: &mut Findings<'_>) {
    let (rule, what) = if claim.get_ref() == "sub" {
        let what = "`sub` is made of names, and in an order that its owner can change";
        (Rule::MatchOnSubject, what.to_owned())
    } else {
        let what = format!("`{claim}` belongs to the token, not to the job");
        (Rule::MatchOnToken, what)
    };
    findings.refuse(claim.span(), rule, what);
}

/// A called workflow counts only with the whole reference that its claim carries.
fn pinned(texts: &Texts, findings: &mut Findings<'_>) {
    let fixed = |value: &String| match value.split_once('@') {
        Some((path, at)) => path.split('/').count() >= 3 && is_full_reference(at),
        None => false,
    };
    if !texts.get_ref().0.iter().all(fixed) {
        let what = "a workflow is named without the branch, tag or commit that it must be at";
        findings.refuse(texts.span(), Rule::WorkflowNotPinned, what);
    }
}

fn is_full_reference(at: &str) -> bool {
    let names = |prefix: &str| {
        at.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(PATTERN))
    };
    let commit = at.len() == 40 && at.bytes().all(|b| b.is_ascii_hexdigit());
    commit || names("refs/heads/") || names("refs/tags/")
}

/// Claims that name one workflow, branch, place or account.
const ANCHORS: [&str; 5] = [
    "environment",
    WORKFLOW,
    "ref",
    "ci_config_ref_uri",
    "serviceaccount_uid",
];

const WORKFLOW: &str = "job_workflow_ref";

/// Characters that globs and regular expressions are made of. No id has them, and git takes few of
/// them in a branch's name.
const PATTERN: [char; 10] = ['*', '?', '[', ']', '{', '}', '^', '$', '|', '\\'];
