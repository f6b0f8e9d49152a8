//! A question that stands by itself: a case that ships beside policies, an operator's "what if", a decision
//! that was recorded. It is put to policies without a broker, and says what a broker would have asked them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::decide::engine::{PolicySet, Question, Risked, Target, Verb, Verdict};
use crate::domain::action::{Act, Effect, Resource, ResourceId};
use crate::domain::condition::nearest;
use crate::domain::constraint::Risk;
use crate::domain::context::{Record, RecordKind};
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::identity::{Identity, SpiffeId};
use crate::domain::name::{ActionName, GrantName, ProfileName, ResourceKind, SourceName};
use crate::domain::profile::{Allowance, SenderMode};
use crate::domain::time::Timestamp;

/// A question to policies, with everything that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Asked {
    verb: Verb,
    on: On,
    identity: Identity,
    source: SourceName,
    profile: ProfileName,
    grant: GrantName,
    allow: BTreeSet<Allowance>,
    sender: SenderMode,
    key_bound: bool,
    risk: Risked,
    now: Timestamp,
    records: Vec<Record>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Token {
        audiences: BTreeSet<Audience>,
        scopes: BTreeSet<Scope>,
    },
    Secret(SecretPath),
    JwtSvid(Audience),
    X509Svid,
    Act(Act, Effect),
}

/// The question in the form of its files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::decide) struct Written {
    pub(in crate::decide) request: Request,
    /// The identifying claims.
    #[serde(default)]
    pub(in crate::decide) claims: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "records")]
    pub(in crate::decide) records: Vec<Record>,
}

/// What is asked, without who asks and what is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    verb: Named,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    audiences: BTreeSet<Audience>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    scopes: BTreeSet<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<SecretPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<ActionName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    writes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<ResourceKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ResourceId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<SpiffeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<ProfileName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<GrantName>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    allow: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sender_required: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    key_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<AtRisk>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
}

/// A risk that was raised; without one it is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AtRisk {
    level: Risk,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    approved: bool,
}

/// A verb as files name it. To a policy a certificate that renews is one more certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Issue,
    Renew,
    Read,
    Identify,
    Certify,
    Check,
}

/// The file does not ask one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuestion(String);

impl Asked {
    /// The question as it was put: what a record of the decision keeps.
    pub(in crate::decide) fn of(question: &Question<'_>) -> Self {
        let on = match question.target {
            Target::Token {
                audiences, scopes, ..
            } => On::Token {
                audiences: audiences.clone(),
                scopes: scopes.clone(),
            },
            Target::Secret { path, .. } => On::Secret(path.clone()),
            Target::JwtSvid { audience, .. } => On::JwtSvid(audience.clone()),
            Target::X509Svid { .. } => On::X509Svid,
            Target::Act { act, effect, .. } => On::Act(act.clone(), effect),
        };
        Self {
            verb: question.verb,
            on,
            identity: question.identity.clone(),
            source: question.source.clone(),
            profile: question.profile.clone(),
            grant: question.target.grant().clone(),
            allow: question.allow.clone(),
            sender: question.sender,
            key_bound: question.key_bound,
            risk: question.risk,
            now: question.now,
            records: question.records.iter().copied().cloned().collect(),
        }
    }

    /// A question as it was recorded: the request, the identity's claims, and the fields of each record by its kind.
    ///
    /// # Errors
    /// It is no question, or a record is none.
    pub fn recorded(
        request: &Value,
        claims: &BTreeMap<String, String>,
        records: &[(String, BTreeMap<String, String>)],
    ) -> Result<Self, serde_json::Error> {
        let records: Vec<_> = records
            .iter()
            .map(|(kind, fields)| shaped(kind, fields))
            .collect();
        let written = json!({"request": request, "claims": claims, "records": records});
        serde_json::from_value(written)
    }

    pub fn judged_by(&self, policies: &PolicySet) -> Verdict {
        self.put(|question| policies.judge(question))
    }

    /// Puts the question, which borrows, to `judge`.
    pub(in crate::decide) fn put<T>(&self, judge: impl FnOnce(&Question<'_>) -> T) -> T {
        let grant = &self.grant;
        let target = match &self.on {
            On::Token { audiences, scopes } => Target::Token {
                grant,
                audiences,
                scopes,
            },
            On::Secret(path) => Target::Secret { grant, path },
            On::JwtSvid(audience) => Target::JwtSvid { grant, audience },
            On::X509Svid => Target::X509Svid { grant },
            On::Act(act, effect) => Target::Act {
                grant,
                act,
                effect: *effect,
            },
        };
        let records: Vec<_> = self.records.iter().collect();
        judge(&Question {
            verb: self.verb,
            identity: &self.identity,
            source: &self.source,
            profile: &self.profile,
            allow: &self.allow,
            sender: self.sender,
            target,
            records: &records,
            key_bound: self.key_bound,
            risk: self.risk,
            now: self.now,
        })
    }

    #[cfg(test)]
    pub(in crate::decide) fn from_json(json: Value) -> Self {
        serde_json::from_value(json).unwrap()
    }
}

impl Request {
    /// What a record of the decision keeps: everything but what a service said of a resource, which is its own.
    pub(in crate::decide) fn of(question: &Question<'_>) -> Self {
        let mut request = Written::from(Asked::of(question)).request;
        request.properties.clear();
        request
    }
}

impl TryFrom<Written> for Asked {
    type Error = BadQuestion;

    fn try_from(written: Written) -> Result<Self, BadQuestion> {
        let Written {
            request,
            claims,
            records,
        } = written;
        let on = request.on()?;
        let allow = request.allow.iter();
        let allow = allow.map(|risk| {
            Allowance::named(risk)
                .ok_or_else(|| BadQuestion(format!("`allow` has no risk {risk:?}")))
        });
        let id = match request.spiffe_id {
            Some(id) => id,
            None => constant(WORKLOAD)?,
        };
        Ok(Self {
            verb: request.verb.verb(),
            on,
            identity: Identity::new(id, claims),
            source: given_or(request.source, SOURCE)?,
            profile: given_or(request.profile, PROFILE)?,
            grant: given_or(request.grant, PROFILE)?,
            allow: allow.collect::<Result<_, _>>()?,
            sender: if request.sender_required {
                SenderMode::Required
            } else {
                SenderMode::Optional
            },
            key_bound: request.key_bound,
            risk: Risked {
                risk: request.risk.map(|at| at.level),
                approved: request.risk.is_some_and(|at| at.approved),
            },
            now: constant(request.now.as_deref().unwrap_or(NOON))?,
            records,
        })
    }
}

impl From<Asked> for Written {
    fn from(asked: Asked) -> Self {
        let mut request = Request::new(Named::of(asked.verb));
        match asked.on {
            On::Token { audiences, scopes } => {
                (request.audiences, request.scopes) = (audiences, scopes);
            }
            On::Secret(path) => request.secret = Some(path),
            On::JwtSvid(audience) => request.audiences = [audience].into(),
            On::X509Svid => {}
            On::Act(act, effect) => {
                request.action = Some(act.action);
                request.writes = effect == Effect::Writes;
                request.r#type = Some(act.resource.kind);
                request.id = Some(act.resource.id);
                request.properties = act.resource.properties;
            }
        }
        request.spiffe_id = Some(asked.identity.id().clone());
        request.source = Some(asked.source);
        request.profile = Some(asked.profile);
        request.grant = Some(asked.grant);
        let allow = asked.allow.into_iter();
        request.allow = allow.map(|risk| risk.as_str().to_owned()).collect();
        request.sender_required = asked.sender == SenderMode::Required;
        request.key_bound = asked.key_bound;
        request.risk = asked.risk.risk.map(|level| AtRisk {
            level,
            approved: asked.risk.approved,
        });
        request.now = Some(asked.now.to_string());
        Self {
            request,
            claims: asked.identity.fixed().clone(),
            records: asked.records,
        }
    }
}

impl Request {
    const fn new(verb: Named) -> Self {
        Self {
            verb,
            audiences: BTreeSet::new(),
            scopes: BTreeSet::new(),
            secret: None,
            action: None,
            writes: false,
            r#type: None,
            id: None,
            properties: BTreeMap::new(),
            spiffe_id: None,
            source: None,
            profile: None,
            grant: None,
            allow: BTreeSet::new(),
            sender_required: false,
            key_bound: false,
            risk: None,
            now: None,
        }
    }

    /// What the verb is about.
    fn on(&self) -> Result<On, BadQuestion> {
        self.stranger()?;
        Ok(match self.verb {
            Named::Issue | Named::Renew => On::Token {
                audiences: self.audiences.clone(),
                scopes: self.scopes.clone(),
            },
            Named::Read => On::Secret(self.needed(self.secret.as_ref(), "secret")?),
            Named::Identify => {
                let mut audiences = self.audiences.iter();
                match (audiences.next(), audiences.next()) {
                    (Some(_), Some(_)) => {
                        let what = "a JWT-SVID has one audience";
                        return Err(BadQuestion(what.to_owned()));
                    }
                    (audience, _) => On::JwtSvid(self.needed(audience, "audiences")?),
                }
            }
            Named::Certify => On::X509Svid,
            Named::Check => {
                let effect = if self.writes {
                    Effect::Writes
                } else {
                    Effect::Reads
                };
                On::Act(self.act()?, effect)
            }
        })
    }

    fn act(&self) -> Result<Act, BadQuestion> {
        Ok(Act {
            action: self.needed(self.action.as_ref(), "action")?,
            resource: Resource {
                kind: self.needed(self.r#type.as_ref(), "type")?,
                id: self.needed(self.id.as_ref(), "id")?,
                properties: self.properties.clone(),
            },
        })
    }

    /// Nothing is given that belongs to another verb.
    fn stranger(&self) -> Result<(), BadQuestion> {
        let given = [
            ("audiences", !self.audiences.is_empty()),
            ("scopes", !self.scopes.is_empty()),
            ("secret", self.secret.is_some()),
            ("action", self.action.is_some()),
            ("type", self.r#type.is_some()),
            ("id", self.id.is_some()),
            ("writes", self.writes),
            ("properties", !self.properties.is_empty()),
        ];
        let own: &[&str] = match self.verb {
            Named::Issue | Named::Renew => &["audiences", "scopes"],
            Named::Read => &["secret"],
            Named::Identify => &["audiences"],
            Named::Certify => &[],
            Named::Check => &["action", "type", "id", "writes", "properties"],
        };
        let mut given = given.iter().filter(|(_, given)| *given);
        given
            .find(|(name, _)| !own.contains(name))
            .map_or(Ok(()), |(name, _)| {
                let what = format!("`{name}` is nothing that `{}` asks with", self.verb.text());
                Err(BadQuestion(what))
            })
    }

    fn needed<T: Clone>(&self, given: Option<&T>, name: &str) -> Result<T, BadQuestion> {
        given.cloned().ok_or_else(|| {
            let verb = self.verb.text();
            BadQuestion(format!("`{verb}` asks with `{name}`, which is missing"))
        })
    }
}

impl Named {
    const fn of(verb: Verb) -> Self {
        match verb {
            Verb::Issue => Self::Issue,
            Verb::Renew => Self::Renew,
            Verb::Read => Self::Read,
            Verb::Identify => Self::Identify,
            Verb::Certify | Verb::Recertify => Self::Certify,
            Verb::Check => Self::Check,
        }
    }

    const fn verb(self) -> Verb {
        match self {
            Self::Issue => Verb::Issue,
            Self::Renew => Verb::Renew,
            Self::Read => Verb::Read,
            Self::Identify => Verb::Identify,
            Self::Certify => Verb::Certify,
            Self::Check => Verb::Check,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Renew => "renew",
            Self::Read => "read",
            Self::Identify => "identify",
            Self::Certify => "certify",
            Self::Check => "check",
        }
    }
}

/// Records whose every field is one that its kind has: a field with a slip in it would otherwise be absent.
pub(in crate::decide) fn records<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<Record>, D::Error> {
    use serde::de::Error as _;
    let values = Vec::<Value>::deserialize(from)?;
    let mut records = Vec::with_capacity(values.len());
    for value in values {
        let fields: Vec<String> = value
            .as_object()
            .map(|fields| fields.keys().cloned().collect())
            .unwrap_or_default();
        let record: Record = serde_json::from_value(value).map_err(D::Error::custom)?;
        let own = record.kind().fields().iter().copied();
        let known: Vec<_> = own.chain(form(record.kind()).iter().copied()).collect();
        if let Some(other) = fields.iter().find(|name| !known.contains(&name.as_str())) {
            let meant = nearest(other, known.iter().copied());
            let meant = meant.map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
            let what = format!("a {} has no field `{other}`{meant}", record.kind());
            return Err(D::Error::custom(what));
        }
        records.push(record);
    }
    Ok(records)
}

/// A record of its fields as the log has them: all of them text.
fn shaped(kind: &str, fields: &BTreeMap<String, String>) -> Value {
    let known = RecordKind::ALL.into_iter().find(|one| one.as_str() == kind);
    let own = known.map_or(&[][..], RecordKind::fields);
    let mut record = serde_json::Map::new();
    let mut more = serde_json::Map::new();
    record.insert("kind".to_owned(), json!(kind));
    for (name, value) in fields {
        let value = match (name.as_str(), value.as_str()) {
            ("protected", "true") => json!(true),
            ("protected", "false") => json!(false),
            _ => json!(value),
        };
        if own.contains(&name.as_str()) {
            record.insert(name.clone(), value);
        } else {
            more.insert(name.clone(), value);
        }
    }
    if !more.is_empty() {
        record.insert("more".to_owned(), Value::Object(more));
    }
    Value::Object(record)
}

/// The keys beside a record's fields.
fn form(kind: RecordKind) -> &'static [&'static str] {
    if kind == RecordKind::Case {
        &["kind", "more"]
    } else {
        &["kind"]
    }
}

fn given_or<T: std::str::FromStr<Err: std::fmt::Display>>(
    given: Option<T>,
    otherwise: &str,
) -> Result<T, BadQuestion> {
    given.map_or_else(|| constant(otherwise), Ok)
}

fn constant<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, BadQuestion> {
    text.parse()
        .map_err(|why: T::Err| BadQuestion(format!("{text:?}: {why}")))
}

/// What holds where a file does not say. The time stands still, so that a case is decided tomorrow as today.
const WORKLOAD: &str = "spiffe://example.org/github/9/812345";
const SOURCE: &str = "github";
const PROFILE: &str = "deploy";
const NOON: &str = "2026-03-02T12:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: Value) -> String {
        match serde_json::from_value::<Asked>(json) {
            Ok(_) => panic!("taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_question_that_asks_for_two_things_or_for_none_is_refused() {
        let table = [
            (json!({"verb": "read"}), "`secret`, which is missing"),
            (
                json!({"verb": "read", "secret": "a", "action": "x"}),
                "`action` is nothing",
            ),
            (
                json!({"verb": "check", "action": "read"}),
                "`type`, which is missing",
            ),
            (
                json!({"verb": "certify", "audiences": ["a"]}),
                "`audiences` is nothing",
            ),
            (
                json!({"verb": "identify", "audiences": ["a", "b"]}),
                "one audience",
            ),
            (json!({"verb": "steal"}), "unknown variant"),
            (
                json!({"verb": "certify", "allow": ["everything"]}),
                "no risk",
            ),
            (json!({"verb": "certify", "now": "noon"}), "noon"),
            (
                json!({"verb": "certify", "keybound": true}),
                "unknown field",
            ),
        ];
        for (request, why) in table {
            let said = refused(json!({"request": request}));
            assert!(said.contains(why), "{request}: {said}");
        }
    }

    #[test]
    fn a_misspelt_field_of_a_record_is_refused_with_the_nearest() {
        let said = refused(json!({
            "request": {"verb": "certify"},
            "records": [{"kind": "case", "status": "open", "asignee": "a-7"}],
        }));
        assert!(said.contains("did you mean `assignee`?"), "{said}");
    }

    #[test]
    fn a_question_survives_its_file() {
        for request in [
            json!({"verb": "issue", "audiences": ["https://a"], "scopes": ["x"], "allow": ["self-hosted"]}),
            json!({"verb": "read", "secret": "ci/prod", "profile": "other", "source": "gitlab"}),
            json!({"verb": "check", "action": "refund", "writes": true, "type": "invoice", "id": "7",
                   "properties": {"account": "AC-9"}, "key_bound": true}),
        ] {
            let asked = Asked::from_json(json!({
                "request": request, "claims": {"repository_id": "1"},
                "records": [{"kind": "job", "status": "in_progress"}],
            }));
            let again = Asked::from_json(serde_json::to_value(&asked).unwrap());
            assert_eq!(asked, again);
        }
    }
}
