//! Policy texts to checked rules. Whatever could make a policy mean less than its author thinks is
//! refused here: a condition that can never hold, a type or attribute that the schema does not know,
//! a reason code that does not exist, a misspelt annotation. A forbid that silently never matches is
//! worse than none.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr as _;

use cedar_policy::{Effect, Policy, PolicyId, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::domain::condition::nearest;
use crate::domain::key::Digest;
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
#[error("{file}:{line}:{column}: {message} ({mend})")]
pub struct PolicyError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
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

/// A rule and where it was read from, for what is found after reading.
pub(super) struct Placed<'a> {
    pub(super) rule: Rule,
    source: &'a PolicySource,
    /// The bytes of the file that are the policy.
    span: Range<usize>,
}

/// Every policy that could be read, and everything that is wrong.
pub(super) struct Reading<'a> {
    pub(super) placed: Vec<Placed<'a>>,
    pub(super) errors: Vec<PolicyError>,
}

/// The schema that every policy is validated against.
pub(super) const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");

/// The shipped policies.
pub(super) const SHIPPED: &str = include_str!("../../policies/default.cedar");

impl Rule {
    pub(super) fn id(&self) -> String {
        self.policy.id().to_string()
    }

    /// Everything that it says, without the form that it was written in.
    pub(super) fn mark(&self) -> Digest {
        let code = self.code.map_or("", Code::as_str);
        let advice = self.advice.as_deref().unwrap_or("");
        let form = self.form.to_string();
        Digest::of(&[form.as_bytes(), code.as_bytes(), advice.as_bytes()])
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
            line: spot(SCHEMA, offset(&error).unwrap_or(0)).0,
            ..broken_schema(error)
        })
}

/// The compiled-in schema, or what is derived from it, does not hold together.
pub(super) fn broken_schema(error: impl fmt::Display) -> PolicyError {
    PolicyError {
        file: "schema.cedarschema".to_owned(),
        line: 1,
        column: 1,
        message: error.to_string(),
        mend: "build from an unchanged source tree".to_owned(),
    }
}

/// Reads, checks and strictly validates all policies; ids are unique over all sources.
pub(super) fn rules(schema: &Schema, sources: &[PolicySource]) -> Result<Vec<Rule>, PolicyError> {
    let Reading { placed, errors } = read_all(schema, sources);
    match errors.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(placed.into_iter().map(|found| found.rule).collect()),
    }
}

/// The same, going on after what is wrong, so that one run tells everything.
pub(super) fn read_all<'a>(schema: &Schema, sources: &'a [PolicySource]) -> Reading<'a> {
    let mut placed: Vec<Placed<'a>> = Vec::new();
    let mut errors = Vec::new();
    let mut ids = BTreeSet::new();
    for source in sources {
        for found in read(source, &mut errors) {
            if ids.insert(found.rule.id()) {
                placed.push(found);
            } else {
                errors.push(found.error(
                    None,
                    format!("another policy has the id {:?}", found.rule.id()),
                    "give each policy its own @id",
                ));
            }
        }
    }
    if let Some(extra) = placed.get(MAX_POLICIES) {
        errors.push(extra.error(
            None,
            format!("more than {MAX_POLICIES} policies"),
            "load fewer policies",
        ));
        return Reading { placed, errors };
    }
    validate(schema, &placed, &mut errors);
    Reading { placed, errors }
}

fn read<'a>(source: &'a PolicySource, errors: &mut Vec<PolicyError>) -> Vec<Placed<'a>> {
    if source.text.len() > MAX_BYTES {
        let what = format!("the file has more than {MAX_BYTES} bytes");
        errors.push(source.error(0, what, "split it"));
        return Vec::new();
    }
    let parsed = match cedar_policy::PolicySet::from_str(&source.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let at = offset(&error).unwrap_or(0);
            errors.push(source.error(at, error.to_string(), &help(&error)));
            return Vec::new();
        }
    };
    for template in parsed.templates() {
        let at = source.text.find(&template.to_cedar()).unwrap_or(0);
        errors.push(source.error(
            at,
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
    let mut at = 0;
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_else(|| policy.to_string());
        let rest = source.text.get(at..).unwrap_or("");
        let start = at + rest.find(&text).unwrap_or(0);
        let span = start..(start + text.len()).min(source.text.len());
        at = span.end;
        match annotated(policy, &|message, mend| source.error(start, message, mend)) {
            Ok(rule) => placed.push(Placed { rule, source, span }),
            Err(error) => errors.push(error),
        }
    }
    placed
}

/// How a fault of one policy is told, with its place.
type Tell<'a> = &'a dyn Fn(String, &str) -> PolicyError;

/// The policy under its `@id`, with its reason code and advice.
fn annotated(policy: &Policy, tell: Tell<'_>) -> Result<Rule, PolicyError> {
    let (mut id, mut code, mut advice) = (None, None, None);
    for (name, value) in policy.annotations() {
        match name {
            "id" => id = Some(value),
            "code" => code = Some(reason(value, tell)?),
            "advice" => advice = Some(value.to_owned()),
            _ => {
                return Err(tell(
                    format!(
                        "there is no annotation @{name}{}",
                        meant(name, ["id", "code", "advice"])
                    ),
                    "the annotations are @id, @code and @advice",
                ));
            }
        }
    }
    let id = id.filter(|id| is_id(id)).ok_or_else(|| {
        tell(
            "the policy has no usable @id".to_owned(),
            "name it with an @id of 1 to 128 characters of A-Z a-z 0-9 . _ -",
        )
    })?;
    if policy.effect() == Effect::Permit && (code.is_some() || advice.is_some()) {
        return Err(tell(
            format!("the permit {id:?} has a @code or @advice, which only a denial can give"),
            "put them on a forbid",
        ));
    }
    if advice.as_ref().is_some_and(|text| text.len() > MAX_ADVICE) {
        return Err(tell(
            format!("the @advice of {id:?} has more than {MAX_ADVICE} bytes"),
            "say it shorter",
        ));
    }
    let form = policy
        .to_json()
        .map_err(|error| tell(error.to_string(), "write the policy another way"))?;
    Ok(Rule {
        policy: policy.new_id(PolicyId::new(id)),
        form,
        code,
        advice,
    })
}

/// A policy can only deny: codes of faults, bad requests and unknown state are not its to give.
fn reason(text: &str, tell: Tell<'_>) -> Result<Code, PolicyError> {
    let denies = |code: &&Code| code.kind() == Kind::Denied;
    let all = || Code::ALL.iter().filter(denies);
    all()
        .find(|code| code.as_str() == text)
        .copied()
        .ok_or_else(|| {
            let known: Vec<_> = all().map(|code| code.as_str()).collect();
            let meant = meant(text, known.iter().copied());
            tell(
                format!("there is no code {text:?} for a denial{meant}"),
                &format!("use one of {}", known.join(", ")),
            )
        })
}

/// What the schema says against the policies: a contradiction, and what can never apply.
fn validate(schema: &Schema, placed: &[Placed<'_>], errors: &mut Vec<PolicyError>) {
    let policies = placed.iter().map(|found| found.rule.policy.clone());
    let all = match cedar_policy::PolicySet::from_policies(policies) {
        Ok(all) => all,
        Err(error) => {
            let first = placed.first();
            errors.extend(
                first.map(|found| found.error(None, error.to_string(), "correct the policies")),
            );
            return;
        }
    };
    let result = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
    let faults = result
        .validation_errors()
        .map(|error| (error.policy_id(), error as &dyn Diagnostic));
    let unwise = result
        .validation_warnings()
        .map(|warning| (warning.policy_id(), warning as &dyn Diagnostic));
    let mut found: Vec<_> = faults
        .chain(unwise)
        .filter_map(|(id, finding)| {
            let index = placed.iter().position(|one| one.rule.policy.id() == id)?;
            let place = placed.get(index)?;
            let error = place.error(offset(finding), finding.to_string(), &help(finding));
            Some((
                (index, error.line, error.column, error.message.clone()),
                error,
            ))
        })
        .collect();
    if found.is_empty() && !result.validation_passed_without_warnings() {
        // What names no policy is still no reason to load them.
        let first = placed.first();
        errors.extend(first.map(|one| one.error(None, result.to_string(), "correct the policies")));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    // The same fault is found once for each action that the policy may be asked about.
    found.dedup_by_key(|(_, error)| (error.file.clone(), error.line, error.column));
    errors.extend(found.into_iter().map(|(_, error)| error));
}

impl PolicySource {
    fn error(&self, at: usize, message: String, mend: &str) -> PolicyError {
        let (line, column) = spot(&self.text, at);
        PolicyError {
            file: self.name.clone(),
            line,
            column,
            message,
            mend: mend.to_owned(),
        }
    }
}

impl Placed<'_> {
    /// Something about the policy: at one place in it, or as a whole.
    pub(super) fn error(&self, at: Option<usize>, message: String, mend: &str) -> PolicyError {
        let within = at.filter(|at| self.span.contains(at));
        let at = within.unwrap_or(self.span.start);
        self.source.error(at, message, mend)
    }

    /// Where a word first stands in the policy.
    pub(super) fn place_of(&self, word: &str) -> Option<usize> {
        let text = self.source.text.get(self.span.clone())?;
        Some(self.span.start + text.find(word)?)
    }

    /// Whether it is one of the shipped policies.
    pub(super) fn is_shipped(&self) -> bool {
        self.source.text == SHIPPED
    }
}

/// The question that a slip deserves.
pub(super) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known = nearest(name, known);
    known.map_or_else(String::new, |known| format!(": did you mean {known}?"))
}

fn help(finding: &(impl Diagnostic + ?Sized)) -> String {
    finding.help().map_or_else(
        || "see policies/schema.cedarschema for what a policy can say".to_owned(),
        |text| text.to_string(),
    )
}

/// The byte that a finding points at.
fn offset(finding: &(impl Diagnostic + ?Sized)) -> Option<usize> {
    let label = finding.labels().and_then(|mut labels| labels.next());
    label.map(|label| label.offset())
}

/// The line and column of a byte offset, counted from 1; the first where there is no such place.
fn spot(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let in_line = before.get(line_start..).map_or(0, |s| s.chars().count());
    (before.matches('\n').count() + 1, in_line + 1)
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
        for (scope, condition, line) in [
            ("principal is Writ::Robot, action, resource", "true", 2),
            (
                "principal, action == Writ::Action::\"steal\", resource",
                "true",
                2,
            ),
            ("principal, action, resource", "context.risk == \"low\"", 3),
            (
                "principal, action, resource",
                "principal.environment == \"production\"",
                3,
            ),
            (
                "principal, action, resource",
                "context.key_bound == \"true\"",
                3,
            ),
            (
                "principal, action == Writ::Action::\"issue\", resource is Writ::Secret",
                "true",
                2,
            ),
            ("principal, action, resource", "false", 2),
            (
                "principal, action, resource",
                "context.grant == \"dерloy\"",
                3,
            ),
        ] {
            let text =
                format!("// A forbid.\n@id(\"a\") forbid ({scope})\nwhen {{ {condition} }};");
            let error = refused(&text);
            assert_eq!(
                (error.file.as_str(), error.line),
                ("team.cedar", line),
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
