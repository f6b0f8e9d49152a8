//! What a CI task is: a run, which its jobs share, or each job of it by itself. The scope says how far an
//! order to end the task reaches; both are held to the same records.

use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawProfile, Text};
use crate::attest::preset::ClaimNature;
use crate::attest::vocabulary::Vocabulary;

/// `task_scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Run,
    Job,
}

/// The template of the task's name: as it was given, or else of the source's own ids; with the job's id
/// behind it, where each job is a task. `None` where neither `task` nor `task_scope` was given.
pub(super) fn task(
    raw: &RawProfile,
    words: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Text> {
    let Some(asked) = &raw.task_scope else {
        return raw.task.clone();
    };
    let choices = [("run", Scope::Run), ("job", Scope::Job)];
    let scope = findings.choice(asked, "task_scope", &choices);
    let given = raw.task.clone();
    let named = given.unwrap_or_else(|| Spanned::new(asked.span(), by_ids(words)));
    match scope {
        None => Some(named),
        Some(Scope::Run) => {
            if jobs(words).any(|job| names(&named, job)) {
                let what = "`task` names the job, so that each job would be a task";
                findings.refuse(asked.span(), Rule::Contradiction, what);
            }
            Some(named)
        }
        Some(Scope::Job) => {
            if jobs(words).next().is_none() {
                let preset = words.preset.as_str();
                let what = format!("tokens of {preset} tell no job of a run from another");
                findings.refuse(asked.span(), Rule::TaskScopeImpossible, what);
            }
            Some(by_job(named, words))
        }
    }
}

/// The narrowest thing that has an id for good, and the run.
fn by_ids(words: &Vocabulary) -> String {
    let id = words.of_nature(ClaimNature::Id).take(1);
    let claims = id.chain(words.of_nature(ClaimNature::Run));
    let claims: Vec<_> = claims.map(|claim| format!("{{{claim}}}")).collect();
    claims.join("/")
}

/// The same, with the job's id as the last segment if it is nowhere yet.
fn by_job(named: Text, words: &Vocabulary) -> Text {
    if jobs(words).any(|job| names(&named, job)) {
        return named;
    }
    let span = named.span();
    let all = jobs(words).fold(named.into_inner(), |all, job| format!("{all}/{{{job}}}"));
    Spanned::new(span, all)
}

/// What tells one job of a run from another. A pod is a run and the one job in it.
fn jobs(words: &Vocabulary) -> impl Iterator<Item = &str> {
    let runs = words.of_nature(ClaimNature::Run).count();
    let jobs = words.of_nature(ClaimNature::Instance);
    jobs.filter(move |claim| runs > 0 && !words.is(claim, ClaimNature::Run))
}

fn names(template: &Text, claim: &str) -> bool {
    template.get_ref().contains(&format!("{{{claim}}}"))
}
