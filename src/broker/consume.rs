//! Consume: a service does what a permit is for, and uses it up. Everything is judged anew, as at any check; what
//! is refused then, or cannot be known, leaves the permit as it was. It is consumed at most once: of all who
//! ask one hears that it may act, and that one hears it again under the key that it asked with.

use crate::broker::check::{Caller, CheckRequest, Cleared, Record, Use};
use crate::broker::settle::overloaded;
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::decide::act::{Aim, Question};
use crate::decide::clearance::Clearance;
use crate::domain::ids::ReservationId;
use crate::domain::key::Digest;
use crate::domain::name::ServerName;
use crate::domain::profile::{Recorded, TaskProfile};
use crate::domain::reservation::Reservation;
use crate::error::{Code, Error};
use crate::ledger::answered::Repeat;
use crate::ledger::intent::Scene;
use crate::ledger::reserve::consume;

/// What an enforcement point asks before it acts.
#[derive(Debug)]
pub struct ConsumeRequest {
    pub check: CheckRequest,
    /// The permit that it was shown; none where it was shown none, or what is none.
    pub permit: Option<ReservationId>,
    pub server: ServerName,
    /// Its own key for this request: the same again is answered the same.
    pub key: String,
}

/// A permit that was consumed.
#[derive(Debug)]
pub struct Consumed {
    pub cleared: Cleared,
    /// This very request was answered before: what it permits may have been done.
    pub repeated: bool,
}

/// A use that is to be consumed.
struct Consuming<'a> {
    request: &'a ConsumeRequest,
    reservation: Option<Reservation>,
    repeat: Repeat,
    /// Whether it was, by this very request.
    before: bool,
}

impl Broker {
    /// Consumes one use of an action.
    ///
    /// # Errors
    /// Everything in the table of outcomes; the permit is as it was then.
    pub async fn consume(&self, request: &ConsumeRequest) -> Result<Consumed, Error> {
        self.fresh()?;
        let caller = self.asked_about(&request.check)?;
        let claims = &caller.token.claims;
        let permit = request.permit.map(|id| *id.as_bytes()).unwrap_or_default();
        let with: [&[u8]; 3] = [b"consume", &permit, claims.lineage.as_bytes()];
        let (server, key) = (request.server.as_str(), request.key.as_bytes());
        let repeat = Repeat {
            key: Digest::of(&[b"consume", server.as_bytes(), key]),
            request: request.check.act.digest(&with),
        };
        for _ in 0..ATTEMPTS {
            let reservation = match request.permit {
                Some(id) => self.reservation(&caller, id).await?,
                None => None,
            };
            // In this order: what this very request has consumed is then known to be its own.
            let before = self.came_to(repeat).await?.is_some();
            let standing = self.session_now(claims.session).await?;
            let wanted = Consuming {
                request,
                reservation,
                repeat,
                before,
            };
            let tried = self.try_use(&caller, &standing, &wanted).await?;
            if let Some(consumed) = self.conclude(tried).await? {
                return Ok(consumed);
            }
        }
        Err(overloaded(RETRY))
    }

    async fn reservation(
        &self,
        caller: &Caller,
        id: ReservationId,
    ) -> Result<Option<Reservation>, Error> {
        let row = self
            .store
            .reservation(self.realm, caller.token.claims.task, id)
            .await;
        row.map_err(|down| unavailable(&down))
    }
}

impl Use for Consuming<'_> {
    type Outcome = Consumed;

    const VERB: &'static str = "consume";

    fn question<'a>(&'a self, caller: &'a Caller) -> Question<'a> {
        let aim = match &self.reservation {
            Some(one) if self.before => Aim::Recall(one),
            one => Aim::Consume(one.as_ref()),
        };
        Question {
            act: &self.request.check.act,
            audiences: &caller.asking,
            aim,
        }
    }

    fn before(&self, caller: &Caller) -> Option<Consumed> {
        self.before.then(|| Consumed {
            cleared: Cleared::new(&caller.token),
            repeated: true,
        })
    }

    fn record(
        &self,
        clearance: Clearance,
        caller: &Caller,
        _: &TaskProfile,
        scene: Scene<'_>,
    ) -> Result<Record<Consumed>, Error> {
        let text = "a permit was cleared that was consumed";
        let none = || Error::new(Code::Internal, text);
        let one = self.reservation.as_ref().ok_or_else(none)?;
        let asked = (one, &self.request.server, self.repeat);
        let change = consume(clearance, caller.token.claims.jti, asked, scene);
        Ok(Record {
            change: change.ok_or_else(none)?,
            when: Recorded::BeforeAnswer,
            outcome: Consumed {
                cleared: Cleared::new(&caller.token),
                repeated: false,
            },
        })
    }
}
