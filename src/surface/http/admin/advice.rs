//! What an operator can do about a refusal. One sentence per code, so that `explain` never ends with
//! a riddle.

use crate::error::Code;

/// What would help, or why nothing should.
pub const fn advice(code: Code) -> &'static str {
    match code {
        Code::RequestMalformed | Code::GrantTypeUnsupported => {
            "mend the request: the caller sent what the reference does not describe"
        }
        Code::ProfileAmbiguous => {
            "have the caller name one profile, or make the profiles' `match` exclude each other"
        }
        Code::EvidenceInvalid
        | Code::EvidenceExpired
        | Code::ProofInvalid
        | Code::ProofRequired
        | Code::TokenInvalid
        | Code::ClientInvalid
        | Code::KeyMismatch
        | Code::EvidenceReplayed
        | Code::EvidenceStale
        | Code::EvidenceRequired => of_evidence(code),
        Code::IdentityMismatch
        | Code::ContextMismatch
        | Code::ContextUnknown
        | Code::ContextEnded
        | Code::ContextUnavailable
        | Code::IssuerUnavailable => of_context(code),
        Code::TaskClosed
        | Code::TaskRevoked
        | Code::TaskExpired
        | Code::LineageEnded
        | Code::SessionEnded
        | Code::SessionExpired
        | Code::CredentialRevoked
        | Code::Barred => of_end(code),
        Code::TargetRefused
        | Code::ScopeRefused
        | Code::SecretRefused
        | Code::ProfileUnmatched
        | Code::PolicyDenied
        | Code::PullRequestRefused
        | Code::SelfHostedRefused
        | Code::UsesExhausted
        | Code::OperatorRequired => of_grant(code),
        Code::NotFound => "check the id or name; `writ task list` shows what there is",
        Code::Conflict => "look at it again: somebody else changed it first",
        Code::StoreUnavailable | Code::ViewStale | Code::Overloaded => {
            "ask again; if it lasts, look at the broker's log, its disk and /readyz"
        }
        Code::OutcomeUnknown => "ask again: the same request does not happen twice",
        Code::Internal => "look at the broker's log: this is a fault of the broker",
    }
}

const fn of_evidence(code: Code) -> &'static str {
    match code {
        Code::EvidenceInvalid => {
            "compare the token's issuer, audience and algorithm with the source's configuration"
        }
        Code::EvidenceExpired => {
            "have the job ask its CI for a token just before it is used; check both clocks"
        }
        Code::ProofRequired => {
            "have the client send a DPoP proof: the profile or the evidence demands one"
        }
        Code::KeyMismatch => {
            "if the client did not change its key, somebody else holds its handle: revoke the task"
        }
        Code::EvidenceReplayed => {
            "have each step ask for a token of its own, or show a key; evidence that came from \
             elsewhere was stolen"
        }
        Code::EvidenceStale | Code::EvidenceRequired => {
            "have the client show a fresh token of its CI beside the handle"
        }
        Code::TokenInvalid | Code::ClientInvalid => {
            "have the client exchange its evidence again; check the resource server's secret"
        }
        _ => "check the DPoP proof: its method, URL, time and key",
    }
}

const fn of_context(code: Code) -> &'static str {
    match code {
        Code::IdentityMismatch => {
            "another workload came to a lineage that is not its own: find out who sent it"
        }
        Code::ContextMismatch => {
            "compare required with observed: if the change is wanted, run the pipeline again"
        }
        Code::ContextUnknown => {
            "check that the source's token can read the repository, and that the run still exists"
        }
        Code::ContextEnded => "nothing: the run is over, and what it held ended with it",
        Code::ContextUnavailable => {
            "nothing was revoked; see whether the source answers, and its rate limit"
        }
        _ => "nothing was revoked; see whether the issuer's key set can be fetched",
    }
}

const fn of_end(code: Code) -> &'static str {
    match code {
        Code::TaskExpired => "run the pipeline again, or give the profile a longer `deadline`",
        Code::SessionExpired => {
            "have the client renew before half of the lifetime is over, or exchange evidence again"
        }
        Code::Barred => "an operator barred it; the entry in the log says who and why",
        Code::LineageEnded | Code::SessionEnded => {
            "look at the task: what ended it stands in its history"
        }
        _ => "an operator or its holder ended it; a new run opens a new task",
    }
}

const fn of_grant(code: Code) -> &'static str {
    match code {
        Code::TargetRefused => "grant the audience in the profile, or have the client ask for less",
        Code::ScopeRefused => "grant the scope in the profile, or have the client ask for less",
        Code::SecretRefused => "cover the path with `secrets` in one of the profile's grants",
        Code::ProfileUnmatched => {
            "compare the claims of the identity with the `match` of each profile of this source"
        }
        Code::PolicyDenied => "read the policies named here; with none named, no policy permits it",
        Code::PullRequestRefused => {
            "this is the safe answer; a profile without secrets may say allow = [\"pull-request\"]"
        }
        Code::SelfHostedRefused => {
            "if the runners are trusted, say allow = [\"self-hosted\"] in the profile"
        }
        Code::UsesExhausted => "raise `uses` of the grant if the run honestly needs more",
        _ => "run as root or as the broker's user, or add the uid to listen.admin_uids",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_advice_that_fits_a_line() {
        for code in Code::ALL {
            let text = advice(*code);
            assert!((10..=120).contains(&text.len()), "{code}: {text}");
        }
    }
}
