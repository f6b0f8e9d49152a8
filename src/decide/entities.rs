//! From what the broker knows to what a policy sees: the only file that names the schema's types.
//!
//! Requests and entities are built here and nowhere else, from parsed values, so they are not
//! validated again for each decision; `every_shape_conforms_to_the_schema` checks the builder itself.

use std::str::FromStr as _;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request,
    RestrictedExpression,
};

use crate::decide::engine::{Question, Risked, Target, Verb};
use crate::decide::mention::{Mentions, Named};
use crate::decide::select::Class;
use crate::domain::action::{Effect, Resource};
use crate::domain::constraint::Risk;
use crate::domain::context::Record;
use crate::domain::grant::{Audience, SecretPath};
use crate::domain::identity::{Identity, Selector};
use crate::domain::profile::SenderMode;

/// The schema's names, parsed once, and what the policies name of them.
pub(super) struct Vocabulary {
    workload: EntityTypeName,
    service: EntityTypeName,
    secret: EntityTypeName,
    trust_domain: EntityTypeName,
    resource: EntityTypeName,
    issue: EntityUid,
    renew: EntityUid,
    read: EntityUid,
    identify: EntityUid,
    certify: EntityUid,
    check: EntityUid,
    sources: Named,
    profiles: Named,
    selectors: Named,
    folders: Named,
    kinds: Named,
    mentions: Mentions,
}

/// A question as Cedar takes it: one request for each resource, over the same entities.
pub(super) struct Scene {
    pub(super) asks: Vec<Ask>,
    pub(super) entities: Entities,
    /// The workload and every named entity that it is in.
    pub(super) principals: Vec<EntityUid>,
}

/// One request.
pub(super) struct Ask {
    pub(super) class: Class,
    pub(super) request: Request,
    /// The resource and every named entity that it is in.
    pub(super) resources: Vec<EntityUid>,
}

/// The question cannot be put; `0` is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unaskable(String);

impl Vocabulary {
    pub(super) fn new(mut mentions: Mentions) -> Result<Self, Box<ParseErrors>> {
        let kind =
            |name: &str| EntityTypeName::from_str(&format!("Writ::{name}")).map_err(Box::new);
        let action = kind("Action")?;
        Ok(Self {
            workload: kind("Workload")?,
            service: kind("Service")?,
            secret: kind("Secret")?,
            trust_domain: kind("TrustDomain")?,
            resource: kind("Resource")?,
            issue: named(&action, "issue"),
            renew: named(&action, "renew"),
            read: named(&action, "read"),
            identify: named(&action, "identify"),
            certify: named(&action, "certify"),
            check: named(&action, "check"),
            sources: mentions.take(&kind("Source")?),
            profiles: mentions.take(&kind("Profile")?),
            selectors: mentions.take(&kind("Selector")?),
            folders: mentions.take(&kind("Folder")?),
            kinds: mentions.take(&kind("Kind")?),
            mentions,
        })
    }

    /// Every action with the type of resource that it is about.
    pub(super) fn classes(&self) -> [Class; 6] {
        [
            self.class(Verb::Issue, &self.service),
            self.class(Verb::Renew, &self.service),
            self.class(Verb::Read, &self.secret),
            self.class(Verb::Identify, &self.service),
            self.class(Verb::Certify, &self.trust_domain),
            self.class(Verb::Check, &self.resource),
        ]
    }

    /// The question as requests over entities; no request at all for a token without audience.
    pub(super) fn scene(&self, question: &Question<'_>) -> Result<Scene, Unaskable> {
        let (workload, principals) = self.workload(question)?;
        let context = self.circumstances(question)?;
        let resources = match question.target {
            Target::Token { audiences, .. } => audiences
                .iter()
                .map(|audience| self.service(audience))
                .collect::<Result<Vec<_>, _>>()?,
            Target::Secret { path, .. } => vec![self.secret(path)?],
            Target::JwtSvid { audience, .. } => vec![self.service(audience)?],
            Target::X509Svid { .. } => vec![self.own_domain(question.identity)?],
            Target::Act { act, .. } => vec![self.thing(&act.resource)?],
        };
        let mut asks = Vec::with_capacity(resources.len());
        let mut entities = Vec::with_capacity(resources.len() + 1);
        for (resource, present) in resources {
            let uid = resource.uid();
            let class = self.class(question.verb, uid.type_name());
            let action = class.action.clone();
            let request = Request::new(workload.uid(), action, uid, context.clone(), None)
                .map_err(Unaskable::because)?;
            asks.push(Ask {
                class,
                request,
                resources: present,
            });
            entities.push(resource);
        }
        entities.push(workload);
        Ok(Scene {
            asks,
            entities: Entities::from_entities(entities, None).map_err(Unaskable::because)?,
            principals,
        })
    }

    fn class(&self, verb: Verb, resource: &EntityTypeName) -> Class {
        let action = match verb {
            Verb::Issue => &self.issue,
            Verb::Renew => &self.renew,
            Verb::Read => &self.read,
            Verb::Identify => &self.identify,
            Verb::Certify | Verb::Recertify => &self.certify,
            Verb::Check => &self.check,
        };
        Class {
            principal: self.workload.clone(),
            action: action.clone(),
            resource: resource.clone(),
        }
    }

    fn workload(&self, question: &Question<'_>) -> Result<Present, Unaskable> {
        let (identity, source) = (question.identity, question.source.as_str());
        let mut groups = Vec::new();
        groups.extend(self.sources.get(source));
        groups.extend(self.profiles.get(question.profile.as_str()));
        let mut attributes = Attributes::default();
        self.add(&mut attributes, "source", || text(source));
        self.add(&mut attributes, "spiffe_id", || {
            text(identity.id().as_str())
        });
        for (claim, value) in identity.fixed() {
            if !self.selectors.is_empty() {
                let selector = Selector::new(source, claim, value);
                groups.extend(self.selectors.get(selector.as_str()));
            }
            if TYPED_CLAIMS.contains(&claim.as_str()) {
                self.add(&mut attributes, claim, || text(value));
            }
        }
        let uid = named(&self.workload, identity.id().as_str());
        present(uid, attributes, groups)
    }

    fn service(&self, audience: &Audience) -> Result<Present, Unaskable> {
        let mut attributes = Attributes::default();
        self.add(&mut attributes, "audience", || text(audience.as_str()));
        let service = named(&self.service, audience.as_str());
        present(service, attributes, Vec::new())
    }

    /// The trust domain that the workload is in: whom a certificate is for.
    fn own_domain(&self, identity: &Identity) -> Result<Present, Unaskable> {
        let domain = named(&self.trust_domain, identity.id().trust_domain());
        present(domain, Attributes::default(), Vec::new())
    }

    fn secret(&self, path: &SecretPath) -> Result<Present, Unaskable> {
        let path = path.as_str();
        let ends = path.match_indices('/').map(|(end, _)| end);
        let folders = ends
            .filter_map(|end| self.folders.get(path.get(..end)?))
            .collect();
        let mut attributes = Attributes::default();
        self.add(&mut attributes, "path", || text(path));
        present(named(&self.secret, path), attributes, folders)
    }

    /// What an action is about. What its service says of it are tags, since no schema knows their names.
    fn thing(&self, resource: &Resource) -> Result<Present, Unaskable> {
        let kind = resource.kind.as_str();
        let groups: Vec<_> = self.kinds.get(kind).into_iter().collect();
        let mut attributes = Attributes::default();
        self.add(&mut attributes, "kind", || text(kind));
        self.add(&mut attributes, "name", || text(resource.id.as_str()));
        let tags = resource.properties.iter();
        let tags = tags.filter(|(name, _)| self.mentions.reads(name));
        let tags: Vec<_> = tags
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let uid = named(&self.resource, &format!("{kind}/{}", resource.id.as_str()));
        let mut uids = groups.clone();
        uids.push(uid.clone());
        let entity =
            Entity::new_with_tags(uid, attributes, groups, tags).map_err(Unaskable::because)?;
        Ok((entity, uids))
    }

    /// The schema's `Circumstances`, or its `Deed` where an action is asked about. Two records of one kind are an error: no policy could tell which
    /// of them it judges.
    fn circumstances(&self, question: &Question<'_>) -> Result<Context, Unaskable> {
        let grant = question.target.grant();
        let scopes = match question.target {
            Target::Token { scopes, .. } => Some(scopes),
            Target::Secret { .. }
            | Target::JwtSvid { .. }
            | Target::X509Svid { .. }
            | Target::Act { .. } => None,
        };
        let allow = question.allow.iter().map(|risk| text(risk.as_str()));
        let sender_required = match question.sender {
            SenderMode::Required => true,
            SenderMode::Optional => false,
        };
        let scopes = scopes.into_iter().flatten();
        let mut pairs = Attributes::default();
        self.add(&mut pairs, "profile", || text(question.profile.as_str()));
        self.add(&mut pairs, "grant", || text(grant.as_str()));
        self.add(&mut pairs, "allow", || RestrictedExpression::new_set(allow));
        self.add(&mut pairs, "sender_required", || truth(sender_required));
        self.add(&mut pairs, "key_bound", || truth(question.key_bound));
        self.add(&mut pairs, "scopes", || {
            RestrictedExpression::new_set(scopes.map(|scope| text(scope.as_str())))
        });
        self.add(&mut pairs, "now", || {
            // Cedar reads whole seconds or milliseconds, nothing finer.
            RestrictedExpression::new_datetime(question.now.whole_seconds().to_string())
        });
        if self.mentions.reads("risk") {
            pairs.push(("risk".to_owned(), risk(question.risk)?));
        }
        if let Target::Act { act, effect, .. } = question.target {
            self.add(&mut pairs, "action", || text(act.action.as_str()));
            self.add(&mut pairs, "writes", || truth(effect == Effect::Writes));
        }
        for record in question.records {
            pairs.push((record.kind().as_str().to_owned(), shape(record)?));
        }
        Context::from_pairs(pairs).map_err(Unaskable::because)
    }

    /// Adds an attribute that some policy reads.
    fn add(
        &self,
        attributes: &mut Attributes,
        name: &str,
        value: impl FnOnce() -> RestrictedExpression,
    ) {
        if self.mentions.reads(name) {
            attributes.push((name.to_owned(), value()));
        }
    }
}

impl Unaskable {
    fn because(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

type Attributes = Vec<(String, RestrictedExpression)>;

/// An entity, and the uids of it and of every named one that it is in.
type Present = (Entity, Vec<EntityUid>);

fn present(
    uid: EntityUid,
    attributes: Attributes,
    groups: Vec<EntityUid>,
) -> Result<Present, Unaskable> {
    let parents = groups.clone();
    let mut uids = groups;
    uids.push(uid.clone());
    let entity = Entity::new_with_tags(uid, attributes, parents, []).map_err(Unaskable::because)?;
    Ok((entity, uids))
}

/// The schema's `Risk`.
fn risk(known: Risked) -> Result<RestrictedExpression, Unaskable> {
    let level = match known.risk {
        None => 0,
        Some(Risk::Medium) => 1,
        Some(Risk::High) => 2,
    };
    let fields = [
        ("level".to_owned(), RestrictedExpression::new_long(level)),
        ("approved".to_owned(), truth(known.approved)),
    ];
    RestrictedExpression::new_record(fields).map_err(Unaskable::because)
}

/// A record by its fields, each of the type that the schema gives it.
fn shape(record: &Record) -> Result<RestrictedExpression, Unaskable> {
    let fields = match record {
        Record::Environment(environment) => vec![
            ("id".to_owned(), text(&environment.id)),
            ("name".to_owned(), text(&environment.name)),
            (
                "protection_rules".to_owned(),
                text(&environment.protection_rules),
            ),
            ("protected".to_owned(), truth(environment.protected)),
        ],
        Record::Case(case) => {
            let more = case.more.iter();
            let more = more.map(|(name, value)| text(&format!("{name}={value}")));
            let own = record.kind().fields().iter();
            own.filter_map(|name| Some(((*name).to_owned(), text(record.field(name)?))))
                .chain([("fields".to_owned(), RestrictedExpression::new_set(more))])
                .collect()
        }
        Record::Pipeline(_) | Record::Job(_) => record
            .fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), text(value)))
            .collect(),
    };
    RestrictedExpression::new_record(fields).map_err(Unaskable::because)
}

fn named(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn truth(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

/// The identifying claims that a policy can read as attributes; all are selectors too.
const TYPED_CLAIMS: [&str; 8] = [
    "environment",
    "event_name",
    "job_workflow_ref",
    "pipeline_source",
    "ref",
    "repository_id",
    "repository_owner_id",
    "runner_environment",
];

#[cfg(test)]
mod tests {
    use cedar_policy::Schema;
    use serde_json::json;

    use super::*;
    use crate::decide::asked::Asked;
    use crate::decide::load::{self, PolicySource};

    /// The vocabulary of policies that name every group below and read every attribute.
    fn vocabulary() -> Vocabulary {
        let claims = TYPED_CLAIMS.map(|claim| format!("principal has {claim}"));
        let text = format!(
            r#"@id("groups") permit (principal, action, resource) when {{
                principal in Writ::Source::"github" || principal in Writ::Profile::"deploy" ||
                principal in Writ::Selector::"github:ref:x" ||
                resource in [Writ::Folder::"a", Writ::Folder::"a/b"] || {}
            }};
            @id("workload") permit (principal, action, resource) when {{
                context.now == datetime("2026-01-01") && context.grant == context.profile &&
                context.scopes == context.allow && context.key_bound == context.sender_required &&
                principal.source == principal.spiffe_id
            }};
            @id("secret") permit (principal, action, resource is Writ::Secret)
                when {{ resource.path like "a*" }};
            @id("thing") permit (principal, action == Writ::Action::"check", resource) when {{
                resource in Writ::Kind::"invoice" && resource.kind == resource.name &&
                resource.hasTag("account") && context.writes && context.action like "a*" &&
                context.risk.approved && context.risk.level > 0
            }};
            @id("service") permit (principal, action, resource is Writ::Service)
                when {{ resource.audience like "a*" }};"#,
            claims.join(" || ")
        );
        let source = PolicySource {
            name: "all.cedar".to_owned(),
            text,
        };
        let rules = load::rules(&load::schema().unwrap(), &[source]).unwrap();
        Vocabulary::new(Mentions::of(&rules)).unwrap()
    }

    fn conforms(schema: &Schema, asked: &Asked) {
        let vocabulary = vocabulary();
        let scene = asked.put(|question| vocabulary.scene(question).unwrap());
        assert!(!scene.asks.is_empty());
        for ask in scene.asks {
            Request::new(
                ask.request.principal().unwrap().clone(),
                ask.request.action().unwrap().clone(),
                ask.request.resource().unwrap().clone(),
                ask.request.context().unwrap().clone(),
                Some(schema),
            )
            .unwrap();
        }
        Entities::from_entities(scene.entities, Some(schema)).unwrap();
    }

    #[test]
    fn every_shape_conforms_to_the_schema() {
        let schema = load::schema().unwrap();
        let everything: serde_json::Map<_, _> = TYPED_CLAIMS
            .iter()
            .chain(&["project_id"])
            .map(|claim| ((*claim).to_owned(), json!("x")))
            .collect();
        let full = json!([
            {"kind": "pipeline", "status": "queued", "conclusion": "c", "event": "e",
             "head_sha": "s", "head_branch": "b", "workflow": "w"},
            {"kind": "job", "status": "waiting", "conclusion": "c"},
            {"kind": "environment", "id": "1", "name": "n", "protection_rules": "r",
             "protected": true},
            {"kind": "case", "status": "pending", "assignee": "17", "account": "AC-9",
             "more": {"queue": "billing"}},
        ]);
        let bare = json!([
            {"kind": "pipeline", "status": "in_progress"},
            {"kind": "job", "status": "completed"},
            {"kind": "case", "status": "open"},
        ]);
        let requests = [
            json!({"verb": "issue", "audiences": ["a", "https://b/c"], "scopes": ["x", "y"],
                   "allow": ["pull-request", "self-hosted"]}),
            json!({"verb": "renew", "audiences": ["a"], "sender_required": true,
                   "key_bound": true, "now": "1969-12-31T23:59:59.123456Z"}),
            json!({"verb": "read", "secret": "a"}),
            json!({"verb": "read", "secret": "a/b/c"}),
            json!({"verb": "identify", "audiences": ["a"]}),
            json!({"verb": "certify"}),
            json!({"verb": "check", "action": "read", "type": "invoice", "id": "7",
                   "properties": {"account": "AC-9"}}),
            json!({"verb": "check", "action": "refund", "writes": true, "type": "invoice", "id": "7"}),
        ];
        for request in requests {
            for records in [json!([]), bare.clone(), full.clone()] {
                for claims in [json!({}), json!(everything)] {
                    conforms(
                        &schema,
                        &Asked::from_json(json!({
                            "request": request, "claims": claims, "records": records,
                        })),
                    );
                }
            }
        }
    }

    #[test]
    fn a_group_is_the_one_of_the_right_source_claim_and_path() {
        let vocabulary = vocabulary();
        let groups = |asked: serde_json::Value| {
            let scene = Asked::from_json(asked).put(|q| vocabulary.scene(q).unwrap());
            let resources = scene.asks.into_iter().flat_map(|ask| ask.resources);
            let all = scene.principals.into_iter().chain(resources);
            all.map(|uid| uid.to_string())
                .filter(|uid| !uid.contains("Workload") && !uid.contains("Secret"))
                .collect::<Vec<_>>()
        };
        let secret = |path: &str| json!({"verb": "read", "secret": path});
        assert_eq!(
            groups(json!({"request": secret("a/b/c"), "claims": {"ref": "x"}})),
            [
                "Writ::Source::\"github\"",
                "Writ::Profile::\"deploy\"",
                "Writ::Selector::\"github:ref:x\"",
                "Writ::Folder::\"a\"",
                "Writ::Folder::\"a/b\"",
            ]
        );
        let asked =
            |kind: &str| json!({"verb": "check", "action": "read", "type": kind, "id": "7"});
        assert_eq!(
            groups(json!({"request": asked("invoice")})),
            [
                "Writ::Source::\"github\"",
                "Writ::Profile::\"deploy\"",
                "Writ::Kind::\"invoice\"",
                "Writ::Resource::\"invoice/7\"",
            ]
        );
        assert_eq!(
            groups(json!({"request": secret("ab/b"), "claims": {"head_ref": "x"}})),
            ["Writ::Source::\"github\"", "Writ::Profile::\"deploy\""]
        );
    }

    #[test]
    fn the_schema_has_the_classes_and_no_action_groups() {
        let schema = load::schema().unwrap();
        assert_eq!(schema.action_groups().next(), None);
        let classes = vocabulary().classes();
        let environments: Vec<_> = schema.request_envs().collect();
        assert_eq!(environments.len(), classes.len());
        for class in classes {
            assert!(environments.iter().any(|environment| {
                *environment.action() == class.action && *environment.resource() == class.resource
            }));
        }
    }
}
