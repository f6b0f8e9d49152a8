//! Issue: evidence opens a lineage in a task, or is judged as the renewal of one that stands.

use std::collections::BTreeSet;

use crate::attest::{Attested, Evidence};
use crate::broker::find::spent;
use crate::broker::issued::Issued;
use crate::broker::laps::Laps;
use crate::broker::met::Ground;
use crate::broker::profiles::{Opening, Unmatched};
use crate::broker::refuse::Trace;
use crate::broker::rules::Rules;
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, Presented, RETRY, unavailable};
use crate::context::observe::Ties;
use crate::decide::case::{Ask, Case};
use crate::decide::denial::Denial;
use crate::decide::engine::{PolicySet, Verb};
use crate::domain::case::case_of_task;
use crate::domain::grant::{Audience, Scope};
use crate::domain::ids::SessionId;
use crate::domain::key::Digest;
use crate::domain::name::{ProfileName, TaskName};
use crate::domain::profile::{SenderMode, TaskProfile};
use crate::domain::standing::Standing;
use crate::domain::time::Timestamp;
use crate::domain::validity::SKEW;
use crate::error::{Code, Error};

/// What is asked with evidence.
#[derive(Debug)]
pub struct IssueRequest {
    pub evidence: Evidence,
    pub proof: Option<Presented>,
    /// Needed only where several profiles take the evidence.
    pub profile: Option<ProfileName>,
    /// The task that the request names, where the evidence does not.
    pub task: Option<TaskName>,
    /// Empty: the profile's own default.
    pub audiences: BTreeSet<Audience>,
    /// Empty: all that the grant has.
    pub scopes: BTreeSet<Scope>,
}

/// How often this evidence was found to have been used, in this request.
#[derive(Clone, Copy, Default)]
struct Shown {
    /// It opened the session of the very key that shows it again.
    before: bool,
    /// Which of its uses is tried.
    uses: u32,
}

impl Broker {
    /// Exchanges evidence for an access token (RFC 8693).
    ///
    /// # Errors
    /// Everything in the table of outcomes; nothing was issued then.
    pub async fn issue(&self, request: IssueRequest) -> Result<Issued, Error> {
        self.fresh()?;
        let mut laps = Laps::start(self.clock.as_ref(), "issue");
        let now = self.clock.now();
        let key = Self::prove(request.proof.as_ref(), None, now)?;
        let attested = self.attestors.attest(&request.evidence, key, now).await?;
        laps.done("attest");
        for _ in 0..ATTEMPTS {
            let rules = self.rules.now();
            if let Some(issued) = self.issue_by(&rules, &attested, &request).await? {
                return Ok(issued);
            }
        }
        Err(overloaded(RETRY))
    }

    /// Issues by one set of rules; none where another took its place meanwhile and all is to be decided again.
    async fn issue_by(
        &self,
        rules: &Rules,
        attested: &Attested,
        request: &IssueRequest,
    ) -> Result<Option<Issued>, Error> {
        let profiles = &rules.profiles;
        let opened = profiles.open(attested, request.profile.as_ref(), request.task.as_ref());
        let opening = match opened {
            Ok(opening) => opening,
            Err(unmatched) => return Err(self.unmatched(unmatched, attested).await),
        };
        if let Some(denial) = untied(attested, opening.profile) {
            let trace = Trace::of_evidence(attested, Some(&opening.task), Standing::default());
            return Err(self.deny(denial, &trace).await);
        }
        let ask = Ask::Token {
            audiences: self.audiences(request, opening.profile),
            scopes: request.scopes.clone(),
        };
        let (mut shown, mut attempts) = (Shown::default(), 0);
        let mut ground = self.met.ground(&opening.task);
        // Each use of the evidence that was spent already is passed over once; only changes that
        // came first count as attempts.
        while attempts < ATTEMPTS {
            let way = (&opening, &rules.policies);
            let tried = self.try_issue(attested, way, &ask, shown, ground);
            let (standing, outcome) = tried.await?;
            let denial = match outcome {
                Ok(issued) => return Ok(Some(issued)),
                Err(Unsettled::Again) if !self.rules.are(rules) => return Ok(None),
                Err(Unsettled::Failed(error)) => return Err(error),
                Err(_) if ground == Ground::Presumed => {
                    ground = Ground::Read;
                    continue;
                }
                Err(Unsettled::Again) => {
                    attempts += 1;
                    continue;
                }
                Err(Unsettled::EvidenceUsed(by)) => {
                    match used_again(attested, opening.profile, &standing, by, shown) {
                        Ok(again) => {
                            shown = again;
                            continue;
                        }
                        Err(denial) => denial,
                    }
                }
                Err(Unsettled::Denied(denial)) => denial,
            };
            let trace = Trace::of_evidence(attested, Some(&opening.task), standing);
            return Err(self.deny(denial, &trace).await);
        }
        Err(overloaded(RETRY))
    }

    /// One way through: what stands, what is known, decide, hand out.
    async fn try_issue(
        &self,
        attested: &Attested,
        (opening, policies): (&Opening<'_>, &PolicySet),
        ask: &Ask,
        shown: Shown,
        ground: Ground,
    ) -> Result<(Standing, Result<Issued, Unsettled>), Error> {
        let Opening {
            profile,
            task,
            instance,
        } = opening;
        let mut laps = Laps::start(self.clock.as_ref(), "issue");
        let standing = match ground {
            Ground::Presumed => Standing::default(),
            Ground::Read => self.standing(attested, opening).await?,
        };
        let rests = match self.rests(Some(attested)).await? {
            Ok(rests) => rests,
            Err(denial) => return Ok((standing, Err(Unsettled::Denied(denial)))),
        };
        laps.done("standing");
        let named = case_of_task(task);
        let ties = Ties::Evidence(attested, named.as_ref());
        let facts = self.observer.observe(profile, ties).await;
        laps.done("observe");
        let case = Case {
            verb: Verb::Issue,
            profile,
            task_name: task,
            instance,
            identity: attested.identity(),
            claims: Some(attested.claims()),
            evidence: Some(attested.evidence()),
            seen_before: shown.before,
            evidence_once: evidence_once(attested, &standing, shown),
            key: attested.key(),
            proof: attested.proof().map(crate::attest::dpop::ProvenKey::once),
            standing: &standing,
            parent: None,
            rests,
            facts: &facts,
        };
        let now = self.clock.now();
        let permit = match self.judge(policies, &case, ask, now) {
            Ok(permit) => permit,
            Err(refusal) => {
                let presumed = ground == Ground::Presumed;
                if presumed && self.standing(attested, opening).await?.task.is_some() {
                    return Ok((standing, Err(Unsettled::Again)));
                }
                return Err(self.refuse(refusal, &Trace::of(&case, "issue")).await);
            }
        };
        laps.done("decide");
        let settled = self.hand_out(permit, None, now, laps).await;
        Ok((standing, settled))
    }

    /// What stands under the task's name for this workload and key.
    pub(in crate::broker) async fn standing(
        &self,
        attested: &Attested,
        Opening { task, instance, .. }: &Opening<'_>,
    ) -> Result<Standing, Error> {
        self.store
            .standing(self.realm, task, instance, attested.key())
            .await
            .map_err(|down| unavailable(&down))
    }

    async fn unmatched(&self, unmatched: Unmatched, attested: &Attested) -> Error {
        match unmatched {
            Unmatched::Ambiguous(error) => error,
            Unmatched::Denied(denial) => {
                let trace = Trace::of_evidence(attested, None, Standing::default());
                self.deny(denial, &trace).await
            }
        }
    }

    /// The audiences that were asked for. Where none were: the broker itself, if the profile grants
    /// secrets; else the only audience there is.
    pub(in crate::broker) fn audiences(
        &self,
        request: &IssueRequest,
        profile: &TaskProfile,
    ) -> BTreeSet<Audience> {
        if !request.audiences.is_empty() {
            return request.audiences.clone();
        }
        let granted: BTreeSet<_> = profile
            .grants
            .values()
            .flat_map(|rule| &rule.audiences)
            .collect();
        if granted.contains(&self.own_audience) {
            return [self.own_audience.clone()].into();
        }
        match granted.len() {
            1 => granted.into_iter().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }
}

/// The single-use key of one use of the evidence; none for evidence that is shown again by its own
/// session's key.
fn evidence_once(
    attested: &Attested,
    standing: &Standing,
    shown: Shown,
) -> Option<(Timestamp, Digest)> {
    let mark = attested.evidence();
    let last = standing
        .session
        .as_ref()
        .map(|session| session.evidence.digest);
    if shown.before || (attested.key().is_some() && last == Some(mark.digest)) {
        return None;
    }
    let digest = spent(attested.source().as_str(), mark.digest, shown.uses);
    Some((mark.expires_at.plus(SKEW), digest))
}

/// What evidence that was used before is still good for.
///
/// To the key of the session it opened: the same session again, with a credential that ends no
/// later. Without a key: another use, if the profile allows more than one.
fn used_again(
    attested: &Attested,
    profile: &TaskProfile,
    standing: &Standing,
    by: Option<SessionId>,
    shown: Shown,
) -> Result<Shown, Denial> {
    let own = standing
        .session
        .as_ref()
        .is_some_and(|session| Some(session.id) == by);
    if attested.key().is_some() && own && !shown.before {
        return Ok(Shown {
            before: true,
            ..shown
        });
    }
    let uses = shown.uses.saturating_add(1);
    if attested.key().is_none() && own && uses < profile.evidence_uses {
        return Ok(Shown {
            before: false,
            uses,
        });
    }
    let text = "the evidence was used before: show fresh evidence, or show it with the key of the session it opened";
    Err(Denial::new(Code::EvidenceReplayed, text))
}

/// Evidence that names no key is as good to whoever copied it, who only needs a key of their own:
/// where a key is demanded, the evidence has to name it.
pub(in crate::broker) fn untied(attested: &Attested, profile: &TaskProfile) -> Option<Denial> {
    if profile.sender == SenderMode::Optional || attested.is_tied_to_key() {
        return None;
    }
    let text = "the profile demands evidence that is tied to a session key: ask for it with the audience ISSUER/jkt/THUMBPRINT, and send a DPoP proof by that key";
    Some(Denial::new(Code::ProofRequired, text).field("aud"))
}
