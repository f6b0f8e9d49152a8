//! Policies ship with their cases: `policies/cases/*.json` each say what is asked, what is known, and
//! which decision by which policy has to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::decide::engine::{PolicySet, Question, Target, Verb, Verdict};
use crate::decide::load::PolicySource;
use crate::domain::action::{Act, Effect, Resource, ResourceId};
use crate::domain::context::Record;
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::identity::{Identity, SpiffeId};
use crate::domain::name::{ActionName, GrantName, ResourceKind, SourceName};
use crate::domain::profile::{
    Allowance, Lifetimes, Naming, Recorded, RenewalMode, SenderMode, TaskProfile, Template,
};
use crate::domain::time::Timestamp;
use crate::error::Code;

/// One case file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows, in a sentence.
    claim: String,
    /// Policies beside the shipped ones.
    #[serde(default)]
    policies: Vec<String>,
    #[serde(flatten)]
    asked: Asked,
    expect: Expected,
}

/// The request and the facts, owned.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Asked {
    pub(super) request: Request,
    /// The identifying claims.
    #[serde(default)]
    pub(super) claims: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) records: Vec<Record>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    verb: String,
    #[serde(default)]
    audiences: BTreeSet<Audience>,
    #[serde(default)]
    scopes: BTreeSet<Scope>,
    secret: Option<SecretPath>,
    action: Option<ActionName>,
    #[serde(default)]
    writes: bool,
    r#type: Option<ResourceKind>,
    id: Option<ResourceId>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    allow: BTreeSet<String>,
    #[serde(default)]
    sender_required: bool,
    #[serde(default)]
    key_bound: bool,
    /// RFC 3339.
    now: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "decision", rename_all = "snake_case")]
enum Expected {
    Permitted {
        policies: Vec<String>,
    },
    Denied {
        code: Code,
        policies: Vec<String>,
        #[serde(default)]
        errors: usize,
    },
}

impl Asked {
    pub(super) fn from_json(json: serde_json::Value) -> Self {
        serde_json::from_value(json).unwrap()
    }

    pub(super) fn judged_by(&self, policies: &PolicySet) -> Verdict {
        self.put(|question| policies.judge(question))
    }

    /// Puts the question, which borrows, to `judge`.
    pub(super) fn put<T>(&self, judge: impl FnOnce(&Question<'_>) -> T) -> T {
        let id: SpiffeId = "spiffe://example.org/github/9/812345".parse().unwrap();
        let identity = Identity::new(id, self.claims.clone());
        let source: SourceName = "github".parse().unwrap();
        let grant: GrantName = "deploy".parse().unwrap();
        let profile = self.request.profile();
        let records: Vec<_> = self.records.iter().collect();
        let act = self.request.act();
        let target = match &self.request.secret {
            Some(path) => Target::Secret {
                grant: &grant,
                path,
            },
            None if self.request.verb() == Verb::Identify => Target::JwtSvid {
                grant: &grant,
                audience: self.request.audiences.first().unwrap(),
            },
            None if self.request.verb() == Verb::Certify => Target::X509Svid { grant: &grant },
            None if let Some(act) = &act => Target::Act {
                grant: &grant,
                act,
                effect: self.request.effect(),
            },
            None => Target::Token {
                grant: &grant,
                audiences: &self.request.audiences,
                scopes: &self.request.scopes,
            },
        };
        judge(&Question {
            verb: self.request.verb(),
            identity: &identity,
            source: &source,
            profile: &profile,
            target,
            records: &records,
            key_bound: self.request.key_bound,
            now: self.request.now(),
        })
    }
}

impl Request {
    fn verb(&self) -> Verb {
        match self.verb.as_str() {
            "issue" => Verb::Issue,
            "renew" => Verb::Renew,
            "read" => Verb::Read,
            "identify" => Verb::Identify,
            "certify" => Verb::Certify,
            "check" => Verb::Check,
            other => panic!("no verb {other}"),
        }
    }

    fn act(&self) -> Option<Act> {
        Some(Act {
            action: self.action.clone()?,
            resource: Resource {
                kind: self.r#type.clone()?,
                id: self.id.clone()?,
                properties: self.properties.clone(),
            },
        })
    }

    const fn effect(&self) -> Effect {
        if self.writes {
            Effect::Writes
        } else {
            Effect::Reads
        }
    }

    fn now(&self) -> Timestamp {
        let text = self.now.as_deref().unwrap_or("2026-03-02T12:00:00Z");
        let format = &::time::format_description::well_known::Rfc3339;
        let at = ::time::OffsetDateTime::parse(text, format).unwrap();
        Timestamp::from_micros(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap())
    }

    fn profile(&self) -> TaskProfile {
        let template = |text: &str| text.parse::<Template>().unwrap();
        let allow = self.allow.iter().map(|name| match name.as_str() {
            "pull-request" => Allowance::PullRequest,
            "self-hosted" => Allowance::SelfHosted,
            other => panic!("no risk {other}"),
        });
        TaskProfile {
            name: "deploy".parse().unwrap(),
            source: "github".parse().unwrap(),
            ids: BTreeSet::new(),
            matches: BTreeMap::new(),
            naming: Naming::Evidence(template("{run_id}")),
            instance: template("{check_run_id}"),
            bindings: Vec::new(),
            grants: BTreeMap::new(),
            lifetimes: Lifetimes {
                deadline: Duration::from_hours(1),
                token: Duration::from_mins(5),
                lease: Duration::from_mins(5),
                certificate: Duration::from_mins(10),
                session: Duration::from_mins(15),
            },
            renewal: RenewalMode::Handle,
            sender: if self.sender_required {
                SenderMode::Required
            } else {
                SenderMode::Optional
            },
            evidence_uses: 1,
            allow: allow.collect(),
            reads_recorded: Recorded::default(),
        }
    }
}

impl Case {
    fn verdict(&self) -> Verdict {
        let own = PolicySource {
            name: "case.cedar".to_owned(),
            text: self.policies.join("\n"),
        };
        let policies = PolicySet::load(&[PolicySource::shipped(), own]).unwrap();
        self.asked.judged_by(&policies)
    }
}

fn holds(expected: &Expected, verdict: &Verdict) -> bool {
    match (expected, verdict) {
        (Expected::Permitted { policies }, Verdict::Permitted { policies: by }) => policies == by,
        (
            Expected::Denied {
                code,
                policies,
                errors,
            },
            Verdict::Denied {
                code: given,
                policies: by,
                errors: failed,
                ..
            },
        ) => code == given && policies == by && *errors == failed.len(),
        (Expected::Permitted { .. }, Verdict::Denied { .. })
        | (Expected::Denied { .. }, Verdict::Permitted { .. }) => false,
    }
}

#[test]
fn every_shipped_case_is_decided_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/cases");
    let mut deciding = BTreeSet::new();
    let mut failed = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Case = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let verdict = case.verdict();
        if !holds(&case.expect, &verdict) {
            failed.push(format!("{}: {}: {verdict:?}", path.display(), case.claim));
        }
        match verdict {
            Verdict::Permitted { policies } | Verdict::Denied { policies, .. } => {
                deciding.extend(policies);
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let undecided: Vec<_> = PolicySet::shipped()
        .ids()
        .iter()
        .filter(|id| !deciding.contains(*id))
        .cloned()
        .collect();
    assert!(undecided.is_empty(), "no case is decided by {undecided:?}");
}
