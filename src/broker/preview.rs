//! Preview: who the holder of evidence is, which profiles are for it, and what an exchange would be
//! answered. Everything is judged as for an exchange; nothing is minted, recorded, spent or ended.
//!
//! Evidence has to verify first. And what is told of profiles is told of those alone that name an id of
//! this very workload: anybody at a public CI system can show evidence that verifies, and learns nothing
//! of what others have configured.

use crate::attest::Attested;
use crate::broker::Broker;
use crate::broker::issue::IssueRequest;
use crate::broker::profiles::{Opening, Unmatched};
use crate::context::observe::Ties;
use crate::decide::case::{Ask, Case};
use crate::decide::denial::{Denial, Refusal};
use crate::decide::engine::{PolicySet, Verb};
use crate::decide::permit::{Permit, Planned};
use crate::domain::case::case_of_task;
use crate::domain::grant::TokenGrant;
use crate::domain::identity::Identity;
use crate::domain::name::{InstanceName, ProfileName, SourceName, TaskName};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};

/// What an exchange would come to.
#[derive(Debug)]
pub struct Preview {
    pub source: SourceName,
    pub identity: Identity,
    pub candidates: Vec<Candidate>,
    pub outlook: Outlook,
}

/// A profile that names an id of this workload.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    pub profile: ProfileName,
    /// Every claim that it does not take. None: it takes this evidence.
    pub failed: Vec<FailedClaim>,
}

/// A claim that a profile does not take. What it would take is the operator's to know.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedClaim {
    pub claim: String,
    /// What the evidence says, if it says anything.
    pub shown: Option<String>,
}

/// The answer that an exchange would get now.
#[derive(Debug)]
pub enum Outlook {
    Permitted(Box<Permitted>),
    Denied(Refused),
    Undetermined(Refused),
}

#[derive(Debug)]
pub struct Permitted {
    pub profile: ProfileName,
    pub task: TaskName,
    pub instance: InstanceName,
    pub token: TokenGrant,
    pub expires_at: Timestamp,
}

/// A refusal as its caller may read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    pub public: String,
    pub field: Option<String>,
}

impl Broker {
    /// Says what an exchange of this evidence would be answered.
    ///
    /// # Errors
    /// The evidence or the proof does not verify, or it cannot be known.
    pub async fn preview(&self, request: IssueRequest) -> Result<Preview, Error> {
        self.fresh()?;
        let now = self.clock.now();
        let key = Self::prove(request.proof.as_ref(), None, now)?;
        let attested = self.attestors.attest(&request.evidence, key, now).await?;
        let rules = self.rules.now();
        let candidates = rules.profiles.candidates(&attested);
        let opened =
            rules
                .profiles
                .open(&attested, request.profile.as_ref(), request.task.as_ref());
        let outlook = match opened {
            Ok(opening) => {
                let policies = &rules.policies;
                self.outlook(policies, &attested, &opening, &request)
                    .await?
            }
            Err(Unmatched::Denied(denial)) => Outlook::Denied(denial.into()),
            Err(Unmatched::Ambiguous(error)) => Outlook::Denied(Refused {
                code: error.code(),
                public: error.public().to_owned(),
                field: error.field().map(str::to_owned),
            }),
        };
        Ok(Preview {
            source: attested.source().clone(),
            identity: attested.identity().clone(),
            candidates,
            outlook,
        })
    }

    /// One way through, up to the decision.
    async fn outlook(
        &self,
        policies: &PolicySet,
        attested: &Attested,
        opening: &Opening<'_>,
        request: &IssueRequest,
    ) -> Result<Outlook, Error> {
        let Opening {
            profile,
            task,
            instance,
        } = opening;
        if let Some(denial) = crate::broker::issue::untied(attested, profile) {
            return Ok(Outlook::Denied(denial.into()));
        }
        let standing = self.standing(attested, opening).await?;
        let rests = match self.rests(Some(attested)).await? {
            Ok(rests) => rests,
            Err(denial) => return Ok(Outlook::Denied(denial.into())),
        };
        let named = case_of_task(task);
        let ties = Ties::Evidence(attested, named.as_ref());
        let facts = self.observer.observe(profile, ties).await;
        let case = Case {
            verb: Verb::Issue,
            profile,
            task_name: task,
            instance,
            identity: attested.identity(),
            claims: Some(attested.claims()),
            evidence: Some(attested.evidence()),
            seen_before: false,
            evidence_once: None,
            key: attested.key(),
            proof: None,
            standing: &standing,
            parent: None,
            rests,
            facts: &facts,
        };
        let ask = Ask::Token {
            audiences: self.audiences(request, profile),
            scopes: request.scopes.clone(),
        };
        Ok(match self.judge(policies, &case, &ask, self.clock.now()) {
            Err(Refusal::Denied(denial)) => Outlook::Denied((*denial).into()),
            Err(Refusal::Undetermined(why)) => Outlook::Undetermined(Refused {
                code: why.code,
                public: why.public.into_owned(),
                field: why.field,
            }),
            Ok(permit) => Outlook::Permitted(Box::new(permitted(permit)?)),
        })
    }
}

fn permitted(permit: Permit) -> Result<Permitted, Error> {
    let parts = permit.into_parts();
    let Planned::Token(token) = parts.planned else {
        let what = "a token was asked for, and something else was decided";
        return Err(Error::new(Code::Internal, what));
    };
    Ok(Permitted {
        profile: parts.profile,
        task: parts.task_name,
        instance: parts.instance,
        token,
        expires_at: parts.validity.until(),
    })
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self {
            code: denial.code,
            public: denial.public.into_owned(),
            field: denial.field,
        }
    }
}
