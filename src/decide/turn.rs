//! What would turn a decision: each thing that it rests on is changed by itself, and the policies are asked again.
//! Nothing is concluded from the text of a policy; what is told has been decided.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::decide::asked::Asked;
use crate::decide::engine::{PolicySet, Verdict};
use crate::decide::load::{self, PolicyError, PolicySource};
use crate::domain::case::CaseStatus;
use crate::domain::context::{RecordKind, RunStatus};
use crate::domain::profile::Allowance;

/// One change that makes a permit of a denial, or a denial of a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// As in `case.status`, `claims.ref`, `request.key_bound`.
    pub field: String,
    /// What it is; none where it is absent.
    pub from: Option<String>,
    /// What it would have to be; none: absent.
    pub to: Option<String>,
    pub verdict: Verdict,
}

/// A question that differs in one thing.
struct Other {
    field: String,
    from: Option<String>,
    to: Option<String>,
    document: Value,
}

/// What policies compare things with.
#[derive(Default)]
struct Words {
    plain: BTreeSet<String>,
    /// By claim, the values that selectors name.
    claims: BTreeMap<String, BTreeSet<String>>,
    profiles: BTreeSet<String>,
}

/// Everything that would turn the decision by itself, a few for each field.
///
/// # Errors
/// The policies do not load.
pub fn turns(
    asked: &Asked,
    policies: &PolicySet,
    sources: &[PolicySource],
) -> Result<Vec<Turn>, PolicyError> {
    let words = Words::of(sources)?;
    let now = asked.judged_by(policies).is_permitted();
    let document = serde_json::to_value(asked).unwrap_or_default();
    let mut found: Vec<Turn> = Vec::new();
    for other in others(&document, &words).into_iter().take(MOST_ASKED) {
        let Ok(asked) = serde_json::from_value::<Asked>(other.document) else {
            continue;
        };
        let verdict = asked.judged_by(policies);
        if verdict.is_permitted() == now {
            continue;
        }
        let told = found.iter().filter(|turn| turn.field == other.field);
        if told.count() < MOST_TOLD {
            found.push(Turn {
                field: other.field,
                from: other.from,
                to: other.to,
                verdict,
            });
        }
    }
    Ok(found)
}

impl Words {
    fn of(sources: &[PolicySource]) -> Result<Self, PolicyError> {
        let mut words = Self::default();
        for rule in load::rules(&load::schema()?, sources)? {
            let mut left = vec![&rule.form];
            while let Some(value) = left.pop() {
                match value {
                    Value::Array(items) => left.extend(items),
                    Value::Object(fields) => {
                        words.take(fields);
                        left.extend(fields.values());
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        Ok(words)
    }

    fn take(&mut self, fields: &Map<String, Value>) {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        self.plain.extend(text("Value").map(str::to_owned));
        // Of a pattern, what it has to have.
        if let Some(Value::Array(pattern)) = fields.get("pattern") {
            let parts = pattern
                .iter()
                .filter_map(|part| part.get("Literal")?.as_str());
            self.plain.insert(parts.collect());
        }
        match (text("type"), text("id")) {
            (Some("Writ::Selector"), Some(id)) => {
                let mut parts = id.splitn(3, ':').skip(1);
                if let (Some(claim), Some(value)) = (parts.next(), parts.next()) {
                    let values = self.claims.entry(claim.to_owned()).or_default();
                    values.insert(value.to_owned());
                }
            }
            (Some("Writ::Profile"), Some(id)) => {
                self.profiles.insert(id.to_owned());
            }
            _ => {}
        }
    }

    /// The values that a field of a text may be given: known ones, and one that no policy names.
    fn values(&self) -> Vec<Option<String>> {
        let known = self.plain.iter().take(MOST_WORDS).cloned().map(Some);
        [None, Some(OTHER.to_owned())]
            .into_iter()
            .chain(known)
            .collect()
    }
}

/// Questions that differ in one thing each.
fn others(document: &Value, words: &Words) -> Vec<Other> {
    let mut all = Vec::new();
    flags(document, &mut all);
    let listed = |at: &str| -> BTreeMap<String, Value> {
        let map = document.pointer(at).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let claims = listed("/claims");
    let names = claims.keys().map(String::as_str);
    let names: BTreeSet<_> = names
        .chain(words.claims.keys().map(String::as_str))
        .chain(CLAIMS)
        .collect();
    for name in names {
        let selected = words.claims.get(name).into_iter().flatten();
        let values = selected.cloned().map(Some).chain(words.values());
        texts(document, ("/claims", "claims"), name, values, &mut all);
    }
    for name in listed("/request/properties").keys() {
        let at = ("/request/properties", "properties");
        texts(document, at, name, words.values().into_iter(), &mut all);
    }
    for profile in &words.profiles {
        let to = Some(Value::String(profile.clone()));
        set(document, ("/request", "request"), "profile", to, &mut all);
    }
    records(document, words, &mut all);
    all
}

/// What is so or is not.
fn flags(document: &Value, all: &mut Vec<Other>) {
    for flag in ["key_bound", "sender_required", "writes"] {
        let on = document.pointer(&format!("/request/{flag}")) == Some(&Value::Bool(true));
        set(
            document,
            ("/request", "request"),
            flag,
            Some(json!(!on)),
            all,
        );
    }
    let allowed = document.pointer("/request/allow").and_then(Value::as_array);
    let allowed: BTreeSet<_> = allowed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for risk in Allowance::ALL.map(Allowance::as_str) {
        let mut other = allowed.clone();
        if !other.remove(risk) {
            other.insert(risk);
        }
        set(
            document,
            ("/request", "request"),
            "allow",
            Some(json!(other)),
            all,
        );
    }
}

fn records(document: &Value, words: &Words, all: &mut Vec<Other>) {
    let known = document.pointer("/records").and_then(Value::as_array);
    let known = known.map_or(&[][..], Vec::as_slice);
    for kind in RecordKind::ALL {
        let place = known
            .iter()
            .position(|record| record.get("kind") == Some(&json!(kind)));
        let Some(place) = place else {
            for record in plainest(kind) {
                let to = record
                    .get("status")
                    .and_then(Value::as_str)
                    .unwrap_or("present");
                let to = Some(to.to_owned());
                let mut other = document.clone();
                if let Some(Value::Array(records)) = other.pointer_mut("/records") {
                    records.push(record);
                }
                all.push(Other {
                    field: kind.to_string(),
                    from: None,
                    to,
                    document: other,
                });
            }
            continue;
        };
        let at = format!("/records/{place}");
        for field in kind.fields() {
            let at = (at.as_str(), kind.as_str());
            match (kind, *field) {
                (_, "status") => {
                    let values = statuses(kind).into_iter().map(Some);
                    texts(document, at, field, values, all);
                }
                (RecordKind::Environment, "protected") => {
                    let now = document.pointer(&format!("{}/protected", at.0));
                    let to = Some(json!(now != Some(&Value::Bool(true))));
                    set(document, at, field, to, all);
                }
                _ => texts(document, at, field, words.values().into_iter(), all),
            }
        }
        let more = words.plain.iter().filter_map(|word| word.split_once('='));
        for (name, value) in more {
            let at = (format!("{at}/more"), format!("{kind}"));
            let to = Some(Value::String(value.to_owned()));
            set(document, (&at.0, &at.1), name, to, all);
        }
        let mut other = document.clone();
        if let Some(Value::Array(records)) = other.pointer_mut("/records") {
            records.remove(place);
        }
        all.push(Other {
            field: kind.to_string(),
            from: Some("present".to_owned()),
            to: None,
            document: other,
        });
    }
}

/// The records of a kind that say least.
fn plainest(kind: RecordKind) -> Vec<Value> {
    let of = |status: String| json!({"kind": kind, "status": status});
    if kind == RecordKind::Environment {
        let record = json!({"kind": kind, "id": "1", "name": "production", "protection_rules": "0", "protected": true});
        return vec![record];
    }
    statuses(kind).into_iter().map(of).collect()
}

fn statuses(kind: RecordKind) -> Vec<String> {
    match kind {
        RecordKind::Pipeline | RecordKind::Job => RunStatus::ALL
            .map(|status| status.as_str().to_owned())
            .into(),
        RecordKind::Case => CaseStatus::ALL
            .map(|status| status.as_str().to_owned())
            .into(),
        RecordKind::Environment => Vec::new(),
    }
}

fn texts(
    document: &Value,
    at: (&str, &str),
    name: &str,
    values: impl Iterator<Item = Option<String>>,
    all: &mut Vec<Other>,
) {
    for to in values {
        set(document, at, name, to.map(Value::String), all);
    }
}

/// The document with another member, if that is another document.
fn set(
    document: &Value,
    (pointer, called): (&str, &str),
    name: &str,
    to: Option<Value>,
    all: &mut Vec<Other>,
) {
    let mut other = document.clone();
    if other.pointer(pointer).is_none()
        && let Some((parent, last)) = pointer.rsplit_once('/')
        && let Some(Value::Object(parent)) = other.pointer_mut(parent)
    {
        parent.insert(last.to_owned(), json!({}));
    }
    let Some(Value::Object(members)) = other.pointer_mut(pointer) else {
        return;
    };
    let from = match &to {
        Some(value) => members.insert(name.to_owned(), value.clone()),
        None => members.remove(name),
    };
    if from == to {
        return;
    }
    let shown = |value: Option<Value>| {
        let value = value?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    all.push(Other {
        field: format!("{called}.{name}"),
        from: shown(from),
        to: shown(to),
        document: other,
    });
}

/// The claims that a policy can read by name.
const CLAIMS: [&str; 4] = ["environment", "event_name", "ref", "runner_environment"];

/// A value that no policy names.
pub const OTHER: &str = "anything-else";

const MOST_WORDS: usize = 64;
const MOST_ASKED: usize = 5_000;
const MOST_TOLD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(own: &str, asked: Value) -> Vec<String> {
        let sources = [
            PolicySource::shipped(),
            PolicySource {
                name: "own.cedar".to_owned(),
                text: own.to_owned(),
            },
        ];
        let policies = PolicySet::load(&sources).unwrap();
        let turns = turns(&Asked::from_json(asked), &policies, &sources).unwrap();
        let absent = || "(absent)".to_owned();
        let line = |turn: Turn| {
            let (from, to) = (
                turn.from.unwrap_or_else(absent),
                turn.to.unwrap_or_else(absent),
            );
            format!("{}: {from} -> {to}", turn.field)
        };
        turns.into_iter().map(line).collect()
    }

    #[test]
    fn a_denial_is_turned_by_the_field_that_decided_it() {
        let told = turned(
            "",
            json!({
                "request": {"verb": "issue", "audiences": ["https://crm"]},
                "claims": {"agent_id": "a-7"},
                "records": [{"kind": "case", "status": "closed", "assignee": "a-7"}],
            }),
        );
        assert!(
            told.contains(&"case.status: closed -> open".to_owned()),
            "{told:?}"
        );
        assert!(
            told.contains(&"case.status: closed -> pending".to_owned()),
            "{told:?}"
        );
        assert!(
            !told.iter().any(|turn| turn.starts_with("claims.")),
            "{told:?}"
        );
    }

    #[test]
    fn a_permit_is_turned_by_whatever_a_forbid_asks_about() {
        let own = "@id(\"own\") forbid (principal, action, resource)
            when { principal in Writ::Selector::\"github:ref:refs/heads/old\" };";
        let told = turned(
            own,
            json!({
                "request": {"verb": "read", "secret": "a"},
                "claims": {"ref": "refs/heads/main"},
                "records": [{"kind": "job", "status": "in_progress"}],
            }),
        );
        for wanted in [
            "claims.ref: refs/heads/main -> refs/heads/old",
            "claims.runner_environment: (absent) -> self-hosted",
            "job.status: in_progress -> completed",
            "request.sender_required: (absent) -> true",
        ] {
            assert!(told.contains(&wanted.to_owned()), "{wanted} in {told:?}");
        }
    }

    #[test]
    fn two_reasons_are_turned_by_no_single_change() {
        let told = turned(
            "",
            json!({
                "request": {"verb": "read", "secret": "a", "sender_required": true},
                "claims": {"runner_environment": "self-hosted"},
            }),
        );
        assert_eq!(told, [""; 0]);
    }
}
