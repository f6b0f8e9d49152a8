//! A question from a file: a case, a bare question, or a refusal as `writ explain -o json` tells it.

use serde_json::Value;

use crate::cli::CliError;
use crate::decide::asked::Asked;
use crate::decide::cases::Case;
use crate::surface::http::admin::denial_view::Explanation;

/// A question and what it is called.
pub(super) struct Posed {
    pub(super) name: String,
    pub(super) asked: Asked,
}

/// Reads a question.
pub(super) fn read(name: &str, text: &str) -> Result<Asked, CliError> {
    let wrong = |why: &dyn std::fmt::Display| CliError::Unsound(format!("{name}: {why}"));
    let document: Value = serde_json::from_str(text).map_err(|why| wrong(&why))?;
    if document.get("verdict").is_some() {
        let told: Explanation = serde_json::from_value(document).map_err(|why| wrong(&why))?;
        return recorded(name, told);
    }
    if document.get("expect").is_some() {
        return Ok(Case::read(text).map_err(|why| wrong(&why))?.asked);
    }
    serde_json::from_value(document).map_err(|why| wrong(&why))
}

/// What the policies were asked when they refused it.
fn recorded(name: &str, told: Explanation) -> Result<Asked, CliError> {
    let wrong = |why: &dyn std::fmt::Display| CliError::Unsound(format!("{name}: {why}"));
    let (Some(request), Some(identity)) = (told.asked, told.identity) else {
        let what = format!(
            "{} was refused ({}) before policies were asked: they would not have changed it",
            told.id, told.code
        );
        return Err(wrong(&what));
    };
    let known = told.facts.into_iter().filter(|fact| fact.present);
    let records: Vec<_> = known
        .filter_map(|fact| {
            let kind = fact.record.split('/').nth(1)?.to_owned();
            Some((kind, fact.fields))
        })
        .collect();
    let request = serde_json::to_value(request).map_err(|why| wrong(&why))?;
    Asked::recorded(&request, identity.fixed(), &records).map_err(|why| wrong(&why))
}

/// The question with some of it changed: a member of the request or the claims, or a field of a record by its kind.
pub(super) fn changed(
    name: &str,
    asked: &Asked,
    with: &[(String, String)],
) -> Result<Asked, CliError> {
    let wrong = |why: &dyn std::fmt::Display| CliError::Usage(format!("{name}: {why}"));
    let mut document = serde_json::to_value(asked).map_err(|why| wrong(&why))?;
    for (field, value) in with {
        let (place, member) = field.split_once('.').unwrap_or(("request", field));
        let members = match place {
            "request" | "claims" => document.get_mut(place),
            kind => {
                let records = document.get_mut("records").and_then(Value::as_array_mut);
                let mut records = records.into_iter().flatten();
                records.find(|record| record.get("kind").and_then(Value::as_str) == Some(kind))
            }
        };
        let members = members.and_then(Value::as_object_mut).ok_or_else(|| {
            wrong(&format!(
                "the question has no {place}, of which `{field}` would be a part"
            ))
        })?;
        if value.is_empty() {
            members.remove(member);
            continue;
        }
        let text = Value::String(value.clone());
        // Where the member is no text, the value stands for what it says.
        let typed = match (place, members.get(member)) {
            ("claims", _) | (_, Some(Value::String(_))) => text,
            _ => serde_json::from_str(value).unwrap_or(text),
        };
        members.insert(member.to_owned(), typed);
    }
    serde_json::from_value(document).map_err(|why| wrong(&why))
}
