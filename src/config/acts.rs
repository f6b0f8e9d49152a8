//! Actions that a grant has, and the resources that they are for. What a rule compares with the context
//! must be a field of a record that the profile is bound to, or it would be met by nothing.

use std::collections::BTreeMap;

use toml::Spanned;

use super::binding::has_field;
use super::check::set;
use super::findings::Findings;
use super::problem::Rule;
use super::profile::Trusted;
use super::raw::{RawGrant, RawProfile, RawResource, Text};
use super::templates;
use crate::domain::context::RecordKind;
use crate::domain::profile::{ActsRule, Claims, ResourceTemplate, Template, is_field};

pub(super) fn check(
    name: &Text,
    raw: &RawGrant,
    profile: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> ActsRule {
    let named = !raw.reads.is_empty() || !raw.writes.is_empty();
    let whole = named && !raw.resource.is_empty() && !raw.audiences.is_empty();
    if (named || !raw.resource.is_empty()) && !whole {
        let what = format!("the grant `{name}` has not all of actions, resources and audiences");
        findings.refuse(name.span(), Rule::ActsIncomplete, what);
    }
    let (reads, writes) = (&raw.reads, &raw.writes);
    for twice in reads.iter().filter(|read| {
        let mut also = writes.iter();
        also.any(|write| write.get_ref() == read.get_ref())
    }) {
        let what = format!("`{twice}` is said to read and to write");
        findings.refuse(twice.span(), Rule::ActTwice, what);
    }
    let resources = raw.resource.iter();
    ActsRule {
        resources: resources
            .filter_map(|section| resource(section, profile, source, findings))
            .collect(),
        reads: set(reads, Rule::Value, findings),
        writes: set(writes, Rule::Value, findings),
    }
}

fn resource(
    section: &Spanned<RawResource>,
    profile: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) -> Option<ResourceTemplate> {
    let raw = section.get_ref();
    let mut taken = |text: &Text| {
        let template = templates::pattern(text, source.words, findings)?;
        for field in template.claims().filter(|name| is_field(name)) {
            bound(text, field, profile, source, findings);
        }
        Some(template)
    };
    let id = match &raw.id {
        Some(text) => Some(taken(text)?),
        None => None,
    };
    let mut properties: BTreeMap<String, Template> = BTreeMap::new();
    for (name, text) in &raw.properties {
        properties.insert(name.get_ref().clone(), taken(text)?);
    }
    let template = ResourceTemplate {
        kind: findings.parsed(&raw.kind, Rule::Value)?,
        id,
        properties,
    };
    let names = template.placeholders().filter(|name| !is_field(name));
    let sample: Claims = names
        .map(|name| (name.to_owned(), "1".to_owned()))
        .collect();
    if template.fill(&sample).is_err() {
        let what = "a `{record.field}` is one whole segment, and `*` stands at the end";
        findings.refuse(section.span(), Rule::Template, what);
    }
    Some(template)
}

/// A field of the context is one that some binding of the profile reads.
fn bound(
    text: &Text,
    field: &str,
    profile: &RawProfile,
    source: Trusted<'_>,
    findings: &mut Findings<'_>,
) {
    let known = field.split_once('.').is_some_and(|(record, name)| {
        let mut kinds = RecordKind::ALL.into_iter();
        let kind = kinds.find(|kind| kind.as_str() == record);
        let mut bindings = profile.binding.iter();
        bindings.any(|b| b.get_ref().record.get_ref() == record)
            && kind.is_some_and(|kind| has_field(kind, name, source))
    });
    if !known {
        let what = format!("the profile is not bound to `{field}`");
        findings.refuse(text.span(), Rule::ResourceUnbound, what);
    }
}
