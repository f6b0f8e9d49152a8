//! From the bytes of an operator's request to values.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use utoipa::ToSchema;

use super::failed::Failed;
use super::gate::Operator;
use crate::broker::open::Opened;
use crate::broker::revoke::{Order, TaskRef};
use crate::domain::condition::{Condition, RawCondition};
use crate::domain::ids::BadId;
use crate::domain::name::BadName;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};
use crate::surface::http::form::media_type;

/// The text names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTaskRef {
    #[error("{0}; a name has slashes, as in github/812345/99001/1")]
    Id(#[from] BadId),
    #[error("{0}")]
    Name(#[from] BadName),
}

/// A body of JSON.
pub(super) struct Sent<T>(pub(super) T);

/// A body of JSON, or none at all.
pub(super) struct SentOrNot<T>(pub(super) T);

/// What an operator opens, and for whom.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "task": "desk/case/4711", "profile": "support",
    "agent": "spiffe://writ.example/agent/triage", "reason": "on call",
}))]
pub(super) struct Opening {
    task: String,
    profile: String,
    /// Its SPIFFE ID.
    agent: String,
    reason: Option<String>,
}

/// Why something is ordered.
#[derive(Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "token in a public log" }))]
pub(super) struct Reason {
    reason: Option<String>,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let kind = media_type(request.headers()).to_owned();
        let body = whole(request, state).await?;
        Ok(Self(json(&kind, &body)?))
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for SentOrNot<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let kind = media_type(request.headers()).to_owned();
        let body = whole(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        Ok(Self(json(&kind, &body)?))
    }
}

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    let body = Bytes::from_request(request, state).await;
    body.map_err(|_| malformed("the body was cut off".to_owned(), "body"))
}

/// A task by its id or by its external name. A name has a slash and an id has none, so that neither
/// can be taken for the other.
pub fn task_ref(text: &str) -> Result<TaskRef, BadTaskRef> {
    if text.contains('/') {
        return Ok(TaskRef::Name(text.parse()?));
    }
    Ok(TaskRef::Id(text.parse()?))
}

/// Parses one text of a request.
pub(super) fn parse<T>(text: &str, field: &str) -> Result<T, Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse()
        .map_err(|e: T::Err| malformed(e.to_string(), field))
}

/// A condition with its times in full.
pub(super) fn condition(raw: &RawCondition, now: Timestamp) -> Result<Condition, Error> {
    raw.at(now)
        .map_err(|bad| malformed(bad.to_string(), "where"))
}

/// Reads a JSON body.
fn json<T: DeserializeOwned>(kind: &str, body: &[u8]) -> Result<T, Error> {
    if !kind.eq_ignore_ascii_case("application/json") {
        let what = "the body has to be application/json";
        return Err(malformed(what.to_owned(), "body"));
    }
    // A list would be read as the members of an object, in their order and without their names.
    if body
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{')
    {
        return Err(malformed("the body has to be an object".to_owned(), "body"));
    }
    serde_json::from_slice(body).map_err(|e| malformed(unread(&e), "body"))
}

/// Why a body cannot be read: which member, and never what was in it.
fn unread(error: &serde_json::Error) -> String {
    if error.classify() != Category::Data {
        let (line, column) = (error.line(), error.column());
        return format!("the body is no JSON, at line {line} column {column}");
    }
    let text = error.to_string();
    let text = match (text.split_once(": "), text.rfind(", expected")) {
        (Some((what @ ("invalid type" | "invalid value"), _)), Some(at)) => {
            format!("{what}{}", text.get(at..).unwrap_or_default())
        }
        _ => text,
    };
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    format!("the body: {text}")
}

/// Who orders, and the reason, if there is one.
pub(super) fn order(operator: &Operator, told: Reason) -> Result<Order, Error> {
    order_for(operator, told.reason)
}

/// What an operator opens, and for whom.
pub(super) fn opening(operator: &Operator, raw: Opening) -> Result<(Opened, Order), Error> {
    let opened = Opened {
        task: parse(&raw.task, "task")?,
        profile: parse(&raw.profile, "profile")?,
        agent: parse(&raw.agent, "agent")?,
    };
    Ok((opened, order_for(operator, raw.reason)?))
}

/// Who orders, for this reason.
pub(super) fn order_for(operator: &Operator, reason: Option<String>) -> Result<Order, Error> {
    if let Some(reason) = &reason
        && (reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control))
    {
        let what =
            format!("a reason has at most {LONGEST_REASON} characters and no control characters");
        return Err(malformed(what, "reason"));
    }
    Ok(Order {
        by: operator.as_str().to_owned(),
        reason,
        repeat: None,
    })
}

/// Who orders, where no reason is asked for.
pub(super) fn plain_order(operator: &Operator) -> Order {
    Order {
        by: operator.as_str().to_owned(),
        reason: None,
        repeat: None,
    }
}

pub(super) fn malformed(what: String, field: &str) -> Error {
    Error::new(Code::RequestMalformed, what).with_field(field)
}

/// It is kept in the audit log for good.
const LONGEST_REASON: usize = 512;

/// Of what is told about a body; the name of an unknown member is whatever was sent.
const LONGEST_TEXT: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::surface::http::admin::users::Users;
    use crate::surface::http::peer::Peer;
    use crate::surface::socket::Caller;

    const ID: &str = "task_018f2b3c4d5e7f60a1b2c3d4e5f60718";

    fn operator() -> Operator {
        let root = Caller {
            uid: 0,
            gid: 0,
            pid: None,
        };
        let users = Users::new(0, &BTreeSet::new(), "");
        Operator::local(&users, &Peer::Unix(root)).unwrap()
    }

    #[test]
    fn a_task_is_named_by_its_id_or_its_name_and_nothing_else() {
        assert!(matches!(task_ref(ID), Ok(TaskRef::Id(_))));
        let name = task_ref("github/812345/99001/1");
        assert!(matches!(name, Ok(TaskRef::Name(_))));
        // A source may be called like the prefix of an id.
        assert!(matches!(task_ref("task_x/1"), Ok(TaskRef::Name(_))));
        for bad in [
            "",
            "github",
            "task_1",
            "cred_018f",
            "/1",
            "github/..",
            "*",
            "github/*",
        ] {
            assert!(task_ref(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_reason_is_bounded_and_cannot_start_a_log_line() {
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(513));
        for bad in [
            long.as_str(),
            r#"{"reason":"a\nb"}"#,
            r#"{"resaon":"a"}"#,
            "[]",
            "{",
        ] {
            let told = json("application/json", bad.as_bytes());
            let refused = told.and_then(|told| order(&operator(), told)).unwrap_err();
            assert_eq!(refused.code(), Code::RequestMalformed, "{bad}");
        }
    }

    /// A68: whoever puts a secret into the wrong place does not find it in an error.
    #[test]
    fn a68_what_cannot_be_read_is_not_repeated() {
        for bad in [
            r#"{"at_once":"canary-1"}"#,
            r#"{"at_once":true} canary-1"#,
            r#"{"at_once":canary-1}"#,
            r#""canary-1, expected""#,
        ] {
            let told = json::<crate::surface::http::admin::keys::KeyStep>(
                "application/json",
                bad.as_bytes(),
            );
            let refused = told.unwrap_err();
            assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
        }
        let long = format!(r#"{{"{}":1}}"#, "x".repeat(100_000));
        let refused = json::<Reason>("application/json", long.as_bytes()).err();
        assert!(refused.unwrap().public().len() < 2 * LONGEST_TEXT);
    }

    #[test]
    fn an_order_has_its_reason_or_none() {
        let given = order(&operator(), Reason::default()).unwrap();
        assert_eq!((given.by.as_str(), given.reason), ("uid:0", None));
        let told = json("application/json", br#"{"reason":"leaked"}"#).unwrap();
        let given = order(&operator(), told).unwrap();
        assert_eq!(given.reason.as_deref(), Some("leaked"));
        assert!(json::<Reason>("text/plain", b"{}").is_err());
    }
}
