//! Actions on resources: what an enforcement point asks about, and which of it a grant covers.
//!
//! A rule may name a field of the context instead of a value: `{case.account}` is the account that the
//! case names at the moment of the question, so that a grant follows its case and not the day it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::context::RecordKind;
use crate::domain::key::Digest;
use crate::domain::name::{ActionName, ResourceKind};
use crate::domain::place::is_of_place;

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub action: ActionName,
    pub resource: Resource,
}

/// A thing, as the service that has it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub kind: ResourceKind,
    pub id: ResourceId,
    /// What the service says of it: the account of an invoice.
    pub properties: BTreeMap<String, String>,
}

/// What a service calls one resource: any text without control characters, at most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(String);

/// The text is not a resource's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a resource's id has 1 to 1024 bytes and no control characters")]
pub struct BadResourceId;

/// What of a task's grant is asked for at each use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acts {
    /// Actions that leave everything as it was.
    pub reads: BTreeSet<ActionName>,
    /// Actions that change something.
    pub writes: BTreeSet<ActionName>,
    pub resources: BTreeSet<ResourceRule>,
}

/// Which resources of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceRule {
    pub kind: ResourceKind,
    /// None: whatever its id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<Pattern>,
    /// What the service has to say of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub properties: BTreeMap<String, Pattern>,
}

/// Text, in which `{case.account}` stands for a field of a record, and a final `*` for anything. A field
/// is one whole segment between slashes, or all there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    pieces: Vec<Piece>,
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Piece {
    Text(String),
    Field(RecordKind, String),
}

/// The text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is text in which {{record.field}} is one whole segment between slashes")]
pub struct BadPattern;

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Reads,
    Writes,
}

/// Whether a resource is one of a rule's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// It would be but for this one value of the context.
    Differs(Difference),
    /// It would be, were it asked about in another place.
    Misplaced(Difference),
    Elsewhere,
}

/// A resource that belongs to something else than the context says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As in `case.account`.
    pub field: String,
    pub required: Option<String>,
    pub observed: String,
}

/// What is known of a record's field at this moment.
pub type Look<'a> = &'a dyn Fn(RecordKind, &str) -> Option<String>;

impl Act {
    /// Of everything that it says, and of what it is said with: what is asked again is known by it.
    pub fn digest(&self, with: &[&[u8]]) -> Digest {
        let Resource {
            kind,
            id,
            properties,
        } = &self.resource;
        let mut parts = vec![self.action.as_str(), kind.as_str(), id.as_str()];
        for (name, value) in properties {
            parts.extend([name.as_str(), value]);
        }
        let parts = parts.into_iter().map(str::as_bytes);
        let parts: Vec<_> = with.iter().copied().chain(parts).collect();
        Digest::of(&parts)
    }
}

impl Acts {
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.resources.is_empty()
    }

    /// What the action does, if it is granted.
    pub fn effect(&self, action: &ActionName) -> Option<Effect> {
        if self.writes.contains(action) {
            return Some(Effect::Writes);
        }
        self.reads.contains(action).then_some(Effect::Reads)
    }

    /// Whether one of the rules has the resource; the nearest miss where none does.
    pub fn fit(&self, resource: &Resource, look: Look<'_>) -> Fit {
        let mut nearest = Fit::Elsewhere;
        for rule in &self.resources {
            match rule.fit(resource, look) {
                Fit::Fits => return Fit::Fits,
                near @ (Fit::Differs(_) | Fit::Misplaced(_)) if nearest == Fit::Elsewhere => {
                    nearest = near;
                }
                Fit::Differs(_) | Fit::Misplaced(_) | Fit::Elsewhere => {}
            }
        }
        nearest
    }

    /// Whether everything here is also in `outer`. What only reads in `outer` may not write here.
    pub fn within(&self, outer: &Self) -> bool {
        let covered = |inner: &ResourceRule| outer.resources.iter().any(|o| o.covers(inner));
        self.writes.is_subset(&outer.writes)
            && self
                .reads
                .iter()
                .all(|action| outer.effect(action).is_some())
            && self.resources.iter().all(covered)
    }
}

impl ResourceRule {
    fn fit(&self, resource: &Resource, look: Look<'_>) -> Fit {
        if self.kind != resource.kind {
            return Fit::Elsewhere;
        }
        let id = self
            .id
            .iter()
            .map(|pattern| pattern.fit(resource.id.as_str(), look));
        let properties = self.properties.iter().map(|(name, pattern)| {
            let said = resource.properties.get(name).map(String::as_str);
            let fit = said.map_or(Fit::Elsewhere, |text| pattern.fit(text, look));
            if fit != Fit::Fits && is_of_place(name) {
                return pattern.misplaced(name, said);
            }
            fit
        });
        let mut fit = Fit::Fits;
        for one in id.chain(properties) {
            match (one, &fit) {
                (Fit::Elsewhere, _) => return Fit::Elsewhere,
                // Whoever asks in the wrong place is told so, and of nothing else.
                (near @ Fit::Misplaced(_), _) | (near @ Fit::Differs(_), Fit::Fits) => fit = near,
                (Fit::Differs(_) | Fit::Fits, _) => {}
            }
        }
        fit
    }

    /// Whether every resource of `inner` is one of these, whatever the context says.
    fn covers(&self, inner: &Self) -> bool {
        let id = match (&self.id, &inner.id) {
            (None, _) => true,
            (Some(outer), Some(inner)) => outer.covers(inner),
            (Some(_), None) => false,
        };
        let said = |(name, outer): (&String, &Pattern)| {
            let inner = inner.properties.get(name);
            inner.is_some_and(|inner| outer.covers(inner))
        };
        self.kind == inner.kind && id && self.properties.iter().all(said)
    }
}

impl Pattern {
    /// The fields of the context that it names.
    pub fn fields(&self) -> impl Iterator<Item = (RecordKind, &str)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(kind, name) => Some((*kind, name.as_str())),
            Piece::Text(_) => None,
        })
    }

    fn fit(&self, text: &str, look: Look<'_>) -> Fit {
        if let ([Piece::Field(kind, name)], false) = (self.pieces.as_slice(), self.open) {
            return held(*kind, name, text, look);
        }
        let (mut rest, mut fit) = (text, Fit::Fits);
        for piece in &self.pieces {
            match piece {
                Piece::Text(own) => match rest.strip_prefix(own.as_str()) {
                    Some(after) => rest = after,
                    None => return Fit::Elsewhere,
                },
                Piece::Field(kind, name) => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    let (seen, after) = rest.split_at(end);
                    let differs = held(*kind, name, seen, look);
                    if fit == Fit::Fits {
                        fit = differs;
                    }
                    rest = after;
                }
            }
        }
        if rest.is_empty() || self.open {
            fit
        } else {
            Fit::Elsewhere
        }
    }

    /// What the place would have to be.
    fn misplaced(&self, property: &str, said: Option<&str>) -> Fit {
        Fit::Misplaced(Difference {
            field: property.to_owned(),
            required: Some(self.to_string()),
            observed: said.unwrap_or("(nowhere)").to_owned(),
        })
    }

    fn covers(&self, inner: &Self) -> bool {
        if self == inner {
            return true;
        }
        // What is open covers whatever goes on in the same way. The last text of the outer one may end
        // in the middle of a text of the inner one.
        let Some((last, before)) = self.pieces.split_last().filter(|_| self.open) else {
            return self.open;
        };
        let (same, further) = inner.pieces.split_at(before.len().min(inner.pieces.len()));
        same == before
            && match (last, further.first()) {
                (Piece::Text(outer), Some(Piece::Text(inner))) => inner.starts_with(outer.as_str()),
                (Piece::Text(_) | Piece::Field(..), _) => false,
            }
    }
}

/// Whether a text is what the record's field says.
fn held(kind: RecordKind, name: &str, text: &str, look: Look<'_>) -> Fit {
    let required = look(kind, name);
    if required.as_deref() == Some(text) {
        return Fit::Fits;
    }
    Fit::Differs(Difference {
        field: format!("{kind}.{name}"),
        required,
        observed: text.to_owned(),
    })
}

impl ResourceId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceId {
    type Err = BadResourceId;

    fn from_str(text: &str) -> Result<Self, BadResourceId> {
        let plain = (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control);
        plain.then(|| Self(text.to_owned())).ok_or(BadResourceId)
    }
}

impl TryFrom<String> for ResourceId {
    type Error = BadResourceId;

    fn try_from(text: String) -> Result<Self, BadResourceId> {
        text.parse()
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if !(1..=1024).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(BadPattern);
        }
        let (closed, open) = match text.strip_suffix('*') {
            Some(before) => (before, true),
            None => (text, false),
        };
        let (mut pieces, mut rest) = (Vec::new(), closed);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(BadPattern)?;
            let begins = before.ends_with('/') || (before.is_empty() && pieces.is_empty());
            if !begins || !(after.is_empty() || after.starts_with('/')) {
                return Err(BadPattern);
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(field(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let after_field = matches!(pieces.last(), Some(Piece::Field(..)));
        if closed.contains('*') || rest.contains('}') || (open && after_field) {
            return Err(BadPattern);
        }
        Ok(Self { pieces, open })
    }
}

fn field(text: &str) -> Result<Piece, BadPattern> {
    let (kind, name) = text.split_once('.').ok_or(BadPattern)?;
    let mut kinds = RecordKind::ALL.into_iter();
    let kind = kinds.find(|known| known.as_str() == kind);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(BadPattern);
    }
    Ok(Piece::Field(kind.ok_or(BadPattern)?, name.to_owned()))
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Field(kind, name) => write!(f, "{{{kind}.{name}}}")?,
            }
        }
        f.write_str(if self.open { "*" } else { "" })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id.as_str())
    }
}

#[cfg(test)]
#[path = "action_tests.rs"]
mod tests;
