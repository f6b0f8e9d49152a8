//! Policy texts to checked rules. Whatever could make a policy mean less than its author thinks is
//! refused here: a condition that can never hold, a type or attribute that the schema does not know,
//! a reason code that does not exist, a misspelt annotation. A forbid that silently never matches is
//! worse than none.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr as _;

use cedar_policy::{Effect, Policy, PolicyId, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::error::{Code, Kind};

/// One policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// What errors call it: a path or a fixed name.
    pub name: String,
    /// Cedar policies, each with an `@id`.
    pub text: String,
}

/// Why policies were not taken: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message} ({mend})")]
pub struct PolicyError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub mend: String,
}

/// A policy that passed every check, and what its denial says.
pub(super) struct Rule {
    pub(super) policy: Policy,
    /// The policy's JSON form, in which every name and attribute is plain text.
    pub(super) form: serde_json::Value,
    pub(super) code: Option<Code>,
    pub(super) advice: Option<String>,
}

/// A rule and the place it was read from, for errors found after reading.
struct Placed {
    rule: Rule,
    place: PolicyError,
}

/// The schema that every policy is validated against.
pub(super) const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");

/// The shipped policies.
pub(super) const SHIPPED: &str = include_str!("../../policies/default.cedar");

impl Rule {
    pub(super) fn id(&self) -> String {
        self.policy.id().to_string()
    }
}

impl PolicySource {
    /// The policies that are part of the product: load them beside one's own, or nothing is
    /// permitted that one's own do not permit.
    pub fn shipped() -> Self {
        Self {
            name: "default.cedar".to_owned(),
            text: SHIPPED.to_owned(),
        }
    }
}

/// The schema, compiled.
pub(super) fn schema() -> Result<Schema, PolicyError> {
    Schema::from_cedarschema_str(SCHEMA)
        .map(|(schema, _)| schema)
        .map_err(|error| PolicyError {
            line: first_line(SCHEMA, &error),
            ..broken_schema(error)
        })
}

/// The compiled-in schema, or what is derived from it, does not hold together.
pub(super) fn broken_schema(error: impl fmt::Display) -> PolicyError {
    PolicyError {
        file: "schema.cedarschema".to_owned(),
        line: 1,
        message: error.to_string(),
        mend: "build from an unchanged source tree".to_owned(),
    }
}

/// Reads, checks and strictly validates all policies; ids are unique over all sources.
pub(super) fn rules(schema: &Schema, sources: &[PolicySource]) -> Result<Vec<Rule>, PolicyError> {
    let mut placed: Vec<Placed> = Vec::new();
    let mut ids = BTreeSet::new();
    for source in sources {
        for found in read(source)? {
            if !ids.insert(found.rule.id()) {
                return Err(found.place.because(
                    format!("another policy has the id {:?}", found.rule.id()),
                    "give each policy its own @id",
                ));
            }
            placed.push(found);
        }
    }
    if let Some(extra) = placed.get(MAX_POLICIES) {
        return Err(extra.place.because(
            format!("more than {MAX_POLICIES} policies"),
            "load fewer policies",
        ));
    }
    validate(schema, sources, &placed)?;
    Ok(placed.into_iter().map(|found| found.rule).collect())
}

fn read(source: &PolicySource) -> Result<Vec<Placed>, PolicyError> {
    let at = |line| PolicyError {
        file: source.name.clone(),
        line,
        message: String::new(),
        mend: String::new(),
    };
    if source.text.len() > MAX_BYTES {
        return Err(at(1).because(
            format!("the file has more than {MAX_BYTES} bytes"),
            "split it",
        ));
    }
    let parsed = cedar_policy::PolicySet::from_str(&source.text).map_err(|error| {
        at(first_line(&source.text, &error)).because(error.to_string(), &help(&error))
    })?;
    if let Some(template) = parsed.templates().next() {
        let offset = source.text.find(&template.to_cedar());
        return Err(at(line_of(&source.text, offset)).because(
            "a policy with slots is a template, and nothing fills its slots".to_owned(),
            "write the entity in place of ?principal or ?resource",
        ));
    }
    // Unnamed policies are called policy0, policy1 … in the order of the file, and the text of each
    // is a piece of it.
    let mut policies: Vec<_> = parsed.policies().collect();
    policies.sort_by_key(|policy| {
        let name = policy.id().to_string();
        (name.len(), name)
    });
    let mut placed = Vec::with_capacity(policies.len());
    let mut line = 1;
    let mut rest = source.text.as_str();
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_else(|| policy.to_string());
        let (before, after) = rest.split_once(&text).unwrap_or(("", rest));
        line += newlines(before);
        let place = at(line);
        placed.push(Placed {
            rule: annotated(policy, &place)?,
            place,
        });
        line += newlines(&text);
        rest = after;
    }
    Ok(placed)
}

/// The policy under its `@id`, with its reason code and advice.
fn annotated(policy: &Policy, place: &PolicyError) -> Result<Rule, PolicyError> {
    let (mut id, mut code, mut advice) = (None, None, None);
    for (name, value) in policy.annotations() {
        match name {
            "id" => id = Some(value),
            "code" => code = Some(reason(value, place)?),
            "advice" => advice = Some(value.to_owned()),
            _ => {
                return Err(place.because(
                    format!("there is no annotation @{name}"),
                    "the annotations are @id, @code and @advice",
                ));
            }
        }
    }
    let id = id.filter(|id| is_id(id)).ok_or_else(|| {
        place.because(
            "the policy has no usable @id".to_owned(),
            "name it with an @id of 1 to 128 characters of A-Z a-z 0-9 . _ -",
        )
    })?;
    if policy.effect() == Effect::Permit && (code.is_some() || advice.is_some()) {
        return Err(place.because(
            format!("the permit {id:?} has a @code or @advice, which only a denial can give"),
            "put them on a forbid",
        ));
    }
    if advice.as_ref().is_some_and(|text| text.len() > MAX_ADVICE) {
        return Err(place.because(
            format!("the @advice of {id:?} has more than {MAX_ADVICE} bytes"),
            "say it shorter",
        ));
    }
    let form = policy
        .to_json()
        .map_err(|error| place.because(error.to_string(), "write the policy another way"))?;
    Ok(Rule {
        policy: policy.new_id(PolicyId::new(id)),
        form,
        code,
        advice,
    })
}

/// A policy can only deny: codes of faults, bad requests and unknown state are not its to give.
fn reason(text: &str, place: &PolicyError) -> Result<Code, PolicyError> {
    let denies = |code: &&Code| code.kind() == Kind::Denied;
    let all = || Code::ALL.iter().filter(denies);
    all()
        .find(|code| code.as_str() == text)
        .copied()
        .ok_or_else(|| {
            let known: Vec<_> = all().map(|code| code.as_str()).collect();
            place.because(
                format!("there is no code {text:?} for a denial"),
                &format!("use one of {}", known.join(", ")),
            )
        })
}

fn validate(
    schema: &Schema,
    sources: &[PolicySource],
    placed: &[Placed],
) -> Result<(), PolicyError> {
    let unplaced = |message: String| PolicyError {
        file: sources.first().map_or("", |source| &source.name).to_owned(),
        line: 1,
        message,
        mend: "correct the policies".to_owned(),
    };
    let policies = placed.iter().map(|found| found.rule.policy.clone());
    let all = cedar_policy::PolicySet::from_policies(policies)
        .map_err(|error| unplaced(error.to_string()))?;
    let result = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
    let errors = result
        .validation_errors()
        .map(|error| (error.policy_id(), error as &dyn Diagnostic));
    let warnings = result
        .validation_warnings()
        .map(|warning| (warning.policy_id(), warning as &dyn Diagnostic));
    let first = errors.chain(warnings).min_by_key(|(id, finding)| {
        let index = placed
            .iter()
            .position(|found| found.rule.policy.id() == *id);
        (index, finding.to_string())
    });
    let Some((id, finding)) = first else {
        return Ok(());
    };
    let found = placed.iter().find(|found| found.rule.policy.id() == id);
    let place = found.map_or_else(|| unplaced(String::new()), |found| found.place.clone());
    Err(place.because(finding.to_string(), &help(finding)))
}

impl PolicyError {
    fn because(&self, message: String, mend: &str) -> Self {
        Self {
            file: self.file.clone(),
            line: self.line,
            message,
            mend: mend.to_owned(),
        }
    }
}

fn help(finding: &(impl Diagnostic + ?Sized)) -> String {
    finding.help().map_or_else(
        || "see policies/schema.cedarschema for what a policy can say".to_owned(),
        |text| text.to_string(),
    )
}

fn first_line(text: &str, finding: &impl Diagnostic) -> usize {
    let offset = finding
        .labels()
        .and_then(|mut labels| labels.next())
        .map(|label| label.offset());
    line_of(text, offset)
}

/// The line of a byte offset, counted from 1; the first line where the place is not known.
fn line_of(text: &str, offset: Option<usize>) -> usize {
    1 + newlines(text.get(..offset.unwrap_or(0)).unwrap_or(""))
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

/// Every decision looks only at policies that can apply, but all are kept and validated in memory.
const MAX_POLICIES: usize = 10_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Advice goes into answers and log entries.
const MAX_ADVICE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> PolicyError {
        let source = PolicySource {
            name: "team.cedar".to_owned(),
            text: text.to_owned(),
        };
        match rules(&schema().unwrap(), &[PolicySource::shipped(), source]) {
            Ok(_) => panic!("taken: {text}"),
            Err(error) => error,
        }
    }

    #[test]
    fn what_a_policy_cannot_mean_is_refused_with_its_place() {
        let all = "permit (principal, action, resource)";
        let table = [
            (
                format!("\n\n@id(\"a\") {all}"),
                3,
                "unexpected end of input",
            ),
            (format!("{all};"), 1, "no usable @id"),
            (format!("@id(\"a b\") {all};"), 1, "no usable @id"),
            (
                format!("@id(\"a\") @cod(\"barred\") {all};"),
                1,
                "no annotation @cod",
            ),
            (
                format!("@id(\"a\") @code(\"barred\") {all};"),
                1,
                "only a denial can give",
            ),
            (
                format!("@id(\"a\") {all};\n@id(\"a\") {all};"),
                2,
                "another policy has the id",
            ),
            (
                format!("@id(\"default.token\") {all};"),
                1,
                "another policy has the id",
            ),
            (
                "\n@id(\"a\") @code(\"nope\") forbid (principal, action, resource);".to_owned(),
                2,
                "no code \"nope\"",
            ),
            (
                "@id(\"a\") @code(\"context_unavailable\") forbid (principal, action, resource);"
                    .to_owned(),
                1,
                "no code",
            ),
            (
                "@id(\"a\") permit (principal == ?principal, action, resource);".to_owned(),
                1,
                "template",
            ),
        ];
        for (text, line, message) in table {
            let error = refused(&text);
            assert_eq!(
                (error.file.as_str(), error.line),
                ("team.cedar", line),
                "{error}"
            );
            assert!(error.message.contains(message), "{text}: {error}");
            assert!(!error.mend.is_empty());
        }
    }

    #[test]
    fn what_the_schema_does_not_know_is_refused() {
        for (scope, condition) in [
            ("principal is Writ::Robot, action, resource", "true"),
            (
                "principal, action == Writ::Action::\"steal\", resource",
                "true",
            ),
            ("principal, action, resource", "context.risk == \"low\""),
            (
                "principal, action, resource",
                "principal.environment == \"production\"",
            ),
            (
                "principal, action, resource",
                "context.key_bound == \"true\"",
            ),
            (
                "principal, action == Writ::Action::\"issue\", resource is Writ::Secret",
                "true",
            ),
            ("principal, action, resource", "false"),
            ("principal, action, resource", "context.grant == \"dерloy\""),
        ] {
            let text =
                format!("// A forbid.\n@id(\"a\") forbid ({scope})\nwhen {{ {condition} }};");
            let error = refused(&text);
            assert_eq!(
                (error.file.as_str(), error.line),
                ("team.cedar", 2),
                "{error}"
            );
        }
    }

    #[test]
    fn too_much_text_is_refused_before_it_is_parsed() {
        let error = refused(&"/".repeat(MAX_BYTES + 1));
        assert!(error.message.contains("bytes"), "{error}");
    }
}
