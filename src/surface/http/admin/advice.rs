//! What an operator can do about a refusal. One sentence per code, so that `explain` never ends with
//! a riddle.

use crate::error::Code;

/// What would help, or why nothing should.
#[expect(
    clippy::too_many_lines,
    reason = "a table: one line for each code, and none left out"
)]
pub const fn advice(code: Code) -> &'static str {
    match code {
        Code::RequestMalformed | Code::GrantTypeUnsupported | Code::AuthorizationDetailsInvalid => {
            "mend the request: the caller sent what the reference does not describe"
        }
        Code::CsrInvalid => {
            "have the caller make a new signing request with its own key (`writ svid x509` does)"
        }
        Code::KeyRefused => {
            "have the caller make another key: P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits"
        }
        Code::ProfileAmbiguous => {
            "have the caller name a profile, or let the `match` of the profiles exclude each other"
        }
        Code::EvidenceInvalid => {
            "compare the token's issuer, audience and algorithm with the configured source"
        }
        Code::EvidenceExpired => {
            "have the job ask for its token just before it uses it; check both clocks"
        }
        Code::ProofInvalid => "check the DPoP proof: its method, URL, time and key",
        Code::TokenInvalid => "have the client exchange its evidence again",
        Code::ClientInvalid => {
            "compare the resource server's secret with the digest in the configuration"
        }
        Code::TargetRefused => "grant the audience in the profile, or have the client ask for less",
        Code::ScopeRefused => "grant the scope in the profile, or have the client ask for less",
        Code::ProfileUnmatched => {
            "compare the identity's claims with the `match` of each profile of this source"
        }
        Code::IdentityMismatch => {
            "another workload came to a lineage that is not its own: find out who sent it"
        }
        Code::ContextMismatch => {
            "compare required with observed; if the change is wanted, run the pipeline again, or assign the case"
        }
        Code::ContextUnknown => {
            "check that the source's token can read it there, and that the run or case exists"
        }
        Code::ContextEnded => "nothing: the run or case is over, and what it held ended with it",
        Code::TaskClosed | Code::TaskRevoked => "an operator ended it; a new run opens a new task",
        Code::TaskExpired => "run the pipeline again, or give the profile a longer `deadline`",
        Code::LineageEnded | Code::SessionEnded => {
            "look at the task: what ended it stands in its history"
        }
        Code::StepUpRequired => {
            "`writ risk list` says what it waits for, and `writ approve` lets it go on for a while"
        }
        Code::Quarantined => {
            "look at what it did; `writ release` lets it go on with less, `writ revoke` ends it"
        }
        Code::SessionExpired => "have the client renew earlier, or show its evidence again",
        Code::KeyMismatch => {
            "if the client kept its key, somebody else holds its handle: revoke the task"
        }
        Code::ProofRequired => {
            "have the client send a DPoP proof: the profile or the evidence demands one"
        }
        Code::EvidenceReplayed => {
            "have each step ask for its own token or show a key; else the token was stolen"
        }
        Code::EvidenceStale | Code::EvidenceRequired => {
            "have the client show a fresh token of its CI beside the handle"
        }
        Code::PolicyDenied => {
            "read the policies that are named; where none is, no policy permits it"
        }
        Code::PullRequestRefused => {
            "the safe answer; a profile without secrets may say allow = [\"pull-request\"]"
        }
        Code::SelfHostedRefused => {
            "if the runners are trusted, say allow = [\"self-hosted\"] in the profile"
        }
        Code::UsesExhausted => "raise `uses` of the grant, if the run honestly needs more",
        Code::Barred => "an operator barred it; the log says who and why",
        Code::CredentialRevoked => "it was revoked; its holder exchanges its evidence again",
        Code::CertificateRefused => "set `x509_svid = true` in one of the profile's grants",
        Code::ActionRefused => {
            "grant the action with `reads` or `writes`, in a grant whose audiences have the service that asks"
        }
        Code::ResourceRefused => {
            "cover the resource with a `[[profile.grant.NAME.resource]]` of the profile"
        }
        Code::ResourceMismatch => {
            "the workload asked for what belongs to somebody else: look at what it was told to do"
        }
        Code::PlaceMismatch => {
            "have the workload show evidence of where it is now; or mend the server's `place`"
        }
        Code::PermitRequired => {
            "have the workload reserve a permit (`writ permit reserve`) and send it along"
        }
        Code::PermitMismatch => {
            "compare what the permit is for with what was asked: it holds for nothing else"
        }
        Code::PermitSpent | Code::PermitExpired => {
            "the use is gone; have the workload reserve another for its next step"
        }
        Code::SecretRefused => "cover the path with `secrets` in one of the profile's grants",
        Code::OperatorRequired => {
            "run as root or the broker's user, or be named in listen.admin_uids or in operators.role"
        }
        Code::OperatorUnauthenticated | Code::OperatorExpired => {
            "run `writ login`; if it goes on, check both clocks and operators.client_id"
        }
        Code::RoleRequired => "ask somebody with that role; operators.role says who has which",
        Code::SeparationRequired => {
            "ask another approver: not who had it stopped or opened its task"
        }
        Code::NotFound => "check the id or name; `writ task list` shows what there is",
        Code::Conflict => "look at it again: somebody else changed it first",
        Code::ConfigurationRefused => "mend what it says; the configuration in force stays",
        Code::IdempotencyKeyReused => "take a new key for another order; the first was carried out",
        Code::ContextUnavailable => {
            "nothing was revoked; see whether the source answers, and its rate limit"
        }
        Code::IssuerUnavailable => {
            "nothing was revoked; see whether the issuer's key set can be fetched"
        }
        Code::Frozen => {
            "nothing was revoked; `writ freeze list` says who stopped it, until when and why"
        }
        Code::StoreUnavailable | Code::ViewStale | Code::Overloaded => {
            "ask again; if it lasts, look at the broker's log, its disk and /readyz"
        }
        Code::OutcomeUnknown => "ask again: the same request does not happen twice",
        Code::Internal => "look at the broker's log: this is a fault of the broker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_advice_fits_a_line() {
        for code in Code::ALL {
            let text = advice(*code);
            assert!((10..=100).contains(&text.len()), "{code}: {text}");
        }
    }
}
