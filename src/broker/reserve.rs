//! Reserve: one use of an action that is counted, out of the task's pool, for whoever holds a token of the task.
//! It is judged as the action itself would be, and again when it is consumed. What is reserved is never given
//! back: not when it lapses, and not when the lineage that has it ends.

use std::collections::BTreeSet;

use crate::broker::check::{Caller, CheckRequest, Holder, Record, Use};
use crate::broker::settle::overloaded;
use crate::broker::{ATTEMPTS, Broker, RETRY};
use crate::decide::act::{Aim, Question};
use crate::decide::clearance::Clearance;
use crate::domain::action::Act;
use crate::domain::grant::Audience;
use crate::domain::key::Digest;
use crate::domain::profile::{Recorded, TaskProfile};
use crate::domain::reservation::Reservation;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::answered::{Answer, Repeat};
use crate::ledger::intent::Scene;
use crate::ledger::reserve::reserve;

/// What a workload asks for.
#[derive(Debug)]
pub struct ReserveRequest {
    /// A token for the broker itself.
    pub token: Secret,
    pub holder: Holder,
    /// The service that is to do it.
    pub audience: Audience,
    pub act: Act,
    /// The workload's own key for this request: the same again is answered the same.
    pub key: String,
}

/// A use that is to be reserved.
struct Reserving<'a> {
    act: &'a Act,
    audience: BTreeSet<Audience>,
    for_audience: &'a Audience,
    repeat: Repeat,
    before: Option<Reservation>,
    ends: Timestamp,
}

impl Broker {
    /// Reserves one use of an action.
    ///
    /// # Errors
    /// Everything in the table of outcomes; no use was taken then. `uses_exhausted`: none is left.
    pub async fn reserve(&self, request: ReserveRequest) -> Result<Reservation, Error> {
        self.fresh()?;
        let ReserveRequest {
            token,
            holder,
            audience,
            act,
            key,
        } = request;
        let asked = CheckRequest {
            subject: None,
            token,
            holder,
            act,
            audiences: [self.own_audience.clone()].into(),
        };
        let caller = self.asked_about(&asked)?;
        let claims = &caller.token.claims;
        let whose = claims.lineage;
        let repeat = Repeat {
            key: Digest::of(&[b"reserve", whose.as_bytes(), key.as_bytes()]),
            request: asked
                .act
                .digest(&[b"reserve", audience.as_str().as_bytes()]),
        };
        let ends = Timestamp::from_seconds(claims.exp).unwrap_or(Timestamp::EPOCH);
        for _ in 0..ATTEMPTS {
            let before = match self.came_to(repeat).await? {
                Some(Answer::Reserved(one)) => Some(*one),
                Some(_) | None => None,
            };
            let standing = self.session_now(claims.session).await?;
            let wanted = Reserving {
                act: &asked.act,
                audience: [audience.clone()].into(),
                for_audience: &audience,
                repeat,
                before,
                ends,
            };
            let tried = self.try_use(&caller, &standing, &wanted).await?;
            if let Some(reserved) = self.conclude(tried).await? {
                return Ok(reserved);
            }
        }
        Err(overloaded(RETRY))
    }
}

impl Use for Reserving<'_> {
    type Outcome = Reservation;

    const VERB: &'static str = "reserve";

    fn question<'a>(&'a self, _: &'a Caller) -> Question<'a> {
        Question {
            act: self.act,
            audiences: &self.audience,
            aim: Aim::Reserve { ends: self.ends },
        }
    }

    fn before(&self, _: &Caller) -> Option<Reservation> {
        self.before.clone()
    }

    fn record(
        &self,
        clearance: Clearance,
        caller: &Caller,
        _: &TaskProfile,
        scene: Scene<'_>,
    ) -> Result<Record<Reservation>, Error> {
        let asked = (self.for_audience.clone(), self.repeat);
        let made = reserve(clearance, caller.token.claims.jti, asked, scene);
        let text = "a permit was cleared that is none";
        let (change, outcome) = made.ok_or_else(|| Error::new(Code::Internal, text))?;
        Ok(Record {
            change,
            when: Recorded::BeforeAnswer,
            outcome,
        })
    }
}
