//! A desk as a source that is asked: one case, one JSON document. The document has to carry the id that
//! was asked for; a word for the status that the configuration does not know, or a document of another
//! shape, says nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::attest::strict_json::Object;
use crate::context::desk::{CaseMapping, Found, Pointer};
use crate::context::rest::{RestApi, absent, unknown_status};
use crate::context::{ContextSource, Reading, Unreadable};
use crate::domain::case::Case;
use crate::domain::context::{Locator, Record, RecordKey, RecordKind};
use crate::domain::time::Timestamp;
use crate::outbound::OutboundError;

/// A desk's API.
pub struct JsonDesk {
    rest: RestApi,
    mapping: CaseMapping,
    seen: Mutex<HashMap<RecordKey, Seen>>,
}

/// What a case was, and the tag by which its desk says that it still is.
#[derive(Clone)]
struct Seen {
    tag: HeaderValue,
    reading: Reading,
}

impl ContextSource for JsonDesk {
    fn read<'a>(
        &'a self,
        record: &'a RecordKey,
        _: &'a Locator,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reading, Unreadable>> {
        Box::pin(async move {
            match record.kind {
                RecordKind::Case if self.mapping.covers(&record.id) => {}
                // It is not this desk's to say anything about.
                RecordKind::Case => return Ok(absent()),
                RecordKind::Pipeline | RecordKind::Job | RecordKind::Environment => {
                    return Err(Unreadable(format!("{record}: a desk has only cases")));
                }
            }
            self.ask(record, now).await
        })
    }
}

impl JsonDesk {
    pub fn new(rest: RestApi, mapping: CaseMapping) -> Self {
        Self {
            rest,
            mapping,
            seen: Mutex::new(HashMap::new()),
        }
    }

    async fn ask(&self, record: &RecordKey, now: Timestamp) -> Result<Reading, Unreadable> {
        let path = format!("{}{}", self.rest.root, self.mapping.path.of(&record.id));
        let seen = self.seen().get(record).cloned();
        let mut headers = HeaderMap::new();
        if let Some(seen) = &seen {
            headers.insert(header::IF_NONE_MATCH, seen.tag.clone());
        }
        let answer = match self.rest.peer.get(&path, headers, now.plus(DEADLINE)).await {
            Ok(answer) => answer,
            Err(OutboundError::Status(404 | 410)) => {
                self.seen().remove(record);
                return Ok(absent());
            }
            Err(why) => return Err(Unreadable(format!("{record}: {why}"))),
        };
        // The peer hands on a 304 only where a tag was sent.
        if let (true, Some(seen)) = (answer.not_modified(), seen) {
            return Ok(seen.reading);
        }
        let reading = read_case(&answer.body, record, &self.mapping)?;
        if let Some(tag) = answer.etag() {
            let tag = tag.clone();
            let reading = reading.clone();
            self.remember(record, Seen { tag, reading });
        }
        Ok(reading)
    }

    fn remember(&self, record: &RecordKey, new: Seen) {
        let mut seen = self.seen();
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        seen.insert(record.clone(), new);
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<RecordKey, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_case(
    body: &[u8],
    record: &RecordKey,
    mapping: &CaseMapping,
) -> Result<Reading, Unreadable> {
    let document = Object::parse(body).map_err(|_| unfit(record, "the document"))?;
    let document = document.into_value();
    let id = must(&document, &mapping.id, record, "the id")?;
    if id != record.id {
        return Ok(absent());
    }
    let word = must(&document, &mapping.status.at, record, "the status")?;
    let status = mapping.status.words.get(&word);
    let status = *status.ok_or_else(|| unknown_status(record))?;
    let mut fields = BTreeMap::new();
    for (name, field) in &mapping.fields {
        match field.at.find(&document) {
            Found::Text(text) => drop(fields.insert(name.clone(), text)),
            Found::Nothing => {}
            Found::Unfit => return Err(unfit(record, name)),
        }
    }
    let version = match &mapping.version {
        Some(pointer) => Some(version(&document, pointer, record)?),
        None => None,
    };
    let case = Case {
        status,
        assignee: fields.remove("assignee"),
        account: fields.remove("account"),
        more: fields,
    };
    Ok(Reading {
        record: Some(Record::Case(case)),
        version,
    })
}

fn must(
    document: &Value,
    pointer: &Pointer,
    record: &RecordKey,
    what: &str,
) -> Result<String, Unreadable> {
    match pointer.find(document) {
        Found::Text(text) => Ok(text),
        Found::Nothing | Found::Unfit => Err(unfit(record, what)),
    }
}

/// A number, or a time of RFC 3339, as a text that grows as it does.
fn version(document: &Value, pointer: &Pointer, record: &RecordKey) -> Result<String, Unreadable> {
    let text = must(document, pointer, record, "the version")?;
    let number = text.parse::<u64>().ok().map(u128::from);
    let grows = number.or_else(|| {
        let at = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
        u128::try_from(at.unix_timestamp_nanos()).ok()
    });
    let grows = grows.ok_or_else(|| unfit(record, "the version"))?;
    Ok(format!("{grows:039}"))
}

fn unfit(record: &RecordKey, what: &str) -> Unreadable {
    Unreadable(format!(
        "{record}: {what} is not where and what it should be"
    ))
}

const DEADLINE: Duration = Duration::from_secs(5);

/// Cases whose tag is remembered; without one, a case is read whole.
const MOST_SEEN: usize = 10_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::desk::{FieldMapping, StatusMapping};
    use crate::domain::case::CaseStatus;

    fn mapping() -> CaseMapping {
        let field = |at: &str| FieldMapping {
            at: at.parse().unwrap(),
            writable_by: None,
        };
        CaseMapping {
            path: "/tickets/{id}".parse().unwrap(),
            id_prefixes: ["HD-".to_owned()].into(),
            id: "/id".parse().unwrap(),
            version: Some("/updated".parse().unwrap()),
            status: StatusMapping {
                at: "/status/name".parse().unwrap(),
                words: [
                    ("Open", CaseStatus::Open),
                    ("Waiting", CaseStatus::Pending),
                    ("Done", CaseStatus::Closed),
                    ("Merged", CaseStatus::Final),
                ]
                .map(|(word, status)| (word.to_owned(), status))
                .into(),
            },
            fields: [
                ("assignee", field("/owner/id")),
                ("account", field("/customer")),
                ("queue", field("/queue")),
            ]
            .map(|(name, field)| (name.to_owned(), field))
            .into(),
        }
    }

    fn document() -> Value {
        json!({
            "id": "HD-7", "status": { "name": "Open" }, "owner": { "id": 17 },
            "customer": "AC-9", "queue": "billing", "updated": "2026-11-22T05:00:00+01:00",
        })
    }

    fn read(document: &Value) -> Result<Reading, Unreadable> {
        let record = RecordKey {
            source: "desk".parse().unwrap(),
            kind: RecordKind::Case,
            id: "HD-7".to_owned(),
        };
        read_case(document.to_string().as_bytes(), &record, &mapping())
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = value;
        document
    }

    #[test]
    fn a_case_is_read_where_the_pointers_lead() {
        let case = read(&document()).unwrap().record.unwrap();
        let fields: Vec<_> = case.fields().into_iter().collect();
        let expected = [
            ("account", "AC-9"),
            ("assignee", "17"),
            ("queue", "billing"),
            ("status", "open"),
        ];
        assert_eq!(fields, expected);
        let nobody = read(&with("/owner", Value::Null)).unwrap().record.unwrap();
        assert_eq!(nobody.field("assignee"), None);
    }

    #[test]
    fn a_document_of_another_case_is_no_document_of_this_one() {
        for other in ["HD-8", "hd-7", "HD-7 ", "HD-07"] {
            let found = read(&with("/id", other.into())).unwrap();
            assert_eq!(found, absent(), "{other:?}");
        }
    }

    #[test]
    fn an_unknown_status_or_another_shape_says_nothing() {
        for unreadable in [
            with("/status/name", "open".into()),
            with("/status/name", "Open ".into()),
            with("/status/name", Value::Null),
            with("/status", json!("Open")),
            with("/id", Value::Null),
            with("/owner", json!({})),
            with("/customer", json!(["AC-9"])),
            with("/updated", "yesterday".into()),
            with("/updated", json!(-1)),
            json!([]),
            json!("HD-7"),
        ] {
            assert!(read(&unreadable).is_err(), "{unreadable}");
        }
        let record = RecordKey {
            source: "desk".parse().unwrap(),
            kind: RecordKind::Case,
            id: "HD-7".to_owned(),
        };
        let twice = document()
            .to_string()
            .replace("\"id\":\"HD-7\"", "\"id\":\"HD-7\",\"id\":\"HD-7\"");
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for unreadable in [twice.as_str(), deep.as_str(), "", "{", "<html>"] {
            read_case(unreadable.as_bytes(), &record, &mapping()).unwrap_err();
        }
    }

    #[test]
    fn versions_grow_as_times_and_numbers_do() {
        let version = |value: Value| read(&with("/updated", value)).unwrap().version.unwrap();
        assert!(version(json!(9)) < version(json!(10)));
        assert!(version("2026-11-22T05:00:00Z".into()) < version("2026-11-22T05:00:00.1Z".into()));
        assert!(
            version("2026-11-22T05:00:00+01:00".into()) < version("2026-11-22T04:30:00Z".into())
        );
    }
}
