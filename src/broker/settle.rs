//! The last arrow: commit the change, and release the credential for its receipt.

use std::time::Duration;

use crate::broker::issued::Issued;
use crate::broker::{Broker, unavailable};
use crate::decide::denial::Denial;
use crate::domain::ids::SessionId;
use crate::error::{Code, Error};
use crate::ledger::change::{Change, OnceKind};
use crate::ledger::rows::Refusal;
use crate::mint::Minted;
use crate::store::{CommitError, Receipt};

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
    /// Makes the change durable and releases what waits for it.
    pub(in crate::broker) async fn settle(&self, minted: Minted) -> Result<Issued, Unsettled> {
        let (change, held) = minted.part();
        let receipt = self.commit(change).await?;
        Issued::new(held, receipt).map_err(Unsettled::Failed)
    }

    /// Makes a change durable.
    pub(in crate::broker) async fn commit(&self, change: Change) -> Result<Receipt, Unsettled> {
        self.store
            .commit(change)
            .await
            .map_err(|error| match error {
                CommitError::Refused(refusal) => refused(refusal),
                CommitError::Overloaded { retry_after } => {
                    Unsettled::Failed(overloaded(retry_after))
                }
                CommitError::Down(down) => Unsettled::Failed(unavailable(&down)),
                CommitError::InDoubt => Unsettled::Failed(Error::new(
                    Code::OutcomeUnknown,
                    "it is not known yet whether this was recorded: ask again",
                )),
            })
    }
}

fn refused(refusal: Refusal) -> Unsettled {
    let denied = |code, text: &'static str| Unsettled::Denied(Denial::new(code, text));
    match refusal {
        // Deciding again on the rows as they stand gives each of these its own code and reason.
        Refusal::Moved
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
        Refusal::Barred(key) => Unsettled::Denied(
            Denial::new(Code::Barred, "an operator has barred this").field(key.kind()),
        ),
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

/// The answer when too much is waiting.
pub(in crate::broker) fn overloaded(retry_after: Duration) -> Error {
    Error::new(Code::Overloaded, "too much is waiting: ask again").with_retry_after(retry_after)
}
