//! How a request can end without what was asked for. The three outcomes are kept apart here as they
//! are in the broker: known to be refused, impossible, and not known.

use std::time::Duration;

use super::super::text::plain;
use super::super::{CliError, Refused};
use crate::error::Code;
use crate::outbound::{OutboundError, Response};

/// Why there is no answer to go on with.
#[derive(Debug)]
pub(in crate::cli) enum Failed {
    /// The broker said no, and why.
    Refused(Box<Refused>),
    /// There is nothing to show to the broker, and asking again does not change it.
    NoEvidence(String),
    /// Nobody said no: ask again.
    Unknown {
        what: String,
        retry_after: Option<Duration>,
        /// The broker wants to see fresh evidence with the next try (`context_unavailable`).
        fresh: bool,
    },
    /// Something on this machine.
    Local(CliError),
}

/// An error document of either surface: RFC 6749 §5.2 with the broker's members, or RFC 9457.
#[derive(serde::Deserialize)]
struct Document {
    error: Option<String>,
    error_description: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    field: Option<String>,
    denial_id: Option<String>,
}

impl Failed {
    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self::Unknown {
            what: what.into(),
            retry_after: None,
            fresh: false,
        }
    }

    /// A call that brought no answer.
    pub(super) fn unanswered(whom: &str, error: &OutboundError) -> Self {
        match error {
            OutboundError::Refused(_) | OutboundError::Redirect | OutboundError::TooLarge => {
                Self::Local(CliError::Broken(format!("{whom}: {error}")))
            }
            OutboundError::Open(time) => Self::Unknown {
                what: format!("{whom} failed repeatedly"),
                retry_after: Some(*time),
                fresh: false,
            },
            OutboundError::Unreachable
            | OutboundError::TimedOut
            | OutboundError::NotJson
            | OutboundError::Status(_) => Self::unknown(format!("{whom}: {error}")),
        }
    }

    /// An answer of the broker that is no success. Only the broker's own word is a refusal: an error
    /// page of something in between is not.
    pub(super) fn answered(response: &Response) -> Self {
        let status = response.status.as_u16();
        let retry_after = retry_after(response);
        let document: Option<Document> = serde_json::from_slice(&response.body).ok();
        let Some(document) = document.filter(|d| d.code.is_some() || d.error.is_some()) else {
            return Self::Unknown {
                what: format!("the broker's address answered with status {status}"),
                retry_after,
                fresh: false,
            };
        };
        let code = document.code.or(document.error).map(|text| plain(&text));
        let refused = Refused {
            status,
            title: None,
            detail: document
                .error_description
                .or(document.detail)
                .map(|text| plain(&text)),
            field: document.field.map(|text| plain(&text)),
            denial_id: document.denial_id.map(|text| plain(&text)),
            retry_after: None,
            code,
        };
        if matches!(status, 408 | 425 | 429 | 500..) {
            let fresh = refused.code.as_deref() == Some(Code::ContextUnavailable.as_str());
            return Self::Unknown {
                what: refused.to_string(),
                retry_after,
                fresh,
            };
        }
        Self::Refused(Box::new(refused))
    }

    /// Whether the broker refused with this code.
    pub(super) fn is(&self, code: Code) -> bool {
        matches!(self, Self::Refused(refused) if refused.code.as_deref() == Some(code.as_str()))
    }
}

impl From<Failed> for CliError {
    fn from(failed: Failed) -> Self {
        if failed.is(Code::ProfileAmbiguous) {
            return Self::Usage(
                "several profiles take this job; name one with --profile".to_owned(),
            );
        }
        match failed {
            Failed::Refused(refused) => Self::Refused(refused),
            Failed::NoEvidence(what) | Failed::Unknown { what, .. } => Self::Unanswered(what),
            Failed::Local(error) => error,
        }
    }
}

/// Whole seconds only (RFC 9110 §10.2.3); a date would need the other side's clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers.get(http::header::RETRY_AFTER)?;
    let seconds = text.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode, header};

    use super::*;
    use crate::domain::time::Timestamp;

    fn answered(status: u16, body: &'static str) -> Failed {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        Failed::answered(&Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            asked: Timestamp::EPOCH,
        })
    }

    #[test]
    fn a_refusal_keeps_its_code_field_and_id() {
        let failed = answered(
            400,
            r#"{"error":"invalid_grant","code":"context_ended","field":"job.status","denial_id":"dn-1-2"}"#,
        );
        assert!(failed.is(Code::ContextEnded));
        let text = CliError::from(failed).to_string();
        for wanted in ["denied", "context_ended", "job.status", "dn-1-2"] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }

    #[test]
    fn what_the_broker_does_not_know_is_asked_again_when_it_said() {
        let failed = answered(503, r#"{"code":"context_unavailable"}"#);
        let Failed::Unknown {
            retry_after, fresh, ..
        } = failed
        else {
            panic!("{failed:?}");
        };
        assert_eq!((retry_after, fresh), (Some(Duration::from_secs(7)), true));
        for status in [429, 500] {
            let failed = answered(status, r#"{"code":"overloaded"}"#);
            assert!(
                matches!(failed, Failed::Unknown { fresh: false, .. }),
                "{failed:?}"
            );
        }
    }

    #[test]
    fn an_error_page_of_a_proxy_refuses_nothing() {
        for (status, body) in [(403, "<html>no</html>"), (400, "{}"), (401, "")] {
            let failed = answered(status, body);
            assert!(matches!(failed, Failed::Unknown { .. }), "{failed:?}");
        }
    }

    #[test]
    fn a_refusal_cannot_command_the_terminal() {
        let failed = answered(
            400,
            "{\"code\":\"policy_denied\",\"error_description\":\"a\\u001b[2J\"}",
        );
        assert!(!CliError::from(failed).to_string().contains('\u{1b}'));
    }
}
