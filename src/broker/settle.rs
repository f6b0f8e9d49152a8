//! From the permit to the answer: open, mint, commit the change, and release the credential for its
//! receipt. Every verb that gives something ends here.

use std::time::Duration;

use crate::broker::issued::Issued;
use crate::broker::laps::Laps;
use crate::broker::refuse::Trace;
use crate::broker::{Broker, unavailable};
use crate::decide::denial::Denial;
use crate::decide::permit::Permit;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::ledger::bar::BarKey;
use crate::ledger::change::{Change, OnceKind, SealedVersion};
use crate::ledger::intent::open;
use crate::ledger::rows::Refusal;
use crate::store::{CommitError, Receipt};
use crate::telemetry::trace;

/// How committing can fail, as the verbs see it.
pub enum Unsettled {
    /// Another change came first: decide again on what stands now.
    Again,
    /// The evidence was used before, and opened this session.
    EvidenceUsed(Option<SessionId>),
    /// The ledger knows it to be false.
    Denied(Denial),
    Failed(Error),
}

impl Broker {
    /// Gives what was permitted: it is minted, its change made durable, and it is released for the
    /// receipt. `sealed` is the version that is read, where a secret is.
    pub(in crate::broker) async fn hand_out(
        &self,
        permit: Permit,
        sealed: Option<SealedVersion>,
        now: Timestamp,
        mut laps: Laps<'_>,
    ) -> Result<Issued, Unsettled> {
        let intent = open(permit, sealed, self.scene(now));
        let minted = self.minter.mint(intent).map_err(Unsettled::Failed)?;
        laps.done("mint");
        let (change, held) = minted.part();
        let settled = self.commit(change).await;
        laps.done("settle");
        Issued::new(held, settled?).map_err(Unsettled::Failed)
    }

    /// The answer to one way through on rows that stand; none where another change came first and all
    /// is to be decided again.
    ///
    /// # Errors
    /// Refused, and recorded; or failed.
    pub(in crate::broker) async fn conclude<T>(
        &self,
        tried: Result<T, (Unsettled, Trace)>,
    ) -> Result<Option<T>, Error> {
        let (unsettled, trace) = match tried {
            Ok(given) => return Ok(Some(given)),
            Err(refused) => refused,
        };
        let denial = match unsettled {
            Unsettled::Again => return Ok(None),
            Unsettled::Failed(error) => return Err(error),
            Unsettled::Denied(denial) => denial,
            Unsettled::EvidenceUsed(_) => {
                let text = "the evidence was used before: show fresh evidence";
                Denial::new(Code::EvidenceReplayed, text)
            }
        };
        Err(self.deny(denial, &trace).await)
    }

    /// Makes a change durable.
    pub(in crate::broker) async fn commit(&self, change: Change) -> Result<Receipt, Unsettled> {
        let committed = trace::within("commit", self.store.commit(change));
        committed.await.map_err(unsettled)
    }
}

/// What it means to a verb that a change was not committed.
pub(in crate::broker) fn unsettled(error: CommitError) -> Unsettled {
    match error {
        CommitError::Refused(refusal) => refused(refusal),
        CommitError::Overloaded { retry_after } => Unsettled::Failed(overloaded(retry_after)),
        CommitError::Down(down) => Unsettled::Failed(unavailable(&down)),
        CommitError::InDoubt => Unsettled::Failed(Error::new(
            Code::OutcomeUnknown,
            "it is not known yet whether this was recorded: ask again",
        )),
    }
}

fn refused(refusal: Refusal) -> Unsettled {
    let denied = |code, text: &'static str| Unsettled::Denied(Denial::new(code, text));
    match refusal {
        // Deciding again on the rows as they stand gives each of these its own code and reason.
        Refusal::Moved
        | Refusal::OrderGiven
        | Refusal::PolicyChanged
        | Refusal::TooLate
        | Refusal::Frozen(_)
        | Refusal::TaskOver
        | Refusal::LineageEnded
        | Refusal::SessionEnded => Unsettled::Again,
        Refusal::CredentialDead => denied(
            Code::CredentialRevoked,
            "the credential that was shown has been revoked",
        ),
        Refusal::Barred(key) => Unsettled::Denied(barred(&key)),
        Refusal::OnceTaken {
            kind: OnceKind::Evidence,
            session,
        } => Unsettled::EvidenceUsed(session),
        Refusal::OnceTaken {
            kind: OnceKind::Proof,
            ..
        } => Unsettled::Failed(Error::new(
            Code::ProofInvalid,
            "the DPoP proof was used before: make a new one",
        )),
        Refusal::UsesExhausted(grant) => Unsettled::Denied(
            Denial::new(
                Code::UsesExhausted,
                format!("every use of the grant `{grant}` is spent"),
            )
            .field("uses"),
        ),
        Refusal::Illegal(rule) => {
            tracing::error!(rule, "a verb tried what the ledger forbids");
            Unsettled::Failed(
                Error::new(Code::Internal, "the broker refused its own change").with_internal(rule),
            )
        }
    }
}

/// The denial of what an operator has barred.
pub(in crate::broker) fn barred(key: &BarKey) -> Denial {
    Denial::new(Code::Barred, "an operator has barred this").field(key.kind())
}

/// The answer when too much is waiting.
pub(in crate::broker) fn overloaded(retry_after: Duration) -> Error {
    Error::new(Code::Overloaded, "too much is waiting: ask again").with_retry_after(retry_after)
}
