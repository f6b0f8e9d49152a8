//! `authorization_details` of a request (RFC 9396 §2): a list of one `writ_task`, which names the task.
//! Whatever else is said there is refused, as §5 wants it: what is not understood is not granted.

use serde::Deserialize;

use crate::domain::details::TASK;
use crate::domain::name::TaskName;
use crate::error::{Code, Error};
use crate::surface::http::form::Form;
use crate::surface::http::oauth::DETAILS;

/// The task that the request names, if it names one.
pub(super) fn task(form: &Form) -> Result<Option<TaskName>, Error> {
    let Some(text) = form.one(DETAILS)? else {
        return Ok(None);
    };
    if text.len() > LONGEST {
        return Err(invalid("it is too long"));
    }
    let details: Vec<Detail> = serde_json::from_str(text)
        .map_err(|_| invalid("it is not a list of objects with `type` and `task`"))?;
    match details.as_slice() {
        [Detail { kind, task }] if kind == TASK => match task.parse() {
            Ok(name) => Ok(Some(name)),
            Err(_) => Err(invalid("`task` is not the name of a task")),
        },
        [Detail { .. }] => Err(invalid("only the type `writ_task` is served")),
        [] | [_, _, ..] => Err(invalid("a token is for one task")),
    }
}

/// A renewal keeps the task that its session has.
pub(super) fn none(form: &Form) -> Result<(), Error> {
    match form.one(DETAILS)? {
        None => Ok(()),
        Some(_) => Err(invalid("a renewal keeps its task")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(rename = "type")]
    kind: String,
    task: String,
}

fn invalid(why: &'static str) -> Error {
    Error::new(Code::AuthorizationDetailsInvalid, why).with_field(DETAILS)
}

/// One name of a task, generously.
const LONGEST: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn read(details: &str) -> Result<Option<TaskName>, Error> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, kind);
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(DETAILS, details)
            .finish();
        task(&Form::parse(&headers, body.as_bytes())?)
    }

    #[test]
    fn one_task_is_named_and_nothing_is_passed_over() {
        let named = read(r#"[{"type":"writ_task","task":"desk/case/4711"}]"#).unwrap();
        assert_eq!(named.unwrap().as_str(), "desk/case/4711");
        assert_eq!(read("").unwrap(), None);
        let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
        let huge = format!(
            r#"[{{"type":"writ_task","task":"desk/case/{}"}}]"#,
            "1".repeat(5_000)
        );
        for bad in [
            deep.as_str(),
            huge.as_str(),
            "[]",
            "{}",
            "null",
            "x",
            r#"{"type":"writ_task","task":"desk/case/4711"}"#,
            r#"[{"type":"writ_task"}]"#,
            r#"[{"task":"desk/case/4711"}]"#,
            r#"[{"type":"payment","task":"desk/case/4711"}]"#,
            r#"[{"type":"Writ_task","task":"desk/case/4711"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/4711","account":"AC-1"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/1","task":"desk/case/2"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/1"},{"type":"writ_task","task":"desk/case/2"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/../4711"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/%2e%2e"}]"#,
            r#"[{"type":"writ_task","task":"desk/case/4711 "}]"#,
            r#"[{"type":"writ_task","task":4711}]"#,
            r#"[{"type":"writ_task","task":"desk/case/4711"}] x"#,
        ] {
            let refused = read(bad).unwrap_err();
            let told = (refused.code(), refused.field());
            assert_eq!(
                told,
                (Code::AuthorizationDetailsInvalid, Some(DETAILS)),
                "{bad}"
            );
        }
    }
}
