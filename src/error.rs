//! One error type inside. What it may say in public and what only the operator sees are two texts;
//! each surface maps it once, by [`Code`] and [`Kind`], to what its protocol wants.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A refusal as it travels from the stage that refused to the surface that answers.
#[derive(Debug)]
pub struct Error {
    code: Code,
    public: Cow<'static, str>,
    internal: Option<String>,
    field: Option<String>,
    denial: Option<String>,
    challenge: Option<String>,
    retry_after: Option<Duration>,
}

/// What an outcome means; each surface has one status for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not well-formed; nothing was judged.
    Malformed,
    /// The evidence, proof or token did not verify.
    Unverified,
    /// The caller of an OAuth endpoint did not authenticate.
    Unauthenticated,
    /// The audience is not in the grant.
    Target,
    /// The scope is not in the grant.
    Scope,
    /// Known to be false.
    Denied,
    /// There is no such thing.
    Absent,
    /// It is already so, or was changed by somebody else.
    Conflict,
    /// It can be read, and contradicts what came before.
    Contradicted,
    /// Unknown, stale, unreachable or stopped for now: nothing is issued and nothing is revoked.
    Undetermined,
    /// A fault of the broker.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $kind:ident,)*) => {
        /// The stable code of an outcome: part of the interface, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)*
                }
            }
        }
    };
}

codes! {
    /// The request cannot be read.
    RequestMalformed = "request_malformed" => Malformed,
    /// The grant type is not served.
    GrantTypeUnsupported = "grant_type_unsupported" => Malformed,
    /// `authorization_details` is not of a form, or not of a type, that is served.
    AuthorizationDetailsInvalid = "authorization_details_invalid" => Malformed,
    /// The certificate signing request cannot be read, or is not signed by its own key.
    CsrInvalid = "csr_invalid" => Malformed,
    /// The key is weak, of a kind that is not certified, or the broker's own.
    KeyRefused = "key_refused" => Malformed,
    /// Several profiles match; the request must name one.
    ProfileAmbiguous = "profile_ambiguous" => Malformed,
    /// The evidence did not verify, or its issuer is not configured.
    EvidenceInvalid = "evidence_invalid" => Unverified,
    /// The evidence verified but its time is over, or not yet come.
    EvidenceExpired = "evidence_expired" => Unverified,
    /// The proof of possession did not verify.
    ProofInvalid = "proof_invalid" => Unverified,
    /// The access token or handle is not one of ours, or has expired.
    TokenInvalid = "token_invalid" => Unverified,
    /// The calling client did not authenticate.
    ClientInvalid = "client_invalid" => Unauthenticated,
    /// The audience is not granted.
    TargetRefused = "target_refused" => Target,
    /// The scope is not granted.
    ScopeRefused = "scope_refused" => Scope,
    /// The operator's token is missing, is no token, or is not for this broker's operators.
    OperatorUnauthenticated = "operator_unauthenticated" => Unauthenticated,
    /// The operator's token is of this broker's operators, and its time is over or not yet come.
    OperatorExpired = "operator_expired" => Unauthenticated,
    /// No profile takes this evidence.
    ProfileUnmatched = "profile_unmatched" => Denied,
    /// The evidence names another identity than the one that opened the lineage.
    IdentityMismatch = "identity_mismatch" => Denied,
    /// A context record was read, and it is not what was required or pinned.
    ContextMismatch = "context_mismatch" => Denied,
    /// The source answered, and has no such record.
    ContextUnknown = "context_unknown" => Denied,
    /// The run, job or case that justified the task is over.
    ContextEnded = "context_ended" => Denied,
    /// The task was closed.
    TaskClosed = "task_closed" => Denied,
    /// The task was revoked.
    TaskRevoked = "task_revoked" => Denied,
    /// The task's deadline has passed.
    TaskExpired = "task_expired" => Denied,
    /// The lineage has ended; evidence does not reopen it.
    LineageEnded = "lineage_ended" => Denied,
    /// The lineage is in quarantine: nothing is given or permitted until it is let go on with less.
    Quarantined = "quarantined" => Denied,
    /// The risk of the lineage has risen: this waits for an approval.
    StepUpRequired = "step_up_required" => Denied,
    /// The session was revoked.
    SessionEnded = "session_ended" => Denied,
    /// The session was not renewed in time.
    SessionExpired = "session_expired" => Denied,
    /// The proof is by another key than the session's.
    KeyMismatch = "key_mismatch" => Denied,
    /// The profile, session or evidence demands a proof of possession.
    ProofRequired = "proof_required" => Denied,
    /// The evidence was used before.
    EvidenceReplayed = "evidence_replayed" => Denied,
    /// The evidence is older than what the session has already shown.
    EvidenceStale = "evidence_stale" => Denied,
    /// The renewal mode of the profile demands fresh evidence beside the handle.
    EvidenceRequired = "evidence_required" => Denied,
    /// A policy denies it, or none permits it.
    PolicyDenied = "policy_denied" => Denied,
    /// The run works for a pull request, and the profile does not say that it may.
    PullRequestRefused = "pull_request_refused" => Denied,
    /// The job runs on a self-hosted runner, and the profile does not say that it may.
    SelfHostedRefused = "self_hosted_refused" => Denied,
    /// Every use that the grant allows is spent.
    UsesExhausted = "uses_exhausted" => Denied,
    /// The workload, key, task or credential was barred by an operator.
    Barred = "barred" => Denied,
    /// The credential that was presented has been revoked.
    CredentialRevoked = "credential_revoked" => Denied,
    /// No grant of the task has an X.509-SVID.
    CertificateRefused = "certificate_refused" => Denied,
    /// No grant covers the secret.
    SecretRefused = "secret_refused" => Denied,
    /// No grant of the task has the action for the service that asks.
    ActionRefused = "action_refused" => Denied,
    /// No grant of the task has the resource.
    ResourceRefused = "resource_refused" => Denied,
    /// The resource belongs to something else than the context says.
    ResourceMismatch = "resource_mismatch" => Denied,
    /// The enforcement point that asks stands in another place than the grant is for.
    PlaceMismatch = "place_mismatch" => Denied,
    /// The action's uses are counted, and no permit of this task was shown for it.
    PermitRequired = "permit_required" => Denied,
    /// The permit is for something else, or for somebody else.
    PermitMismatch = "permit_mismatch" => Denied,
    /// The permit was used before.
    PermitSpent = "permit_spent" => Denied,
    /// The permit was not used in its time.
    PermitExpired = "permit_expired" => Denied,
    /// Only operators may do this.
    OperatorRequired = "operator_required" => Denied,
    /// The operator has another role than this takes.
    RoleRequired = "role_required" => Denied,
    /// Whoever asked for something may not decide on it as well.
    SeparationRequired = "separation_required" => Denied,
    /// There is no such thing.
    NotFound = "not_found" => Absent,
    /// It has already ended, or somebody else changed it first.
    Conflict = "conflict" => Conflict,
    /// The configuration that was read again cannot take the place of the one in force, which stays.
    ConfigurationRefused = "configuration_refused" => Conflict,
    /// The idempotency key came with another order before.
    IdempotencyKeyReused = "idempotency_key_reused" => Contradicted,
    /// A context source cannot be asked, or what is known is too old.
    ContextUnavailable = "context_unavailable" => Undetermined,
    /// The issuer's keys cannot be read.
    IssuerUnavailable = "issuer_unavailable" => Undetermined,
    /// The ledger cannot be read or written.
    StoreUnavailable = "store_unavailable" => Undetermined,
    /// This replica has not read the log within the staleness bound.
    ViewStale = "view_stale" => Undetermined,
    /// An operator has stopped issue and renewal for a while.
    Frozen = "frozen" => Undetermined,
    /// Too much is waiting already.
    Overloaded = "overloaded" => Undetermined,
    /// It may or may not have been recorded; ask again.
    OutcomeUnknown = "outcome_unknown" => Undetermined,
    /// A fault of the broker.
    Internal = "internal" => Internal,
}

impl Error {
    /// An outcome with a text that is safe in a CI log.
    pub fn new(code: Code, public: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            public: public.into(),
            internal: None,
            field: None,
            denial: None,
            challenge: None,
            retry_after: None,
        }
    }

    /// What only the operator may read.
    #[must_use]
    pub fn with_internal(self, internal: impl fmt::Display) -> Self {
        Self {
            internal: Some(internal.to_string()),
            ..self
        }
    }

    /// The record and field, or parameter, that decided.
    #[must_use]
    pub fn with_field(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// The id by which the operator finds the whole trace.
    #[must_use]
    pub fn with_denial(self, denial: impl fmt::Display) -> Self {
        Self {
            denial: Some(denial.to_string()),
            ..self
        }
    }

    /// What an approval of it would be for.
    #[must_use]
    pub fn with_challenge(self, challenge: impl fmt::Display) -> Self {
        Self {
            challenge: Some(challenge.to_string()),
            ..self
        }
    }

    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    pub const fn code(&self) -> Code {
        self.code
    }

    pub const fn kind(&self) -> Kind {
        self.code.kind()
    }

    pub fn public(&self) -> &str {
        &self.public
    }

    pub fn internal(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    pub fn denial(&self) -> Option<&str> {
        self.denial.as_deref()
    }

    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.public)?;
        match &self.field {
            Some(field) => write!(f, " ({field})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_the_same_everywhere() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn the_public_text_does_not_carry_the_internal_one() {
        let error = Error::new(Code::Internal, "the broker failed").with_internal("canary-77");
        assert!(!error.to_string().contains("canary"));
    }
}
