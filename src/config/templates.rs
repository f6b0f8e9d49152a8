//! How tasks, instances and secret paths are named after claims. Two runs must never get one name,
//! and every name must be one that the evidence can fill.

use super::findings::Findings;
use super::problem::Rule;
use super::raw::Text;
use crate::attest::preset::ClaimNature;
use crate::attest::vocabulary::Vocabulary;
use crate::domain::grant::SecretPattern;
use crate::domain::name::{InstanceName, SourceName, TaskName};
use crate::domain::profile::{Claims, Template, is_field};

/// The template of a task's name: it names the run and its attempt.
pub(super) fn task(
    text: &Text,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template = template(text, words, findings)?;
    let named: Vec<_> = template.claims().collect();
    let missing: Vec<_> = words
        .of_nature(ClaimNature::Run)
        .filter(|claim| !named.contains(claim))
        .collect();
    if !missing.is_empty() {
        let what = format!("`task` does not name {}", missing.join(", "));
        findings.refuse(text.span(), Rule::TaskWithoutRun, what);
    }
    if words.of_nature(ClaimNature::Run).next().is_none() {
        let what = "the source's tokens name no run";
        findings.refuse(text.span(), Rule::TaskWithoutRun, what);
    }
    let sample: Option<SourceName> = "sample".parse().ok();
    let filled = filled(&template)?;
    let name = sample.and_then(|source| TaskName::new(&source, &filled).ok());
    unfit_unless(name.is_some(), text, findings);
    Some(template)
}

/// The template of an instance's name: it names the job, or where the request names the task, the one who
/// works on it.
pub(super) fn instance(
    text: &Text,
    words: &Vocabulary,
    agents: bool,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template = template(text, words, findings)?;
    let unique = |claim: &str| {
        words.is(claim, ClaimNature::Instance) || (agents && words.is(claim, ClaimNature::Id))
    };
    if !template.claims().any(unique) {
        let what = "two jobs of a run would be one instance";
        findings.refuse(text.span(), Rule::InstanceNotUnique, what);
    }
    let name = filled(&template)?.parse::<InstanceName>();
    unfit_unless(name.is_ok(), text, findings);
    Some(template)
}

/// The template of a secret path, or with `/*` of everything below it.
pub(super) fn secret(
    text: &Text,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template = template(text, words, findings)?;
    let pattern = filled(&template)?.parse::<SecretPattern>();
    unfit_unless(pattern.is_ok(), text, findings);
    if pattern.is_ok_and(|pattern| pattern.is_own()) {
        let what = "what is below writ/ is the broker's own, and no workload reads it";
        findings.refuse(text.span(), Rule::OwnSecretGranted, what);
    }
    Some(template)
}

/// The template of a resource's id or property, in which fields of records are left for each use.
pub(super) fn pattern(
    text: &Text,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template: Template = findings.parsed(text, Rule::Template)?;
    let claims = template.claims().filter(|name| !is_field(name));
    fit(text, claims, words, findings);
    Some(template)
}

fn template(text: &Text, words: &Vocabulary, findings: &mut Findings<'_>) -> Option<Template> {
    let template: Template = findings.parsed(text, Rule::Template)?;
    fit(text, template.claims(), words, findings);
    let crowded = |segment: &str| segment.matches('{').count() > 1;
    if text.get_ref().split('/').any(crowded) {
        let what = "two placeholders share a segment, so that 1 and 23 would read as 12 and 3";
        findings.refuse(text.span(), Rule::TemplateAmbiguous, what);
    }
    Some(template)
}

/// Claims whose values can stand in a name.
fn fit<'a>(
    text: &Text,
    claims: impl Iterator<Item = &'a str>,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) {
    for claim in claims {
        match words.nature(claim) {
            Some(
                ClaimNature::Id | ClaimNature::Run | ClaimNature::Instance | ClaimNature::Label,
            ) => {}
            Some(ClaimNature::Text | ClaimNature::Name | ClaimNature::Token) => {
                let what = format!("`{claim}` is not an id or a single word");
                findings.refuse(text.span(), Rule::Template, what);
            }
            None => {
                let what = format!(
                    "tokens of {} have no claim `{claim}`",
                    words.preset.as_str()
                );
                findings.refuse(text.span(), Rule::ClaimUnknown, what);
            }
        }
    }
}

/// The template with a value that every claim could have; always filled, since the value is fit.
fn filled(template: &Template) -> Option<String> {
    let sample: Claims = template
        .claims()
        .map(|claim| (claim.to_owned(), "1".to_owned()))
        .collect();
    template.fill(&sample).ok()
}

fn unfit_unless(fit: bool, text: &Text, findings: &mut Findings<'_>) {
    if !fit {
        let what = "filled in, this is not a name or path of plain segments";
        findings.refuse(text.span(), Rule::Template, what);
    }
}
