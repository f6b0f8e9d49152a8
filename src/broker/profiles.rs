//! Which profile takes a piece of evidence, and the names that it gives to task and instance.

use std::collections::{BTreeMap, BTreeSet};

use crate::attest::Attested;
use crate::broker::preview::{Candidate, FailedClaim};
use crate::decide::denial::Denial;
use crate::domain::case::case_of_task;
use crate::domain::grant::Audience;
use crate::domain::name::{InstanceName, ProfileName, TaskName};
use crate::domain::profile::{Naming, TaskProfile};
use crate::error::{Code, Error};

/// The configured profiles.
pub struct Profiles(BTreeMap<ProfileName, TaskProfile>);

/// Which task and instance evidence is about, under which profile.
pub struct Opening<'a> {
    pub profile: &'a TaskProfile,
    pub task: TaskName,
    pub instance: InstanceName,
}

/// No profile takes the evidence, or several do and none was named.
pub enum Unmatched {
    Denied(Denial),
    Ambiguous(Error),
}

impl Profiles {
    /// A grant with secrets or SVIDs also grants the broker's own audience: they are taken with a token.
    pub fn new(profiles: Vec<TaskProfile>, own: &Audience) -> Self {
        let completed = profiles.into_iter().map(|mut profile| {
            for rule in profile
                .grants
                .values_mut()
                .filter(|rule| rule.is_taken_here())
            {
                rule.audiences.insert(own.clone());
            }
            (profile.name.clone(), profile)
        });
        Self(completed.collect())
    }

    pub fn all(&self) -> impl Iterator<Item = &TaskProfile> {
        self.0.values()
    }

    pub fn named(&self, name: &ProfileName) -> Option<&TaskProfile> {
        self.0.get(name)
    }

    /// The profiles that name an id of this workload, each with every claim that it does not take.
    pub fn candidates(&self, attested: &Attested) -> Vec<Candidate> {
        let claims = attested.claims();
        let of_source = self.0.values().filter(|p| p.source == *attested.source());
        let own = of_source.filter(|p| p.is_about(claims));
        own.map(|profile| Candidate {
            profile: profile.name.clone(),
            failed: profile
                .untaken(claims)
                .map(|claim| FailedClaim {
                    claim: claim.to_owned(),
                    shown: claims.get(claim).cloned(),
                })
                .collect(),
        })
        .collect()
    }

    /// The profile for this evidence: the one that was named, or the only one that takes it. Where the
    /// request names its task, only those count that leave that to the request, and no others do where
    /// it names none.
    pub fn open<'a>(
        &'a self,
        attested: &Attested,
        named: Option<&ProfileName>,
        task: Option<&TaskName>,
    ) -> Result<Opening<'a>, Unmatched> {
        let of_source = self.0.values().filter(|p| p.source == *attested.source());
        let (asked, others): (Vec<_>, Vec<_>) = of_source
            .filter(|p| named.is_none_or(|name| p.name == *name))
            .partition(|p| names(p, task));
        if asked.is_empty() && !others.is_empty() {
            return Err(Unmatched::Denied(misnamed(task)));
        }
        let taking: Vec<_> = asked
            .iter()
            .filter(|p| p.takes(attested.claims()).is_ok())
            .collect();
        match taking.as_slice() {
            [profile] => opening(profile, attested, task),
            [] => Err(Unmatched::Denied(unmatched(&asked, attested))),
            [_, ..] => Err(Unmatched::Ambiguous(
                Error::new(
                    Code::ProfileAmbiguous,
                    "several profiles take this evidence: name one with `profile`",
                )
                .with_field("profile"),
            )),
        }
    }
}

/// The names of task and instance, from the evidence; or the task's from the request, where the profile
/// leaves it to that.
pub fn opening<'a>(
    profile: &'a TaskProfile,
    attested: &Attested,
    named: Option<&TaskName>,
) -> Result<Opening<'a>, Unmatched> {
    let refuse = |why: String| {
        let text = format!(
            "the evidence does not name a task of the profile `{}`: {why}",
            profile.name
        );
        Unmatched::Denied(Denial::new(Code::ProfileUnmatched, text))
    };
    let claims = attested.claims();
    let task = match &profile.naming {
        Naming::Evidence(template) => {
            let segments = template.fill(claims).map_err(|e| refuse(e.to_string()))?;
            TaskName::new(&profile.source, &segments).map_err(|e| refuse(e.to_string()))?
        }
        Naming::Case(_) => named
            .cloned()
            .ok_or_else(|| refuse("the request has to name it".to_owned()))?,
    };
    let instance = profile
        .instance
        .fill(claims)
        .map_err(|e| refuse(e.to_string()))?;
    let instance = instance.parse().map_err(|e| refuse(format!("{e}")))?;
    Ok(Opening {
        profile,
        task,
        instance,
    })
}

/// Whether the profile takes its task's name from where this request has it.
fn names(profile: &TaskProfile, task: Option<&TaskName>) -> bool {
    match (&profile.naming, task) {
        (Naming::Evidence(_), None) => true,
        (Naming::Case(rule), Some(task)) => {
            case_of_task(task).is_some_and(|record| record.source == rule.desk)
        }
        (Naming::Evidence(_), Some(_)) | (Naming::Case(_), None) => false,
    }
}

fn misnamed(task: Option<&TaskName>) -> Denial {
    let text = if task.is_some() {
        "no profile for this evidence opens a task of that name"
    } else {
        "the profile is for a case, and the request has to name it"
    };
    Denial::new(Code::ProfileUnmatched, text).field("authorization_details")
}

/// The evidence has verified, so its holder may know which claim failed, where one profile was meant.
fn unmatched(asked: &[&TaskProfile], attested: &Attested) -> Denial {
    let Some(profile) = asked.first().filter(|_| asked.len() == 1) else {
        return Denial::new(Code::ProfileUnmatched, "no profile takes this evidence")
            .field("profile");
    };
    let Err(claim) = profile.takes(attested.claims()) else {
        return Denial::new(Code::ProfileUnmatched, "no profile takes this evidence")
            .field("profile");
    };
    let allowed: BTreeSet<&str> = profile
        .matches
        .get(claim)
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let observed = attested
        .claims()
        .get(claim)
        .map_or("(absent)", String::as_str);
    Denial::new(
        Code::ProfileUnmatched,
        format!(
            "the profile `{}` does not take this `{claim}`",
            profile.name
        ),
    )
    .field(claim)
    .because(
        allowed.into_iter().collect::<Vec<_>>().join(" or "),
        observed,
    )
}
