//! A task profile: which evidence opens which task, what the task is bound to, what it may be
//! granted, and for how long. A profile that exists here has passed the lint of `config`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use crate::domain::action::{Acts, ResourceRule};
use crate::domain::context::RecordKind;
use crate::domain::grant::{Audience, Grant, Grants, Scope};
use crate::domain::name::{ActionName, GrantName, ProfileName, ResourceKind, SourceName};

/// The claims of verified evidence, by name; only text, numbers and booleans, each as text.
pub type Claims = BTreeMap<String, String>;

/// A task profile.
#[derive(Debug, Clone)]
pub struct TaskProfile {
    pub name: ProfileName,
    /// The issuer, by its configured name.
    pub source: SourceName,
    /// Claims that evidence must carry, each with the values it may have.
    pub matches: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that are ids which are given to nobody else. Never empty.
    pub ids: BTreeSet<String>,
    pub naming: Naming,
    /// What tells one instance of the task from another.
    pub instance: Template,
    pub bindings: Vec<BindingRule>,
    pub grants: BTreeMap<GrantName, GrantRule>,
    pub lifetimes: Lifetimes,
    pub renewal: RenewalMode,
    pub sender: SenderMode,
    /// How often one piece of keyless evidence may be shown.
    pub evidence_uses: u32,
    pub allow: BTreeSet<Allowance>,
    /// How many approve, before what waits for it is permitted.
    pub quorum: u32,
    /// When a permit to read is recorded.
    pub reads_recorded: Recorded,
}

/// When what is permitted at its use is recorded. A permit to change something always is before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recorded {
    /// The answer waits until the record is durable.
    #[default]
    BeforeAnswer,
    /// The record is on its way when the answer leaves: a crash in between loses it.
    AfterAnswer,
}

/// What names the task.
#[derive(Debug, Clone)]
pub enum Naming {
    /// The evidence: the task's external name below the profile's source.
    Evidence(Template),
    /// The request: a case of a desk.
    Case(CaseRule),
}

/// Who may open the task of a case.
#[derive(Debug, Clone)]
pub struct CaseRule {
    pub desk: SourceName,
    /// Fields of the case, each with the identifying claim that it has to be equal to. Never empty,
    /// and over nothing that such a workload can write.
    pub opens_when: BTreeMap<String, String>,
}

/// The ceilings of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// From the task's opening; absolute.
    pub deadline: Duration,
    pub token: Duration,
    pub lease: Duration,
    pub certificate: Duration,
    /// Of one use of an action, reserved.
    pub permit: Duration,
    /// The longest that an approval may hold.
    pub approval: Duration,
    /// How long a session may go without renewal.
    pub session: Duration,
}

/// How a lineage is tied to one kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRule {
    pub record: RecordKind,
    /// Fields that must have one of these values at every decision.
    pub require: BTreeMap<String, BTreeSet<String>>,
    /// Fields that must stay what they were when the lineage opened.
    pub pin: BTreeSet<String>,
    /// How old a fact may be that a decision rests on.
    pub max_age: Duration,
    /// The ways of observing that count for this binding.
    pub via: BTreeSet<Via>,
}

/// How a fact came to be known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// A fresh ID token of the same job says that the job lives.
    IssuerProof,
    /// The source was asked.
    Pull,
}

/// A grant as configured; its secret patterns may hold `{claim}` placeholders.
#[derive(Debug, Clone)]
pub struct GrantRule {
    pub audiences: BTreeSet<Audience>,
    pub scopes: BTreeSet<Scope>,
    pub secrets: Vec<Template>,
    pub jwt_svids: BTreeSet<Audience>,
    pub x509_svid: bool,
    pub acts: ActsRule,
    pub uses: Option<u32>,
}

/// Actions as configured.
#[derive(Debug, Clone, Default)]
pub struct ActsRule {
    pub reads: BTreeSet<ActionName>,
    pub writes: BTreeSet<ActionName>,
    pub resources: Vec<ResourceTemplate>,
}

/// Resources as configured; ids and properties may hold `{claim}` and `{record.field}` placeholders.
#[derive(Debug, Clone)]
pub struct ResourceTemplate {
    pub kind: ResourceKind,
    pub id: Option<Template>,
    pub properties: BTreeMap<String, Template>,
}

/// What a renewal by handle has to show besides the session key's proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalMode {
    Handle,
    FreshEvidence,
}

/// Whether a caller has to show a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderMode {
    Optional,
    Required,
}

/// Risky circumstances that a profile has to name before they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    SelfHosted,
    PullRequest,
}

impl Allowance {
    pub const ALL: [Self; 2] = [Self::SelfHosted, Self::PullRequest];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfHosted => "self-hosted",
            Self::PullRequest => "pull-request",
        }
    }

    /// The risk of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.as_str() == name)
    }
}

/// Text with `{claim}` placeholders; `{record.field}` is one that no evidence fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Claim(String),
}

/// Why a template cannot be read or filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("a placeholder is a claim's name in braces, as in {{run_id}}")]
    Syntax,
    #[error("the evidence has no claim `{0}`")]
    MissingClaim(String),
    #[error("the claim `{0}` has a value that cannot stand in a name")]
    UnfitClaim(String),
    #[error("{0}")]
    Result(String),
}

impl GrantRule {
    /// Whether something in it is taken with a token for the broker itself.
    pub fn is_taken_here(&self) -> bool {
        let reserved = self.uses.is_some() && !self.acts.writes.is_empty();
        !self.secrets.is_empty() || !self.jwt_svids.is_empty() || self.x509_svid || reserved
    }
}

impl ActsRule {
    /// What evidence names in them, by name. What a record says is filled in at each use.
    fn fill(&self, claims: &Claims) -> Result<Acts, BadTemplate> {
        let resources = self.resources.iter().map(|template| template.fill(claims));
        Ok(Acts {
            reads: self.reads.clone(),
            writes: self.writes.clone(),
            resources: resources.collect::<Result<_, _>>()?,
        })
    }
}

impl ResourceTemplate {
    pub fn fill(&self, claims: &Claims) -> Result<ResourceRule, BadTemplate> {
        let pattern = |template: &Template| {
            let text = template.fill_claims(claims)?;
            text.parse()
                .map_err(|e| BadTemplate::Result(format!("{e}")))
        };
        let properties = self.properties.iter();
        Ok(ResourceRule {
            kind: self.kind.clone(),
            id: self.id.as_ref().map(pattern).transpose()?,
            properties: properties
                .map(|(name, template)| Ok((name.clone(), pattern(template)?)))
                .collect::<Result<_, BadTemplate>>()?,
        })
    }

    /// The names of its placeholders.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        let templates = self.id.iter().chain(self.properties.values());
        templates.flat_map(Template::claims)
    }
}

impl TaskProfile {
    /// Whether this evidence is of the kind that the profile takes; else the first claim that fails.
    pub fn takes(&self, claims: &Claims) -> Result<(), &str> {
        match self.untaken(claims).next() {
            Some(claim) => Err(claim),
            None => Ok(()),
        }
    }

    /// Every claim that the profile does not take.
    pub fn untaken<'a>(&'a self, claims: &Claims) -> impl Iterator<Item = &'a str> {
        let fits = |name: &String, values: &BTreeSet<String>| {
            claims.get(name).is_some_and(|value| values.contains(value))
        };
        let untaken = self.matches.iter();
        untaken
            .filter(move |(name, values)| !fits(name, values))
            .map(|(name, _)| name.as_str())
    }

    /// Whether it names this very workload by each of its ids, whatever else it asks for.
    pub fn is_about(&self, claims: &Claims) -> bool {
        !self.untaken(claims).any(|claim| self.ids.contains(claim))
    }

    /// The grants with their placeholders filled from the evidence.
    pub fn grants_for(&self, claims: &Claims) -> Result<Grants, BadTemplate> {
        let mut grants = BTreeMap::new();
        for (name, rule) in &self.grants {
            let mut secrets = BTreeSet::new();
            for template in &rule.secrets {
                let pattern = template.fill(claims)?;
                secrets.insert(
                    pattern
                        .parse()
                        .map_err(|e| BadTemplate::Result(format!("{e}")))?,
                );
            }
            let grant = Grant {
                audiences: rule.audiences.clone(),
                scopes: rule.scopes.clone(),
                secrets,
                jwt_svids: rule.jwt_svids.clone(),
                x509_svid: rule.x509_svid,
                acts: rule.acts.fill(claims)?,
                uses: rule.uses,
            };
            grants.insert(name.clone(), grant);
        }
        Ok(Grants::new(grants))
    }

    /// The rule for one kind of record.
    pub fn binding(&self, kind: RecordKind) -> Option<&BindingRule> {
        self.bindings.iter().find(|rule| rule.record == kind)
    }
}

impl TaskProfile {
    /// What its tasks' names are made of: claims of the evidence, or the id of a case.
    pub fn named_by(&self) -> BTreeSet<&str> {
        match &self.naming {
            Naming::Evidence(template) => template.claims().collect(),
            Naming::Case(_) => [CASE_ID].into(),
        }
    }

    /// Which source leads the names of its tasks, and which segment below it is this value.
    pub fn place_of(&self, name: &str) -> Option<(&SourceName, usize)> {
        match &self.naming {
            Naming::Evidence(template) => Some((&self.source, template.place_of(name)?)),
            // As in `desk/case/4711`.
            Naming::Case(rule) => (name == CASE_ID).then_some((&rule.desk, 1)),
        }
    }
}

impl Template {
    /// The claims that the template needs.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Claim(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Which segment of the filled text is a claim's value and nothing else, counted from 0.
    pub fn place_of(&self, claim: &str) -> Option<usize> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Claim(name) => {
                    text.push('{');
                    text.push_str(name);
                    text.push('}');
                }
            }
        }
        let wanted = format!("{{{claim}}}");
        text.split('/').position(|segment| segment == wanted)
    }

    /// The text with each placeholder replaced by a claim's value. A value is taken only if it can
    /// be one segment, so that no claim can move a name to another place.
    pub fn fill(&self, claims: &Claims) -> Result<String, BadTemplate> {
        self.filled(claims, |_| false)
    }

    /// The same, with each `{record.field}` left as it stands.
    pub fn fill_claims(&self, claims: &Claims) -> Result<String, BadTemplate> {
        self.filled(claims, is_field)
    }

    fn filled(&self, claims: &Claims, left: fn(&str) -> bool) -> Result<String, BadTemplate> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Claim(name) if left(name) => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
                Piece::Claim(name) => {
                    let value = claims
                        .get(name)
                        .ok_or_else(|| BadTemplate::MissingClaim(name.clone()))?;
                    if !is_segment(value) {
                        return Err(BadTemplate::UnfitClaim(name.clone()));
                    }
                    out.push_str(value);
                }
            }
        }
        Ok(out)
    }
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(BadTemplate::Syntax)?;
            let plain = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
            if !plain || before.contains('}') {
                return Err(BadTemplate::Syntax);
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Claim(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(BadTemplate::Syntax);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

/// Whether a placeholder stands for a field of a record. No claim has a dot in its name.
pub fn is_field(placeholder: &str) -> bool {
    placeholder.contains('.')
}

/// What the id of a case is called where tasks are looked for.
const CASE_ID: &str = "case";

fn is_segment(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&value.len())
        && value.bytes().all(plain)
        && !value.bytes().all(|b| b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(pairs: &[(&str, &str)]) -> Claims {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn a_claim_cannot_move_a_name_to_another_place() {
        let template: Template = "ci/{repository_id}/*".parse().unwrap();
        assert_eq!(
            template
                .fill(&claims(&[("repository_id", "812345")]))
                .unwrap(),
            "ci/812345/*"
        );
        for value in ["../prod", "1/2", "", "..", "*", "a b"] {
            let refused = template.fill(&claims(&[("repository_id", value)]));
            assert_eq!(
                refused,
                Err(BadTemplate::UnfitClaim("repository_id".to_owned())),
                "{value:?}"
            );
        }
        template.fill(&claims(&[])).unwrap_err();
    }

    #[test]
    fn a_claim_is_found_at_its_place_only_where_it_stands_alone() {
        let template: Template = "{repository_id}/run-{run_number}/{run_id}".parse().unwrap();
        assert_eq!(template.place_of("repository_id"), Some(0));
        assert_eq!(template.place_of("run_id"), Some(2));
        assert_eq!(template.place_of("run_number"), None);
        assert_eq!(template.place_of("run"), None);
    }

    #[test]
    fn broken_braces_are_refused() {
        for bad in ["{", "}", "{}", "a{b", "a}b", "{a b}", "{{a}}"] {
            assert!(bad.parse::<Template>().is_err(), "{bad:?} was taken");
        }
    }
}
