//! The compiled policy set and its one question: may this workload have this, now?
//!
//! What must stay true: nothing is permitted that no policy permits; a policy that fails to evaluate
//! is a denial, because Cedar would otherwise pass over a failing forbid; and each resource of a
//! request is permitted by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cedar_policy::{Authorizer, Decision, Effect};

use crate::decide::entities::{Ask, Scene, Vocabulary};
use crate::decide::load::{self, PolicyError, PolicySource, Rule};
use crate::decide::mention::Mentions;
use crate::decide::select::Selection;
use crate::domain::action::{self, Act};
use crate::domain::constraint::Risk;
use crate::domain::context::Record;
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::identity::Identity;
use crate::domain::key::Digest;
use crate::domain::name::{GrantName, ProfileName, SourceName};
use crate::domain::profile::{Allowance, SenderMode};
use crate::domain::time::Timestamp;
use crate::error::Code;

/// Policies that were validated against the schema, arranged for judging.
pub struct PolicySet {
    digest: Digest,
    ids: Vec<String>,
    /// By what each policy is told from what it was.
    marks: BTreeMap<String, Digest>,
    forbids: BTreeMap<String, Reason>,
    selection: Selection,
    vocabulary: Vocabulary,
    authorizer: Authorizer,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A token for a session that opens.
    Issue,
    /// A token for a session that exists.
    Renew,
    /// A secret.
    Read,
    /// A JWT-SVID.
    Identify,
    /// An X.509-SVID.
    Certify,
    /// An X.509-SVID, by the one before it; to a policy it is one more certificate.
    Recertify,
    /// An action on a resource.
    Check,
}

/// What it is asked for; the invariants have already found it within the grant.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Token {
        grant: &'a GrantName,
        audiences: &'a BTreeSet<Audience>,
        scopes: &'a BTreeSet<Scope>,
    },
    Secret {
        grant: &'a GrantName,
        path: &'a SecretPath,
    },
    JwtSvid {
        grant: &'a GrantName,
        audience: &'a Audience,
    },
    X509Svid {
        grant: &'a GrantName,
    },
    Act {
        grant: &'a GrantName,
        act: &'a Act,
        effect: action::Effect,
    },
}

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub verb: Verb,
    pub identity: &'a Identity,
    /// The source of the evidence.
    pub source: &'a SourceName,
    pub profile: &'a ProfileName,
    /// The risks that the profile takes by name.
    pub allow: &'a BTreeSet<Allowance>,
    pub sender: SenderMode,
    pub target: Target<'a>,
    /// The records that the task is bound to, fresh, at most one of a kind.
    pub records: &'a [&'a Record],
    /// Whether the caller proved a session key.
    pub key_bound: bool,
    pub risk: Risked,
    pub now: Timestamp,
}

/// What is known of a lineage's risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Risked {
    /// None: low.
    pub risk: Option<Risk>,
    /// Whether enough approvals hold.
    pub approved: bool,
}

/// The answer, and the policies that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Permitted {
        /// The permits that applied, by id.
        policies: Vec<String>,
    },
    Denied {
        /// The code of the first forbid that applied, by id; else `policy_denied`.
        code: Code,
        /// The forbids that applied, by id; none where nothing permits it.
        policies: Vec<String>,
        /// What would help, by that forbid.
        advice: Option<String>,
        /// What failed to evaluate: for the operator only.
        errors: Vec<String>,
    },
}

impl Target<'_> {
    /// The grant that it is under.
    pub const fn grant(&self) -> &GrantName {
        match self {
            Self::Token { grant, .. }
            | Self::Secret { grant, .. }
            | Self::JwtSvid { grant, .. }
            | Self::X509Svid { grant }
            | Self::Act { grant, .. } => grant,
        }
    }
}

impl Verdict {
    /// The policies that gave it.
    pub fn policies(&self) -> &[String] {
        match self {
            Self::Permitted { policies } | Self::Denied { policies, .. } => policies,
        }
    }

    pub const fn is_permitted(&self) -> bool {
        matches!(self, Self::Permitted { .. })
    }
}

/// What a forbid says when it applies.
struct Reason {
    code: Code,
    advice: Option<String>,
}

/// What the policies said to one request.
#[derive(Default)]
struct Findings {
    permits: BTreeSet<String>,
    forbids: BTreeSet<String>,
    errors: Vec<String>,
}

impl PolicySet {
    /// Compiles and checks policies. Only these apply: [`PolicySource::shipped`] has to be among
    /// them where the shipped ones shall.
    ///
    /// The digest is over the schema and every source's name and text, in the order of names.
    pub fn load(sources: &[PolicySource]) -> Result<Self, PolicyError> {
        let schema = load::schema()?;
        let rules = load::rules(&schema, sources)?;
        let vocabulary = Vocabulary::new(Mentions::of(&rules)).map_err(load::broken_schema)?;
        let selection =
            Selection::new(vocabulary.classes(), &rules).map_err(load::broken_schema)?;
        let mut ids: Vec<_> = rules.iter().map(Rule::id).collect();
        ids.sort_unstable();
        let marks = rules.iter().map(|rule| (rule.id(), rule.mark()));
        Ok(Self {
            digest: digest(sources),
            ids,
            marks: marks.collect(),
            forbids: reasons(rules),
            selection,
            vocabulary,
            authorizer: Authorizer::new(),
        })
    }

    /// The shipped policies alone.
    pub fn shipped() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the text is compiled in, and the tests load it"
        )]
        Self::load(&[PolicySource::shipped()]).expect("the shipped policies are valid")
    }

    /// Which policies these are; another digest is another policy set.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The same policies, known besides by what they decide inside of.
    #[must_use]
    pub fn beside(self, terms: Digest) -> Self {
        Self {
            digest: Digest::of(&[self.digest.as_bytes(), terms.as_bytes()]),
            ..self
        }
    }

    /// Each policy by its id, with what tells it from another of that id.
    pub const fn marks(&self) -> &BTreeMap<String, Digest> {
        &self.marks
    }

    /// The ids of all policies, in order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Judges a question. Never permits on an error, an empty target, or silence.
    pub fn judge(&self, question: &Question<'_>) -> Verdict {
        match self.vocabulary.scene(question) {
            Ok(scene) => self.judge_scene(&scene),
            Err(error) => self.denied(Findings {
                errors: vec![error.to_string()],
                ..Findings::default()
            }),
        }
    }

    fn judge_scene(&self, scene: &Scene) -> Verdict {
        let mut policies = BTreeSet::new();
        for ask in &scene.asks {
            let found = self.ask(scene, ask);
            if found.permits.is_empty() || !found.forbids.is_empty() || !found.errors.is_empty() {
                return self.denied(found);
            }
            policies.extend(found.permits);
        }
        if policies.is_empty() {
            return self.denied(Findings::default());
        }
        Verdict::Permitted {
            policies: policies.into_iter().take(MAX_NAMED).collect(),
        }
    }

    /// What every part that can apply says. A part in which a forbid applies does not name its
    /// permits, which no longer matter.
    fn ask(&self, scene: &Scene, ask: &Ask) -> Findings {
        let mut found = Findings::default();
        let parts = self
            .selection
            .parts(&ask.class, &scene.principals, &ask.resources);
        for part in parts {
            let answer = self
                .authorizer
                .is_authorized(&ask.request, part, &scene.entities);
            let reasons = answer.diagnostics().reason().map(ToString::to_string);
            match answer.decision() {
                Decision::Allow => found.permits.extend(reasons),
                Decision::Deny => found.forbids.extend(reasons),
            }
            let errors = answer.diagnostics().errors().map(ToString::to_string);
            found.errors.extend(errors);
        }
        found
    }

    /// What an approval would not mend is told first.
    fn denied(&self, found: Findings) -> Verdict {
        let all = || found.forbids.iter().filter_map(|id| self.forbids.get(id));
        let first = all()
            .find(|one| !one.wants_approval())
            .or_else(|| all().next());
        let (code, advice) = match first {
            Some(reason) if found.errors.is_empty() => (reason.code, reason.advice.clone()),
            Some(_) | None => (Code::PolicyDenied, None),
        };
        Verdict::Denied {
            code,
            policies: found.forbids.into_iter().take(MAX_NAMED).collect(),
            advice,
            errors: found.errors.into_iter().take(MAX_NAMED).collect(),
        }
    }
}

impl Reason {
    fn wants_approval(&self) -> bool {
        self.advice.as_deref() == Some(STEP_UP)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("digest", &self.digest)
            .field("policies", &self.ids.len())
            .finish_non_exhaustive()
    }
}

fn reasons(rules: Vec<Rule>) -> BTreeMap<String, Reason> {
    let forbids = rules
        .into_iter()
        .filter(|rule| rule.policy.effect() == Effect::Forbid);
    forbids
        .map(|rule| {
            let reason = Reason {
                code: rule.code.unwrap_or(match rule.advice.as_deref() {
                    Some(STEP_UP) => Code::StepUpRequired,
                    Some(_) | None => Code::PolicyDenied,
                }),
                advice: rule.advice.clone(),
            };
            (rule.id(), reason)
        })
        .collect()
}

fn digest(sources: &[PolicySource]) -> Digest {
    let mut sorted: Vec<_> = sources.iter().collect();
    sorted.sort_unstable_by_key(|source| (&source.name, &source.text));
    let mut parts = vec![load::SCHEMA.as_bytes()];
    for source in sorted {
        parts.push(source.name.as_bytes());
        parts.push(source.text.as_bytes());
    }
    Digest::of(&parts)
}

/// The `@advice` of a forbid that an approval of the lineage's challenge would mend.
pub const STEP_UP: &str = "step_up";

/// How many policies and errors a verdict names: it becomes a log entry, whose size has a bound.
const MAX_NAMED: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use cedar_policy::{Context, Entities, Request};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::decide::asked::Asked;

    fn set(text: &str) -> PolicySet {
        PolicySet::load(&[source("test.cedar", text)]).unwrap()
    }

    fn source(name: &str, text: &str) -> PolicySource {
        PolicySource {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    fn token() -> Asked {
        Asked::from_json(json!({
            "request": {"verb": "issue", "audiences": ["https://api"], "scopes": ["read"]},
            "claims": {"repository_id": "1"},
        }))
    }

    fn nothing() -> Verdict {
        Verdict::Denied {
            code: Code::PolicyDenied,
            policies: Vec::new(),
            advice: None,
            errors: Vec::new(),
        }
    }

    #[test]
    fn without_policies_nothing_is_permitted() {
        assert_eq!(token().judged_by(&set("")), nothing());
    }

    #[test]
    fn a_token_for_nobody_is_not_permitted_by_having_nothing_to_refuse() {
        let asked = Asked::from_json(json!({"request": {"verb": "issue"}}));
        let all = set("@id(\"all\") permit (principal, action, resource);");
        assert_eq!(asked.judged_by(&all), nothing());
    }

    #[test]
    fn two_records_of_one_kind_are_refused_instead_of_one_being_chosen() {
        let asked = Asked::from_json(json!({
            "request": {"verb": "issue", "audiences": ["https://api"]},
            "records": [
                {"kind": "job", "status": "in_progress"},
                {"kind": "job", "status": "completed"},
            ],
        }));
        let Verdict::Denied { code, errors, .. } = asked.judged_by(&PolicySet::shipped()) else {
            panic!("permitted");
        };
        assert_eq!((code, errors.len()), (Code::PolicyDenied, 1));
    }

    #[test]
    fn a31_a_forbid_that_cannot_be_evaluated_denies_and_tells_the_operator() {
        let permit = "@id(\"all\") permit (principal, action, resource);";
        let forbid = "@id(\"odd\") forbid (principal, action, resource)
            when { 9223372036854775807 + context.now.toTime().toMilliseconds() == 0 };";
        let Verdict::Permitted { .. } = token().judged_by(&set(permit)) else {
            panic!("denied without the forbid");
        };
        let verdict = token().judged_by(&set(&format!("{permit}\n{forbid}")));
        let Verdict::Denied { code, errors, .. } = verdict else {
            panic!("permitted past a forbid that failed");
        };
        assert_eq!((code, errors.len()), (Code::PolicyDenied, 1));
        assert!(errors.concat().contains("odd"), "{errors:?}");
    }

    #[test]
    fn a31_an_unknown_type_of_entity_is_denied() {
        let policies = set("@id(\"all\") permit (principal, action, resource);");
        let known = token().put(|question| policies.vocabulary.scene(question).unwrap());
        assert!(matches!(
            policies.judge_scene(&known),
            Verdict::Permitted { .. }
        ));
        let mut scene = known;
        for ask in &mut scene.asks {
            let other: cedar_policy::EntityUid = "Writ::Vault::\"x\"".parse().unwrap();
            ask.class.resource = other.type_name().clone();
            let action = ask.class.action.clone();
            let principal = "Writ::Robot::\"y\"".parse().unwrap();
            ask.request = Request::new(principal, action, other, Context::empty(), None).unwrap();
        }
        scene.entities = Entities::empty();
        assert_eq!(policies.judge_scene(&scene), nothing());
    }

    #[test]
    fn another_text_or_order_is_another_or_the_same_policy_set() {
        let (a, b) = (
            source("a", "@id(\"a\") permit (principal, action, resource);"),
            source("b", "@id(\"b\") forbid (principal, action, resource);"),
        );
        let digest = |all: &[PolicySource]| PolicySet::load(all).unwrap().digest();
        assert_eq!(
            digest(&[a.clone(), b.clone()]),
            digest(&[b.clone(), a.clone()])
        );
        assert_ne!(
            digest(&[a.clone(), b.clone()]),
            digest(std::slice::from_ref(&a))
        );
        let changed = source("b", &format!("{} ", b.text));
        assert_ne!(digest(&[a.clone(), b]), digest(&[a, changed]));
    }

    #[test]
    fn a_denial_says_what_would_help() {
        let asked = Asked::from_json(json!({
            "request": {"verb": "issue", "audiences": ["https://api"], "sender_required": true},
        }));
        let Verdict::Denied { code, advice, .. } = asked.judged_by(&PolicySet::shipped()) else {
            panic!("permitted");
        };
        assert_eq!(code, Code::ProofRequired);
        assert_eq!(advice.as_deref(), Some("show a key: ask with a DPoP proof"));
    }

    // Scopes and conditions that can be true or false for the questions below, and one condition that
    // cannot be evaluated.
    const PRINCIPALS: [&str; 6] = [
        "principal",
        "principal is Writ::Workload",
        "principal in Writ::Profile::\"deploy\"",
        "principal in Writ::Selector::\"github:repository_id:1\"",
        "principal in Writ::Selector::\"github:repository_id:2\"",
        "principal == Writ::Workload::\"spiffe://example.org/github/9/812345\"",
    ];
    const TARGETS: [&str; 8] = [
        "action, resource",
        "action in [Writ::Action::\"issue\", Writ::Action::\"renew\"], resource is Writ::Service",
        "action == Writ::Action::\"renew\", resource",
        "action == Writ::Action::\"issue\", resource == Writ::Service::\"https://api\"",
        "action == Writ::Action::\"issue\", resource in Writ::Service::\"https://other\"",
        "action == Writ::Action::\"read\", resource is Writ::Secret in Writ::Folder::\"ci\"",
        "action, resource in Writ::Folder::\"ci/prod\"",
        "action, resource == Writ::Secret::\"ci/prod/db\"",
    ];
    const CONDITIONS: [&str; 6] = [
        "",
        "when { context.key_bound }",
        "unless { principal has repository_id && principal.repository_id == \"1\" }",
        "when { 9223372036854775807 + context.now.toTime().toMilliseconds() == 0 }",
        "when { principal in [Writ::Profile::\"deploy\", Writ::Profile::\"other\"] }",
        "unless { principal in Writ::Selector::\"github:repository_id:2\" || resource in Writ::Folder::\"ci\" }",
    ];

    fn some_policy() -> impl Strategy<Value = String> {
        (
            proptest::sample::select(&["permit", "forbid"]),
            proptest::sample::select(&PRINCIPALS),
            proptest::sample::select(&TARGETS),
            proptest::sample::select(&CONDITIONS),
        )
            .prop_map(|(effect, principal, target, condition)| {
                format!("{effect} ({principal}, {target}) {condition};")
            })
    }

    fn some_question() -> impl Strategy<Value = Asked> {
        let requests = [
            json!({"verb": "issue", "audiences": ["https://api"]}),
            json!({"verb": "issue", "audiences": ["https://api", "https://other"]}),
            json!({"verb": "renew", "audiences": ["https://other"], "key_bound": true}),
            json!({"verb": "read", "secret": "ci/prod/db"}),
            json!({"verb": "read", "secret": "ci/dev", "key_bound": true}),
        ];
        let claims = [
            json!({}),
            json!({"repository_id": "1"}),
            json!({"repository_id": "2"}),
        ];
        (
            proptest::sample::select(requests.to_vec()),
            proptest::sample::select(claims.to_vec()),
        )
            .prop_map(|(request, claims)| {
                Asked::from_json(json!({"request": request, "claims": claims}))
            })
    }

    fn numbered(policies: &[String]) -> String {
        let policies = policies.iter().enumerate();
        let lines: Vec<_> = policies
            .map(|(n, policy)| format!("@id(\"p{n:02}\") {policy}\n"))
            .collect();
        lines.concat()
    }

    /// A policy set that names every group of the policies below, and the time.
    static EVERYTHING: LazyLock<PolicySet> = LazyLock::new(|| {
        let scopes = PRINCIPALS.iter().zip(TARGETS.iter().cycle());
        let targets = TARGETS.map(|target| format!("permit (principal, {target});"));
        let conditions = CONDITIONS
            .map(|condition| format!("permit (principal, action, resource) {condition};"));
        let all: Vec<_> = scopes
            .map(|(principal, target)| format!("permit ({principal}, {target});"))
            .chain(targets)
            .chain(conditions)
            .collect();
        set(&numbered(&all))
    });

    /// What Cedar says when it is given every policy as written, and every group.
    fn judged_unselected(text: &str, asked: &Asked) -> bool {
        let all: cedar_policy::PolicySet = text.parse().unwrap();
        let scene = asked.put(|question| EVERYTHING.vocabulary.scene(question).unwrap());
        scene.asks.iter().all(|ask| {
            let answer = Authorizer::new().is_authorized(&ask.request, &all, &scene.entities);
            answer.decision() == Decision::Allow && answer.diagnostics().errors().next().is_none()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 32,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn judging_selected_policies_is_judging_all(
            texts in proptest::collection::vec(some_policy(), 0..12),
            asked in some_question(),
        ) {
            let text = numbered(&texts);
            let policies = set(&text);
            let verdict = asked.judged_by(&policies);
            let permitted = matches!(verdict, Verdict::Permitted { .. });
            prop_assert_eq!(permitted, judged_unselected(&text, &asked), "{:?}", verdict);
        }

        #[test]
        fn a_forbid_or_a_failing_policy_more_never_turns_a_denial_into_a_permit(
            texts in proptest::collection::vec(some_policy(), 0..8),
            added in some_policy().prop_filter("forbid or failing", |p| {
                p.starts_with("forbid") || p.contains("toTime")
            }),
            asked in some_question(),
        ) {
            let before = asked.judged_by(&set(&numbered(&texts)));
            let with: Vec<_> = texts.iter().cloned().chain([added]).collect();
            let after = asked.judged_by(&set(&numbered(&with)));
            if matches!(before, Verdict::Denied { .. }) {
                prop_assert!(matches!(after, Verdict::Denied { .. }), "{:?}", after);
            }
        }
    }
}
