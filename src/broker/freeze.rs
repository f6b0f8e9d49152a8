//! Freeze: an operator stops issue and renewal for a while, and lets them go on again. What is out stays
//! good until it expires, and revocation is never frozen. The fold refuses every credential within a
//! frozen scope; what the verbs ask here is only how to say so before anybody is asked anything.

use std::time::Duration;

use crate::broker::revoke::{Order, unsettled};
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::decide::case::Case;
use crate::decide::denial::Undetermined;
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::name::SourceName;
use crate::domain::task::Epoch;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::change::Write;
use crate::ledger::entry::{Event, Subject};

impl Broker {
    /// Freezes a scope. One that is frozen already is frozen until the new time, sooner or later.
    ///
    /// # Errors
    /// `not_found`: no such profile or issuer is configured, so that nothing would be frozen.
    pub async fn freeze(
        &self,
        scope: &FreezeScope,
        until: Timestamp,
        order: &Order,
    ) -> Result<Freeze, Error> {
        self.is_configured(scope)?;
        let now = self.clock.now();
        if !(SHORTEST..=LONGEST).contains(&until.since(now)) {
            let what = "a freeze ends in a minute at the earliest and in 31 days at the latest";
            return Err(Error::new(Code::RequestMalformed, what).with_field("until"));
        }
        for _ in 0..ATTEMPTS {
            let known = self.freeze_row(scope).await?;
            let freeze = Freeze {
                scope: scope.clone(),
                epoch: known.map_or(Epoch::FIRST, |row| row.epoch.next()),
                at: now,
                until,
                by: order.by.clone(),
                reason: order.reason.clone(),
                lifted_at: None,
            };
            let event = Event::Frozen {
                scope: scope.clone(),
                until,
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            match self.order_freeze(&freeze, None, event).await {
                Ok(()) => return Ok(freeze),
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// Ends a freeze before its time.
    pub async fn lift(&self, scope: &FreezeScope, order: &Order) -> Result<Freeze, Error> {
        let turn = self.begin(order).await?;
        if let Some(Answer::Freeze(lifted)) = turn.given {
            return Ok(*lifted);
        }
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let known = self.freeze_row(scope).await?.filter(|row| row.holds(now));
            let known = known.ok_or_else(|| {
                Error::new(Code::NotFound, "no such freeze holds").with_field("scope")
            })?;
            let lifted = known.lifted(now);
            let event = Event::FreezeLifted {
                scope: scope.clone(),
                by: order.by.clone(),
                reason: order.reason.clone(),
            };
            let note = order.note(Answer::Freeze(Box::new(lifted.clone())), now);
            match self.order_freeze(&lifted, note, event).await {
                Ok(()) => return Ok(lifted),
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// The freezes that hold, by their scopes.
    pub async fn freezes(&self) -> Result<Vec<Freeze>, Error> {
        let now = self.clock.now();
        let mut rows = self
            .store
            .freezes(self.realm)
            .await
            .map_err(|down| unavailable(&down))?;
        rows.retain(|row| row.holds(now));
        Ok(rows)
    }

    /// What a caller is told who would be given something, and comes while it is frozen.
    pub(in crate::broker) fn thawed(
        &self,
        case: &Case<'_>,
        now: Timestamp,
    ) -> Result<(), Undetermined> {
        let view = self.store.view();
        if !view.has_freezes() {
            return Ok(());
        }
        let frozen = FreezeScope::of(&case.profile.name, case.task_name, case.identity)
            .find_map(|scope| Some((view.frozen_until(&scope, now)?, scope)));
        match frozen {
            None => Ok(()),
            Some((until, scope)) => Err(Undetermined {
                code: Code::Frozen,
                public: "an operator has stopped issue and renewal for now; nothing was revoked"
                    .into(),
                field: None,
                internal: Some(format!("{scope} is frozen until {until}")),
                retry_after: until.since(now).min(ASK_AGAIN),
            }),
        }
    }

    async fn order_freeze(
        &self,
        freeze: &Freeze,
        note: Option<Write>,
        event: Event,
    ) -> Result<(), Unsettled> {
        let mut writes = vec![Write::Freeze(freeze.clone())];
        writes.extend(note);
        self.order(writes, Subject::default(), event).await
    }

    async fn freeze_row(&self, scope: &FreezeScope) -> Result<Option<Freeze>, Error> {
        let rows = self.store.freezes(self.realm).await;
        let rows = rows.map_err(|down| unavailable(&down))?;
        Ok(rows.into_iter().find(|row| row.scope == *scope))
    }

    /// A name that nothing has would freeze nothing, and whoever ordered it would go back to bed.
    fn is_configured(&self, scope: &FreezeScope) -> Result<(), Error> {
        let rules = self.rules.now();
        let source = |name: &SourceName| rules.profiles.all().any(|p| p.source == *name);
        let (known, what) = match scope {
            FreezeScope::All => (true, ""),
            FreezeScope::Profile(name) => (
                rules.profiles.named(name).is_some(),
                "there is no such profile",
            ),
            FreezeScope::Issuer(name) | FreezeScope::Repository(name, _) => {
                (source(name), "no profile takes evidence of such a source")
            }
        };
        if known {
            return Ok(());
        }
        Err(Error::new(Code::NotFound, what).with_field("scope"))
    }
}

/// Shorter, it would be over before everybody has heard of it. A minute, as whoever orders it counts from
/// their own clock and before the order is on its way.
const SHORTEST: Duration = Duration::from_secs(50);

/// Whoever wants more takes the profile away.
const LONGEST: Duration = Duration::from_hours(31 * 24);

/// How soon a caller asks again at the latest: a freeze may be lifted before its time.
const ASK_AGAIN: Duration = Duration::from_mins(1);
