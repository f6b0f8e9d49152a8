//! From the bytes of an operator's request to values.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gate::Operator;
use crate::broker::open::Opened;
use crate::broker::revoke::{Order, TaskRef};
use crate::domain::condition::{Condition, RawCondition};
use crate::domain::ids::BadId;
use crate::domain::name::BadName;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};

/// The text names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTaskRef {
    #[error("{0}; a name has slashes, as in github/812345/99001/1")]
    Id(#[from] BadId),
    #[error("{0}")]
    Name(#[from] BadName),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOpening {
    task: String,
    profile: String,
    agent: String,
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawOrder {
    reason: Option<String>,
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

/// Reads a JSON body, whatever its content type says.
pub(super) fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|e| malformed(format!("the body: {e}"), "body"))
}

/// Reads a JSON body that may be left out.
pub(super) fn json_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Error> {
    if body.is_empty() {
        return Ok(T::default());
    }
    json(body)
}

/// Who orders, and the reason in the body, if there is one.
pub(super) fn order(operator: &Operator, body: &Bytes) -> Result<Order, Error> {
    let raw: RawOrder = json_or_default(body)?;
    order_for(operator, raw.reason)
}

/// What an operator opens, and for whom.
pub(super) fn opening(operator: &Operator, body: &Bytes) -> Result<(Opened, Order), Error> {
    let raw: RawOpening = json(body)?;
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
    })
}

/// Who orders, where no reason is asked for.
pub(super) fn plain_order(operator: &Operator) -> Order {
    Order {
        by: operator.as_str().to_owned(),
        reason: None,
    }
}

pub(super) fn malformed(what: String, field: &str) -> Error {
    Error::new(Code::RequestMalformed, what).with_field(field)
}

/// It is kept in the audit log for good.
const LONGEST_REASON: usize = 512;

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
            let refused = order(&operator(), &Bytes::from(bad.to_owned())).unwrap_err();
            assert_eq!(refused.code(), Code::RequestMalformed, "{bad}");
        }
    }

    #[test]
    fn no_body_is_an_order_without_a_reason() {
        let given = order(&operator(), &Bytes::new()).unwrap();
        assert_eq!((given.by.as_str(), given.reason), ("uid:0", None));
        let given = order(&operator(), &Bytes::from_static(br#"{"reason":"leaked"}"#)).unwrap();
        assert_eq!(given.reason.as_deref(), Some("leaked"));
    }
}
