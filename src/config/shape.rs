//! From text to the raw structs, with everything that is wrong on the way. After an unknown key the
//! rest is read without it; after any other fault the section that has it is left out, so that the
//! other sections still get their say.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::findings::Findings;
use super::problem::Rule;
use super::raw::RawFile;

/// The raw file; `None` when a fault other than an unknown key was found, since judging what is left
/// of the file would find faults that it does not have.
pub(super) fn read(text: &str, findings: &mut Findings<'_>) -> Option<RawFile> {
    let (root, faults) = DeTable::parse_recoverable(text);
    for fault in &faults {
        let at = fault.span().unwrap_or(0..0);
        findings.refuse(at, Rule::Syntax, fault.message());
    }
    if !faults.is_empty() {
        return None;
    }
    let (at, mut table) = (root.span(), root.into_inner());
    let mut only_unknown = true;
    while findings.count() < MOST_PROBLEMS {
        let whole = Spanned::new(at.clone(), table.clone());
        let fault = match RawFile::deserialize(Deserializer::from(whole)) {
            Ok(raw) => return only_unknown.then_some(raw),
            Err(fault) => fault,
        };
        let span = fault.span().unwrap_or(0..0);
        let unknown = fault.message().starts_with("unknown field");
        let rule = if unknown {
            Rule::UnknownKey
        } else {
            Rule::Shape
        };
        findings.refuse(span.clone(), rule, without_value(fault.message()));
        only_unknown &= unknown;
        let before = weight(&table);
        table = if unknown {
            without_key(table, &span)
        } else {
            without_section(table, &span)
        };
        if weight(&table) == before {
            return None;
        }
    }
    None
}

/// A message of the wrong-type kind repeats the value, which may be a secret in the wrong place.
fn without_value(message: &str) -> String {
    if message.starts_with("invalid ")
        && let Some((_, expected)) = message.rsplit_once(", expected ")
    {
        return format!("this is not {expected}");
    }
    message.to_owned()
}

fn without_key<'i>(table: DeTable<'i>, key: &Range<usize>) -> DeTable<'i> {
    let kept = table.into_iter().filter(|(name, _)| name.span() != *key);
    kept.map(|(name, value)| (name, value_without_key(value, key)))
        .collect()
}

fn value_without_key<'i>(value: Spanned<DeValue<'i>>, key: &Range<usize>) -> Spanned<DeValue<'i>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(without_key(table, key)),
        DeValue::Array(array) => {
            let kept = array.into_iter().map(|item| value_without_key(item, key));
            DeValue::Array(kept.collect())
        }
        leaf @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => leaf,
    };
    Spanned::new(span, inner)
}

fn without_section<'i>(table: DeTable<'i>, fault: &Range<usize>) -> DeTable<'i> {
    let mut kept = DeTable::new();
    for (name, value) in table {
        let span = value.span();
        if let DeValue::Array(array) = value.get_ref() {
            let whole = array.iter().filter(|item| !holds(item, fault)).cloned();
            kept.insert(name, Spanned::new(span, DeValue::Array(whole.collect())));
        } else if name.span() != *fault && !holds(&value, fault) {
            kept.insert(name, value);
        }
    }
    kept
}

fn holds(value: &Spanned<DeValue<'_>>, fault: &Range<usize>) -> bool {
    if value.span() == *fault {
        return true;
    }
    match value.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .any(|(name, value)| name.span() == *fault || holds(value, fault)),
        DeValue::Array(array) => array.iter().any(|item| holds(item, fault)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

/// How many keys and items there are, to see whether a step took something away.
fn weight(table: &DeTable<'_>) -> usize {
    table.iter().map(|(_, value)| 1 + value_weight(value)).sum()
}

fn value_weight(value: &Spanned<DeValue<'_>>) -> usize {
    match value.get_ref() {
        DeValue::Table(table) => weight(table),
        DeValue::Array(array) => array.iter().map(|item| 1 + value_weight(item)).sum(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => 0,
    }
}

/// Each problem costs another reading of the file, and nobody reads more at once.
const MOST_PROBLEMS: usize = 50;
