//! One request as it is sent and shown, and its answer as it is judged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;
use writ_practice::client::{Proof, SessionKey};

use crate::outside;
use crate::trouble::Trouble;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) form: Vec<(&'static str, String)>,
}

/// A status with its JSON body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// How something has to be refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The member `error` of an OAuth answer; a problem document has none.
    pub(crate) error: Option<&'static str>,
    pub(crate) code: &'static str,
    pub(crate) field: Option<&'static str>,
}

impl Call {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: Vec::new(),
            form: Vec::new(),
        }
    }

    pub(crate) fn post(url: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(url)
        }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.form.push((name, value.into()));
        self
    }

    /// RFC 6749 §2.3.1, for names and secrets that need no escaping.
    pub(crate) fn basic(mut self, name: &str, secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{name}:{secret}"));
        self.headers
            .push(("authorization", format!("Basic {credentials}")));
        self
    }

    pub(crate) fn bearer(mut self, token: &str) -> Self {
        self.headers
            .push(("authorization", format!("Bearer {token}")));
        self
    }

    /// Proves `key` for this one request (RFC 9449 §4).
    pub(crate) fn proven(mut self, key: &SessionKey) -> Result<Self, Trouble> {
        let proof = self.proof(key, None)?;
        self.headers.push(("dpop", proof));
        Ok(self)
    }

    /// Shows an access token that is bound to `key` (RFC 9449 §7.1).
    pub(crate) fn bound(mut self, token: &str, key: &SessionKey) -> Result<Self, Trouble> {
        let proof = self.proof(key, Some(token))?;
        self.headers
            .push(("authorization", format!("DPoP {token}")));
        self.headers.push(("dpop", proof));
        Ok(self)
    }

    fn proof(&self, key: &SessionKey, access_token: Option<&str>) -> Result<String, Trouble> {
        let proof = Proof {
            htm: self.method.as_str(),
            htu: &self.url,
            iat: outside::unix_seconds(),
            jti: &outside::random_hex::<16>()?,
            access_token,
            nonce: None,
        };
        Ok(key.proof(&proof)?)
    }
}

impl Answer {
    /// A member that has to be text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Trouble> {
        let member = self.body.get(name).and_then(Value::as_str);
        member.ok_or_else(|| {
            Trouble::unmet(
                format!("the answer has `{name}`"),
                "a text",
                self.to_string(),
            )
        })
    }

    /// The answer, if it is what was asked for.
    pub(crate) fn granted(&self, what: &str) -> Result<&Self, Trouble> {
        if self.status == 200 {
            return Ok(self);
        }
        Err(Trouble::unmet(what, "200", self.to_string()))
    }

    /// The id of the refusal, if it is refused as it has to be and for that reason.
    pub(crate) fn refused(&self, what: &str, how: Refusal) -> Result<&str, Trouble> {
        let member = |name: &str| self.body.get(name).and_then(Value::as_str);
        let as_it_has_to_be = self.status == how.status
            && member("error") == how.error
            && member("code") == Some(how.code)
            && (how.field.is_none() || member("field") == how.field);
        match member("denial_id") {
            Some(id) if as_it_has_to_be => Ok(id),
            Some(_) | None => Err(Trouble::unmet(
                what,
                format!("{how}, with a denial_id"),
                self.to_string(),
            )),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        for member in [self.error, Some(self.code), self.field]
            .into_iter()
            .flatten()
        {
            write!(f, " {member}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ENDED: Refusal = Refusal {
        status: 400,
        error: Some("invalid_grant"),
        code: "context_ended",
        field: Some("pipeline.status"),
    };

    fn answer(status: u16, body: Value) -> Answer {
        Answer { status, body }
    }

    #[test]
    fn a_refusal_counts_only_with_its_status_error_code_field_and_id() {
        let right = json!({ "error": "invalid_grant", "code": "context_ended",
            "field": "pipeline.status", "denial_id": "den-1" });
        assert_eq!(
            answer(400, right.clone()).refused("it", ENDED).unwrap(),
            "den-1"
        );
        for (name, other) in [
            ("error", json!("invalid_request")),
            ("code", json!("context_mismatch")),
            ("field", json!("job.status")),
            ("denial_id", json!(null)),
        ] {
            let mut wrong = right.clone();
            wrong[name] = other;
            assert!(answer(400, wrong).refused("it", ENDED).is_err(), "{name}");
        }
        answer(503, right).refused("it", ENDED).unwrap_err();
    }

    #[test]
    fn a_secret_problem_has_no_oauth_error() {
        let how = Refusal {
            status: 403,
            error: None,
            ..ENDED
        };
        let body = json!({ "code": "context_ended", "field": "pipeline.status",
            "denial_id": "den-2" });
        assert_eq!(answer(403, body).refused("it", how).unwrap(), "den-2");
    }

    #[test]
    fn each_call_has_a_proof_of_its_own() {
        let key = SessionKey::generate().unwrap();
        let call = || {
            Call::post("http://127.0.0.1:1/oauth2/token")
                .proven(&key)
                .unwrap()
        };
        assert_ne!(call().headers, call().headers);
    }
}
