//! Operators who come over the network: an ID token of the one configured OpenID Provider, made for the
//! client of this broker's operators (OpenID Connect Core 1.0 §2), and the roles that its ids have.
//!
//! Roles come from ids alone, compared whole. A claim of another shape than its own gives none: two readers
//! of `"viewers,admins"` would find different groups in it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::attest::id_token::{IdTokens, one_audience};
use crate::attest::jws::Unverified;
use crate::attest::strict_json::Object;
use crate::domain::role::{Role, Roles};
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};

/// The provider of the operators' identities.
pub struct OperatorIssuer {
    pub tokens: IdTokens,
    /// What `aud` has to be.
    pub client_id: String,
    /// What has to be asked for beside `openid`, so that the groups are in the token.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    pub rules: Vec<RoleRule>,
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    pub role: Role,
    pub subjects: BTreeSet<String>,
    pub groups: BTreeSet<String>,
}

/// A person whose token verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownOperator {
    /// `oidc:ISSUER#SUB`, as the audit log has it.
    pub name: String,
    pub roles: Roles,
    /// Until when the token is taken.
    pub until: Timestamp,
}

impl OperatorIssuer {
    /// Who shows this token.
    ///
    /// # Errors
    /// `operator_unauthenticated` for what is no token for this broker's operators, `operator_expired`
    /// when its time is over, `issuer_unavailable` when the provider's keys cannot be read.
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<KnownOperator, Error> {
        let unverified = Unverified::parse(token).map_err(|e| unknown(&e))?;
        // Not asked for its keys in another one's name.
        if unverified.issuer().ok() != Some(self.tokens.issuer.as_str()) {
            return Err(unknown(&"the token is not of the operators' issuer"));
        }
        let signed = self.tokens.signed(unverified).await.map_err(own)?;
        self.check_audience(&signed.claims)?;
        // A logout token is signed by the same keys for the same client (Back-Channel Logout 1.0 §2.4).
        if signed.claims.member("events").is_some() {
            return Err(unknown(&"the token tells of events, and is no ID token"));
        }
        let (_, until) = self.tokens.times(&signed.claims, now).map_err(own)?;
        let subject = signed.claims.text("sub").map_err(|e| unknown(&e))?;
        // Core §2: at most 255 ASCII characters; what could forge a line of the log is no subject.
        let plain =
            (1..=255).contains(&subject.len()) && subject.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            return Err(unknown(&"`sub` is not plain text"));
        }
        Ok(KnownOperator {
            name: format!("oidc:{}#{subject}", self.tokens.issuer),
            roles: self.roles(subject, &signed.claims),
            until,
        })
    }

    /// `aud` is the client and nothing else, and so is `azp` where it is there (Core §3.1.3.7).
    fn check_audience(&self, claims: &Object) -> Result<(), Error> {
        let party = claims.optional_text("azp").map_err(|e| unknown(&e))?;
        let ours = one_audience(claims) == Some(self.client_id.as_str());
        if ours && party.is_none_or(|party| party == self.client_id) {
            return Ok(());
        }
        Err(unknown(&"the token is for another client").with_field("aud"))
    }

    fn roles(&self, subject: &str, claims: &Object) -> Roles {
        let groups = groups(claims.member(&self.groups_claim));
        let held = |rule: &&RoleRule| {
            rule.subjects.contains(subject)
                || groups.iter().any(|group| rule.groups.contains(*group))
        };
        self.rules.iter().filter(held).map(|r| r.role).collect()
    }
}

/// The groups of a claim that is a list of texts; none of any other.
fn groups(claim: Option<&Value>) -> Vec<&str> {
    let listed = claim.and_then(Value::as_array);
    let texts = listed.and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    texts.unwrap_or_default()
}

/// The outcome in the words of operators: their token is no evidence of a workload.
fn own(error: Error) -> Error {
    if error.code() == Code::EvidenceExpired {
        let text = "the operator's login is over, or not yet valid";
        let field = error.field().unwrap_or("exp").to_owned();
        return Error::new(Code::OperatorExpired, text).with_field(field);
    }
    if error.code() == Code::EvidenceInvalid {
        return unknown(&error.internal().unwrap_or_default());
    }
    error
}

/// What whoever shows it may know: not which check failed.
pub fn unknown(why: &impl std::fmt::Display) -> Error {
    let text = "this needs an operator's token, made for this broker";
    Error::new(Code::OperatorUnauthenticated, text).with_internal(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_of_another_shape_gives_no_group() {
        for shape in [
            json!("admins"),
            json!("viewers,admins"),
            json!("viewers admins"),
            json!({ "admins": true }),
            json!([["admins"]]),
            json!(["admins", 7]),
            json!([{ "id": "admins" }]),
            json!(null),
            json!(true),
        ] {
            assert_eq!(groups(Some(&shape)), Vec::<&str>::new(), "{shape}");
        }
        assert_eq!(groups(None), Vec::<&str>::new());
        assert_eq!(groups(Some(&json!(["a", "b"]))), ["a", "b"]);
    }
}
