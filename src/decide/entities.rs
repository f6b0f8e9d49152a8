//! From what the broker knows to what a policy sees: the only file that names the schema's types.
//!
//! Requests and entities are built here and nowhere else, from parsed values, so they are not
//! validated again for each decision; `every_shape_conforms_to_the_schema` checks the builder itself.

use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request,
    RestrictedExpression,
};

use crate::decide::engine::{Question, Target, Verb};
use crate::decide::select::Class;
use crate::domain::context::Record;
use crate::domain::grant::{Audience, SecretPath};
use crate::domain::identity::Selector;
use crate::domain::profile::{Allowance, SenderMode};

/// The schema's names, parsed once.
pub(super) struct Vocabulary {
    workload: EntityTypeName,
    source: EntityTypeName,
    profile: EntityTypeName,
    selector: EntityTypeName,
    service: EntityTypeName,
    secret: EntityTypeName,
    folder: EntityTypeName,
    issue: EntityUid,
    renew: EntityUid,
    read: EntityUid,
}

/// A question as Cedar takes it: one request for each resource, over the same entities.
pub(super) struct Scene {
    pub(super) asks: Vec<Ask>,
    pub(super) entities: Entities,
    /// The workload and everything that it is in.
    pub(super) principals: Vec<EntityUid>,
}

/// One request.
pub(super) struct Ask {
    pub(super) class: Class,
    pub(super) request: Request,
    /// The resource and everything that it is in.
    pub(super) resources: Vec<EntityUid>,
}

/// The question cannot be put; `0` is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unaskable(String);

impl Vocabulary {
    pub(super) fn new() -> Result<Self, ParseErrors> {
        let action = |name: &str| EntityUid::from_str(&format!("Writ::Action::\"{name}\""));
        Ok(Self {
            workload: EntityTypeName::from_str("Writ::Workload")?,
            source: EntityTypeName::from_str("Writ::Source")?,
            profile: EntityTypeName::from_str("Writ::Profile")?,
            selector: EntityTypeName::from_str("Writ::Selector")?,
            service: EntityTypeName::from_str("Writ::Service")?,
            secret: EntityTypeName::from_str("Writ::Secret")?,
            folder: EntityTypeName::from_str("Writ::Folder")?,
            issue: action("issue")?,
            renew: action("renew")?,
            read: action("read")?,
        })
    }

    /// Every action with the type of resource that it is about.
    pub(super) fn classes(&self) -> [Class; 3] {
        let class = |action: &EntityUid, resource: &EntityTypeName| Class {
            action: action.clone(),
            resource: resource.clone(),
        };
        [
            class(&self.issue, &self.service),
            class(&self.renew, &self.service),
            class(&self.read, &self.secret),
        ]
    }

    /// The question as requests over entities; no request at all for a token without audience.
    pub(super) fn scene(&self, question: &Question<'_>) -> Result<Scene, Unaskable> {
        let (workload, principals) = self.workload(question)?;
        let context = circumstances(question)?;
        let resources = match question.target {
            Target::Token { audiences, .. } => audiences
                .iter()
                .map(|audience| self.service(audience))
                .collect::<Result<Vec<_>, _>>()?,
            Target::Secret { path, .. } => vec![self.secret(path)?],
        };
        let mut asks = Vec::with_capacity(resources.len());
        let mut entities = Vec::with_capacity(resources.len() + 1);
        for (resource, present) in resources {
            let uid = resource.uid();
            let class = Class {
                action: self.action(question.verb).clone(),
                resource: uid.type_name().clone(),
            };
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

    fn action(&self, verb: Verb) -> &EntityUid {
        match verb {
            Verb::Issue => &self.issue,
            Verb::Renew => &self.renew,
            Verb::Read => &self.read,
        }
    }

    fn workload(&self, question: &Question<'_>) -> Result<Present, Unaskable> {
        let (identity, source) = (question.identity, question.source.as_str());
        let mut groups = vec![
            named(&self.source, source),
            named(&self.profile, question.profile.name.as_str()),
        ];
        let mut attributes = HashMap::from([
            ("source".to_owned(), text(source)),
            ("spiffe_id".to_owned(), text(identity.id().as_str())),
        ]);
        for (claim, value) in identity.fixed() {
            let selector = Selector::new(source, claim, value);
            groups.push(named(&self.selector, selector.as_str()));
            if TYPED_CLAIMS.contains(&claim.as_str()) {
                attributes.insert(claim.clone(), text(value));
            }
        }
        present(
            named(&self.workload, identity.id().as_str()),
            attributes,
            groups,
        )
    }

    fn service(&self, audience: &Audience) -> Result<Present, Unaskable> {
        let attributes = HashMap::from([("audience".to_owned(), text(audience.as_str()))]);
        let service = named(&self.service, audience.as_str());
        present(service, attributes, Vec::new())
    }

    fn secret(&self, path: &SecretPath) -> Result<Present, Unaskable> {
        let path = path.as_str();
        let ends = path.match_indices('/').map(|(end, _)| end);
        let folders = ends
            .filter_map(|end| path.get(..end))
            .map(|folder| named(&self.folder, folder))
            .collect();
        let attributes = HashMap::from([("path".to_owned(), text(path))]);
        present(named(&self.secret, path), attributes, folders)
    }
}

impl Unaskable {
    fn because(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// An entity, and the uids of it and of everything that it is in.
type Present = (Entity, Vec<EntityUid>);

fn present(
    uid: EntityUid,
    attributes: HashMap<String, RestrictedExpression>,
    groups: Vec<EntityUid>,
) -> Result<Present, Unaskable> {
    let parents: HashSet<_> = groups.iter().cloned().collect();
    let mut uids = groups;
    uids.push(uid.clone());
    let entity = Entity::new(uid, attributes, parents).map_err(Unaskable::because)?;
    Ok((entity, uids))
}

/// The schema's `Circumstances`. Two records of one kind are an error: no policy could tell which
/// of them it judges.
fn circumstances(question: &Question<'_>) -> Result<Context, Unaskable> {
    let (grant, scopes) = match question.target {
        Target::Token { grant, scopes, .. } => (grant, Some(scopes)),
        Target::Secret { grant, .. } => (grant, None),
    };
    let profile = question.profile;
    let allow = profile.allow.iter().map(|risk| match risk {
        Allowance::SelfHosted => text("self-hosted"),
        Allowance::PullRequest => text("pull-request"),
    });
    let sender_required = match profile.sender {
        SenderMode::Required => true,
        SenderMode::Optional => false,
    };
    let scopes = scopes
        .into_iter()
        .flatten()
        .map(|scope| text(scope.as_str()));
    let mut pairs = vec![
        ("profile".to_owned(), text(profile.name.as_str())),
        ("grant".to_owned(), text(grant.as_str())),
        ("allow".to_owned(), RestrictedExpression::new_set(allow)),
        ("sender_required".to_owned(), truth(sender_required)),
        ("key_bound".to_owned(), truth(question.key_bound)),
        ("scopes".to_owned(), RestrictedExpression::new_set(scopes)),
        (
            "now".to_owned(),
            RestrictedExpression::new_datetime(question.now.whole_seconds().to_string()),
        ),
    ];
    for record in question.records {
        pairs.push((record.kind().as_str().to_owned(), shape(record)?));
    }
    Context::from_pairs(pairs).map_err(Unaskable::because)
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
    use crate::decide::cases::Asked;
    use crate::decide::load;

    fn conforms(schema: &Schema, asked: &Asked) {
        let vocabulary = Vocabulary::new().unwrap();
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
        ]);
        let bare = json!([
            {"kind": "pipeline", "status": "in_progress"},
            {"kind": "job", "status": "completed"},
        ]);
        let requests = [
            json!({"verb": "issue", "audiences": ["a", "https://b/c"], "scopes": ["x", "y"],
                   "allow": ["pull-request", "self-hosted"]}),
            json!({"verb": "renew", "audiences": ["a"], "sender_required": true,
                   "key_bound": true, "now": "1969-12-31T23:59:59Z"}),
            json!({"verb": "read", "secret": "a"}),
            json!({"verb": "read", "secret": "a/b/c"}),
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
    fn the_schema_has_the_classes_and_no_action_groups() {
        let schema = load::schema().unwrap();
        assert_eq!(schema.action_groups().next(), None);
        let classes = Vocabulary::new().unwrap().classes();
        let environments: Vec<_> = schema.request_envs().collect();
        assert_eq!(environments.len(), classes.len());
        for class in classes {
            assert!(environments.iter().any(|environment| {
                *environment.action() == class.action && *environment.resource() == class.resource
            }));
        }
    }
}
