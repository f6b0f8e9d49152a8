//! Whether what was asked is permitted. Three outcomes: a [`permit::Permit`]; a denial, because
//! something is known to be false; or undetermined, because something is not known, which issues
//! nothing and revokes nothing.
//!
//! Invariants are the code of this module and cannot be configured away; they come first. Grants
//! are Cedar policies, and are asked last.

pub mod act;
pub mod asked;
pub mod bindings;
pub mod case;
pub mod cases;
pub mod clearance;
pub mod denial;
pub mod engine;
mod entities;
pub mod lint;
pub mod load;
mod mention;
mod opening;
pub mod permit;
mod select;
mod standing;
pub mod turn;
mod uses;

use crate::context::observe;
use crate::decide::asked::Request;
use crate::decide::case::{Ask, Case};
use crate::decide::denial::{Denial, Refusal};
use crate::decide::engine::{PolicySet, Question, Risked, STEP_UP, Target, Verb, Verdict};
use crate::decide::permit::{Permit, PermitParts, Planned};
use crate::domain::context::Record;
use crate::domain::grant::{Grants, Wider};
use crate::domain::lineage::Lineage;
use crate::domain::time::Timestamp;
use crate::domain::validity::Validity;
use crate::error::Code;
use crate::ledger::entry::Judged;

/// Decides one case on one set of policies, at one moment. It reads nothing else.
///
/// # Errors
/// Denied or undetermined, with the field that decided.
pub fn decide(
    case: &Case<'_>,
    ask: &Ask,
    policies: &PolicySet,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    invariants(case, now)?;
    let grants = grants(case)?;
    let planned = plan(ask, &grants)?;
    let permits = judge(case, target(&planned), policies, now)?;
    let deadline = case
        .standing
        .task
        .as_ref()
        .map_or_else(|| now.plus(case.profile.lifetimes.deadline), |t| t.deadline);
    let validity = validity(case, &planned, deadline, now)?;
    Ok(Permit::new(PermitParts {
        verb: case.verb,
        profile: case.profile.name.clone(),
        task_name: case.task_name.clone(),
        instance: case.instance.clone(),
        identity: case.identity.clone(),
        bindings: bindings::pins(case),
        grants,
        spends: spends(case, &planned),
        planned,
        deadline,
        validity,
        session_until: now.plus(case.profile.lifetimes.session).min(deadline),
        key: case.key,
        evidence: case.evidence,
        seen_before: case.repeats(),
        evidence_once: case.evidence_once,
        proof: case.proof,
        parent: case.parent.cloned(),
        rests: case.rests,
        policies: permits,
        policy_set: policies.digest(),
        facts: case.facts.known().map(case::fact_mark).collect(),
        good_until: good_until(case, now),
        standing: case.standing.clone(),
    }))
}

fn invariants(case: &Case<'_>, now: Timestamp) -> Result<(), Refusal> {
    standing::check(case, now)?;
    bindings::check(case, now)?;
    opening::check(case)
}

/// The lineage's own grants; for a lineage that opens, the task's; for a task that opens, the
/// profile's, filled from the evidence.
fn grants(case: &Case<'_>) -> Result<Grants, Refusal> {
    if let Some(lineage) = &case.standing.lineage {
        return Ok(lineage.grants.clone());
    }
    if let Some(task) = &case.standing.task {
        return Ok(task.grants.clone());
    }
    let claims = case
        .claims
        .ok_or_else(|| Denial::new(Code::EvidenceRequired, "a task opens by evidence only"))?;
    case.profile.grants_for(claims).map_err(|why| {
        Denial::new(
            Code::ProfileUnmatched,
            format!("the profile's grants do not fit the evidence: {why}"),
        )
        .into()
    })
}

fn plan(ask: &Ask, grants: &Grants) -> Result<Planned, Refusal> {
    let refuse = |wider: Wider| {
        let (code, field, text) = match wider {
            Wider::Audience | Wider::Uses | Wider::Acts => (
                Code::TargetRefused,
                "audience",
                "no grant of the task has this audience",
            ),
            Wider::Scope => (
                Code::ScopeRefused,
                "scope",
                "the grant for this audience has not this scope",
            ),
            Wider::Secret => (
                Code::SecretRefused,
                "path",
                "no grant of the task covers this secret",
            ),
            Wider::X509Svid => (
                Code::CertificateRefused,
                "csr",
                "no grant of the task has an X.509-SVID",
            ),
        };
        Refusal::from(Denial::new(code, text).field(field))
    };
    match ask {
        Ask::Token { audiences, scopes } => grants
            .token(audiences, scopes)
            .map(Planned::Token)
            .map_err(refuse),
        Ask::Secret { path } => {
            let grant = grants.secret(path).map_err(refuse)?.clone();
            Ok(Planned::Secret {
                grant,
                path: path.clone(),
            })
        }
        Ask::JwtSvid { audience } => {
            let grant = grants.jwt_svid(audience).map_err(refuse)?.clone();
            Ok(Planned::JwtSvid {
                grant,
                audience: audience.clone(),
            })
        }
        Ask::X509Svid { key, by } => {
            let grant = grants.x509_svid().map_err(refuse)?.clone();
            Ok(Planned::X509Svid {
                grant,
                key: key.clone(),
                by: by.clone(),
            })
        }
    }
}

fn judge(
    case: &Case<'_>,
    target: Target<'_>,
    policies: &PolicySet,
    now: Timestamp,
) -> Result<Vec<String>, Refusal> {
    let records: Vec<&Record> = case
        .facts
        .known()
        .filter_map(|fact| fact.record.as_ref())
        .collect();
    let question = Question {
        verb: case.verb,
        identity: case.identity,
        source: &case.profile.source,
        profile: &case.profile.name,
        allow: &case.profile.allow,
        sender: case.profile.sender,
        target,
        records: &records,
        key_bound: case.key.is_some(),
        risk: risk(case, now),
        now,
    };
    let set = policies.digest();
    match policies.judge(&question) {
        Verdict::Permitted { policies } => Ok(policies),
        Verdict::Denied {
            code,
            policies,
            advice,
            errors,
        } => {
            let judged = Judged {
                policy_set: set,
                asked: Request::of(&question),
            };
            if advice.as_deref() == Some(STEP_UP) {
                let denial = step_up(case, code).policies(policies);
                return Err(denial.judged(judged).into());
            }
            let text = if policies.is_empty() {
                "no policy permits it"
            } else {
                "a policy forbids it"
            };
            let text = advice.map_or_else(|| text.to_owned(), |advice| format!("{text}: {advice}"));
            Err(Denial::new(code, text)
                .policies(policies)
                .judged(judged)
                .internal(errors.join("; "))
                .into())
        }
    }
}

/// What is known of the lineage's risk: of one that opens, nothing.
fn risk(case: &Case<'_>, now: Timestamp) -> Risked {
    let under = case.standing.lineage.as_ref().and_then(Lineage::step_up);
    Risked {
        risk: under.map(|under| under.risk),
        approved: under
            .is_some_and(|under| under.approved_until(case.profile.quorum, now).is_some()),
    }
}

/// When the first stops being good enough of what a decision rests on: facts, and approvals.
fn good_until(case: &Case<'_>, now: Timestamp) -> Option<Timestamp> {
    let under = case.standing.lineage.as_ref().and_then(Lineage::step_up);
    let approved = under.and_then(|under| under.approved_until(case.profile.quorum, now));
    let facts = observe::good_until(case.facts, case.profile);
    facts.into_iter().chain(approved).min()
}

fn step_up(case: &Case<'_>, code: Code) -> Denial {
    let lineage = case.standing.lineage.as_ref();
    let under = lineage.and_then(Lineage::step_up);
    let Some(under) = under else {
        return Denial::new(
            code,
            "a policy wants an approval, and nothing has asked for one",
        );
    };
    let text = "the risk of this lineage has risen, and this waits for an approval";
    let quorum = case.profile.quorum;
    Denial {
        challenge: lineage.and_then(Lineage::challenge),
        ..Denial::new(code, text)
    }
    .field("risk")
    .because(format!("low, or {quorum} approvals"), under.risk.as_str())
}

const fn target(planned: &Planned) -> Target<'_> {
    match planned {
        Planned::Token(token) => Target::Token {
            grant: &token.name,
            audiences: &token.audiences,
            scopes: &token.scopes,
        },
        Planned::Secret { grant, path } => Target::Secret { grant, path },
        Planned::JwtSvid { grant, audience } => Target::JwtSvid { grant, audience },
        Planned::X509Svid { grant, .. } => Target::X509Svid { grant },
    }
}

/// A use is spent by what is handed out first, not by its renewal or by the same evidence shown
/// again.
fn spends(case: &Case<'_>, planned: &Planned) -> bool {
    match planned {
        Planned::Token(_) => case.standing.session.is_none(),
        Planned::X509Svid { .. } => case.verb != Verb::Recertify,
        Planned::Secret { .. } | Planned::JwtSvid { .. } => true,
    }
}

fn validity(
    case: &Case<'_>,
    planned: &Planned,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<Validity, Refusal> {
    let lifetimes = case.profile.lifetimes;
    let ttl = match planned {
        Planned::Token(_) | Planned::JwtSvid { .. } => lifetimes.token,
        Planned::Secret { .. } => lifetimes.lease,
        Planned::X509Svid { .. } => lifetimes.certificate,
    };
    let mut ends = vec![deadline];
    if let Planned::X509Svid { by, .. } = planned {
        ends.push(by.ends);
    }
    ends.extend(case.parent.map(|parent| parent.expires_at));
    if let (true, Some(session)) = (case.repeats(), &case.standing.session) {
        ends.push(session.evidence.granted_until);
    }
    Validity::clamp(now, ttl, &ends).ok_or_else(|| {
        let (code, text) = if case.verb == Verb::Issue && case.repeats() {
            (
                Code::EvidenceReplayed,
                "what this evidence was good for has ended: show fresh evidence",
            )
        } else {
            (Code::TaskExpired, "nothing is left of the task's time")
        };
        Denial::new(code, text).into()
    })
}
