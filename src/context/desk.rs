//! What is told of a desk: a ticket system, or whatever else shows its cases as JSON documents. Where a
//! case is, where its fields lie in the document, and what its own words for a status mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::context::rest::escape;
use crate::context::settings::{ApiSettings, HookSecret};
use crate::domain::case::CaseStatus;
use crate::domain::grant::Audience;
use crate::domain::name::{CaseId, SourceName};

/// A desk.
#[derive(Debug, Clone)]
pub struct DeskSettings {
    pub name: SourceName,
    pub api: ApiSettings,
    /// How the API is shown its token.
    pub scheme: TokenScheme,
    pub case: CaseMapping,
    pub hook: Option<DeskHookSettings>,
}

/// How a desk tells of changes.
#[derive(Debug, Clone)]
pub struct DeskHookSettings {
    /// Any of these may have signed; several while one replaces another.
    pub secrets: Vec<HookSecret>,
    /// Where the body names the case.
    pub case: Pointer,
}

/// What stands before the token in `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScheme {
    /// RFC 7617: the token is `user:password`, and is sent in base64.
    Basic,
    /// `Bearer`, or the vendor's own word.
    Word(String),
}

/// Where a case is, and what of it is read.
#[derive(Debug, Clone)]
pub struct CaseMapping {
    pub path: CasePath,
    /// What the desk's ids begin with; empty: with anything.
    pub id_prefixes: BTreeSet<String>,
    pub id: Pointer,
    pub version: Option<Pointer>,
    pub status: StatusMapping,
    /// By the name that profiles and policies know it under.
    pub fields: BTreeMap<String, FieldMapping>,
}

/// What the desk's words for a status mean. A word that is not here says nothing.
#[derive(Debug, Clone)]
pub struct StatusMapping {
    pub at: Pointer,
    pub words: BTreeMap<String, CaseStatus>,
}

/// One field of a case.
#[derive(Debug, Clone)]
pub struct FieldMapping {
    pub at: Pointer,
    /// Who can write it at the desk; `None` where nobody has said.
    pub writable_by: Option<BTreeSet<Writer>>,
}

/// Who can write a field: every workload of an issuer, or whoever has a token for a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    Source(SourceName),
    Token(Audience),
}

/// The path of a case below the API's root, with `{id}` where its id goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CasePath {
    before: String,
    after: String,
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

/// The text is no pointer or path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    #[error("a JSON pointer begins with a slash, as in /fields/status/name")]
    Pointer,
    #[error("a path begins with a slash and holds {{id}} once, as in /tickets/{{id}}")]
    Path,
}

/// What lies where a pointer leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Text(String),
    /// `null`, there or on the way there, or an empty text: the document says that there is none.
    Nothing,
    /// No such member, or no plain value: the document is not what it was taken for.
    Unfit,
}

impl CaseMapping {
    /// Whether the desk is asked about this id, and believed.
    pub fn covers(&self, id: &str) -> bool {
        let prefixes = &self.id_prefixes;
        prefixes.is_empty() || prefixes.iter().any(|prefix| id.starts_with(prefix))
    }

    /// The id of a case, if a text is one that this desk is asked about.
    pub fn case_id(&self, text: &str) -> Option<CaseId> {
        text.parse().ok().filter(|_| self.covers(text))
    }
}

impl CasePath {
    /// The path of one case.
    pub fn of(&self, id: &str) -> String {
        format!("{}{}{}", self.before, escape(id), self.after)
    }
}

impl Pointer {
    pub fn find(&self, document: &Value) -> Found {
        let mut here = document;
        for member in self.0.split('/').skip(1) {
            if here.is_null() {
                return Found::Nothing;
            }
            let member = member.replace("~1", "/").replace("~0", "~");
            let next = match here {
                Value::Object(members) => members.get(&member),
                Value::Array(items) => index(&member).and_then(|index| items.get(index)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            let Some(next) = next else {
                return Found::Unfit;
            };
            here = next;
        }
        match here {
            Value::Null => Found::Nothing,
            Value::String(text) if text.is_empty() => Found::Nothing,
            Value::String(text) if is_line(text) => Found::Text(text.clone()),
            Value::Number(number) => Found::Text(number.to_string()),
            Value::Bool(yes) => Found::Text(yes.to_string()),
            Value::String(_) | Value::Array(_) | Value::Object(_) => Found::Unfit,
        }
    }
}

/// An index of an array (RFC 6901 §4): no sign and no leading zero.
fn index(member: &str) -> Option<usize> {
    let digits = !member.is_empty() && member.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (member == "0" || !member.starts_with('0'));
    plain.then(|| member.parse().ok()).flatten()
}

/// What can be compared, shown in one line and kept in the log.
fn is_line(text: &str) -> bool {
    text.chars().count() <= LONGEST_VALUE && !text.chars().any(char::is_control)
}

impl FromStr for Pointer {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let escapes = text.split('~').skip(1);
        let sound = escapes
            .into_iter()
            .all(|after| after.starts_with(['0', '1']));
        if text.starts_with('/') && sound && text.len() <= LONGEST_PLACE {
            return Ok(Self(text.to_owned()));
        }
        Err(BadPlace::Pointer)
    }
}

impl FromStr for CasePath {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let (before, after) = text.split_once("{id}").ok_or(BadPlace::Path)?;
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b'%' | b'\\' | b'#');
        let whole = before.starts_with('/') && text.len() <= LONGEST_PLACE;
        let sound = before.bytes().chain(after.bytes()).all(plain);
        let walks = text
            .split(['/', '?'])
            .any(|part| matches!(part, "." | ".."));
        if whole && sound && !walks && !before.contains("//") && !after.contains("//") {
            return Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            });
        }
        Err(BadPlace::Path)
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => write!(f, "{source}"),
            Self::Token(audience) => f.write_str(audience.as_str()),
        }
    }
}

const LONGEST_PLACE: usize = 512;

/// Characters of a value that is compared: an id, an address, a word.
const LONGEST_VALUE: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(pointer: &str, document: &Value) -> Found {
        pointer.parse::<Pointer>().unwrap().find(document)
    }

    #[test]
    fn a_pointer_tells_an_empty_field_from_a_document_of_another_shape() {
        let document = json!({
            "id": 7, "on": true, "a/b": { "~": "x" }, "list": [{ "k": "v" }],
            "assignee": null, "account": "", "long": "x".repeat(257), "two": "a\nb",
        });
        for (pointer, text) in [
            ("/id", "7"),
            ("/on", "true"),
            ("/a~1b/~0", "x"),
            ("/list/0/k", "v"),
        ] {
            assert_eq!(
                find(pointer, &document),
                Found::Text(text.to_owned()),
                "{pointer}"
            );
        }
        for nothing in ["/assignee", "/assignee/id/deep", "/account"] {
            assert_eq!(find(nothing, &document), Found::Nothing, "{nothing}");
        }
        for unfit in [
            "/",
            "/assigned",
            "/id/x",
            "/list",
            "/list/1/k",
            "/list/00/k",
            "/long",
            "/two",
        ] {
            assert_eq!(find(unfit, &document), Found::Unfit, "{unfit}");
        }
        for bad in ["", "id", "/a~2", "/a~", "#/id"] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn an_id_stays_in_its_place_in_the_path() {
        let path: CasePath = "/api/tickets/{id}/?full=1".parse().unwrap();
        assert_eq!(path.of("4711"), "/api/tickets/4711/?full=1");
        assert_eq!(path.of("a/../b?c"), "/api/tickets/a%2F..%2Fb%3Fc/?full=1");
        assert_eq!(path.of(".."), "/api/tickets/%2E%2E/?full=1");
        for bad in [
            "",
            "{id}",
            "/tickets",
            "/{id}/{id}",
            "/../{id}",
            "/a//{id}",
            "/{id}#x",
            "/%2e/{id}",
        ] {
            assert!(bad.parse::<CasePath>().is_err(), "{bad:?} was taken");
        }
    }
}
