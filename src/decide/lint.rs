//! What can be said of policies before anybody asks them anything: all that is wrong with them, and what they
//! may say but had better not. A word that nothing is ever called makes a condition that never holds, and of a
//! forbid that is worse than none.

use std::collections::BTreeSet;

use cedar_policy::{Effect, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

use crate::decide::load::{self, Placed, PolicyError, PolicySource, Reading, meant};
use crate::domain::case::CaseStatus;
use crate::domain::context::RunStatus;
use crate::domain::profile::Allowance;

/// What is wrong with policies, and what is unwise.
#[derive(Debug, Default)]
pub struct Lint {
    /// They do not load.
    pub problems: Vec<PolicyError>,
    pub warnings: Vec<PolicyError>,
    /// The policies that could be read, by id.
    pub ids: Vec<String>,
}

/// What is configured, as far as policies can name it.
#[derive(Debug, Default)]
pub struct Names {
    pub profiles: BTreeSet<String>,
    pub grants: BTreeSet<String>,
    pub sources: BTreeSet<String>,
}

/// Judges policies by themselves, and by what is configured where that is known.
pub fn lint(sources: &[PolicySource], names: Option<&Names>) -> Lint {
    let schema = match load::schema() {
        Ok(schema) => schema,
        Err(error) => {
            return Lint {
                problems: vec![error],
                ..Lint::default()
            };
        }
    };
    let Reading { placed, errors } = load::read_all(&schema, sources);
    let mut warnings = Vec::new();
    for policy in placed.iter().filter(|policy| !policy.is_shipped()) {
        warnings.extend(boundless(policy));
        warnings.extend(idle_words(policy, names));
    }
    let mut ids: Vec<_> = placed.iter().map(|policy| policy.rule.id()).collect();
    ids.sort_unstable();
    Lint {
        problems: errors,
        warnings,
        ids,
    }
}

/// A permit that asks nothing: whatever a profile grants is given, whatever becomes of the run or the case.
fn boundless(policy: &Placed<'_>) -> Option<PolicyError> {
    let cedar = &policy.rule.policy;
    let anybody = matches!(
        cedar.principal_constraint(),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_)
    );
    let anything = matches!(
        cedar.resource_constraint(),
        ResourceConstraint::Any | ResourceConstraint::Is(_)
    );
    let asks = policy.rule.form.get("conditions").and_then(Value::as_array);
    let unconditional = asks.is_none_or(Vec::is_empty);
    let boundless = cedar.effect() == Effect::Permit && anybody && anything && unconditional;
    boundless.then(|| {
        policy.error(
            None,
            format!(
                "the permit {:?} has no condition: it gives everybody what their profile grants, whatever \
                 became of the run or the case",
                policy.rule.id()
            ),
            "say for whom, for what or when, as default.cedar does",
        )
    })
}

/// Words that are compared with something that is never called so.
fn idle_words(policy: &Placed<'_>, names: Option<&Names>) -> Vec<PolicyError> {
    let mut found = Vec::new();
    let mut left = vec![&policy.rule.form];
    while let Some(value) = left.pop() {
        for (what, word, known) in compared(value, names) {
            if !known.iter().any(|known| known == word) {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                let meant = meant(word, known.iter().copied());
                let listed = if known.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("use one of {}", known.join(", "))
                };
                let message = format!("{what} is never {word:?}{meant}");
                found.push(policy.error(policy.place_of(word), message, &listed));
            }
        }
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => left.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found.sort_by_key(|warning| (warning.line, warning.column));
    found.dedup();
    found
}

/// What an expression compares, with which word, and all the words that there are for it.
fn compared<'a>(value: &'a Value, names: Option<&Names>) -> Vec<(String, &'a str, Vec<String>)> {
    let Some(fields) = value.as_object() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (operator, sides) in fields {
        match operator.as_str() {
            "==" | "!=" | "contains" | "containsAny" | "containsAll" => {
                let (Some(left), Some(right)) = (sides.get("left"), sides.get("right")) else {
                    continue;
                };
                for (one, other) in [(left, right), (right, left)] {
                    let Some(path) = path(one) else { continue };
                    if let Some(known) = words(&path, names) {
                        let all = literals(other).into_iter();
                        found.extend(all.map(|word| (path.clone(), word, known.clone())));
                    }
                }
            }
            // An entity, in a scope or in a condition.
            "entity" | "__entity" => found.extend(entity(sides, names)),
            "entities" => {
                let all = sides.as_array().into_iter().flatten();
                found.extend(all.filter_map(|one| entity(one, names)));
            }
            _ => {}
        }
    }
    found
}

/// An entity that the configuration would have to know.
fn entity<'a>(value: &'a Value, names: Option<&Names>) -> Option<(String, &'a str, Vec<String>)> {
    let (kind, id) = (value.get("type")?.as_str()?, value.get("id")?.as_str()?);
    let names = names?;
    let listed = |names: &BTreeSet<String>| names.iter().cloned().collect();
    match kind {
        "Writ::Profile" => Some(("a profile".to_owned(), id, listed(&names.profiles))),
        "Writ::Source" => Some(("a source".to_owned(), id, listed(&names.sources))),
        "Writ::Selector" => {
            let source = id.split(':').next()?;
            let what = "the source of a selector".to_owned();
            Some((what, source, listed(&names.sources)))
        }
        _ => None,
    }
}

/// The words for an attribute whose words are all known.
fn words(path: &str, names: Option<&Names>) -> Option<Vec<String>> {
    let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let listed = |names: &BTreeSet<String>| names.iter().cloned().collect();
    match path {
        "context.pipeline.status" | "context.job.status" => {
            Some(of(&RunStatus::ALL.map(RunStatus::as_str)))
        }
        "context.case.status" => Some(of(&CaseStatus::ALL.map(CaseStatus::as_str))),
        "context.allow" => Some(of(&Allowance::ALL.map(Allowance::as_str))),
        "context.profile" => names.map(|names| listed(&names.profiles)),
        "context.grant" => names.map(|names| listed(&names.grants)),
        "principal.source" => names.map(|names| listed(&names.sources)),
        _ => None,
    }
}

/// `context.case.status`, of the expression that reads it.
fn path(value: &Value) -> Option<String> {
    if let Some(variable) = value.get("Var") {
        return variable.as_str().map(str::to_owned);
    }
    let read = value.get(".")?;
    let attribute = read.get("attr")?.as_str()?;
    Some(format!("{}.{attribute}", path(read.get("left")?)?))
}

/// The text of an expression that is one, or of those in its set.
fn literals(value: &Value) -> Vec<&str> {
    let one = value.get("Value").and_then(Value::as_str);
    let set = value.get("Set").and_then(Value::as_array);
    let of_set = set.into_iter().flatten();
    let of_set = of_set.filter_map(|item| item.get("Value")?.as_str());
    one.into_iter().chain(of_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(text: &str) -> Vec<String> {
        let names = Names {
            profiles: ["deploy".to_owned()].into(),
            grants: ["kubernetes".to_owned()].into(),
            sources: ["github".to_owned()].into(),
        };
        let source = PolicySource {
            name: "team.cedar".to_owned(),
            text: text.to_owned(),
        };
        let lint = lint(&[PolicySource::shipped(), source], Some(&names));
        assert!(lint.problems.is_empty(), "{:?}", lint.problems);
        lint.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unconditional_permit_is_warned_of_and_a_bounded_one_is_not() {
        let all = warned("@id(\"a\") permit (principal, action, resource);");
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].contains("has no condition"), "{all:?}");
        for bounded in [
            "permit (principal in Writ::Profile::\"deploy\", action, resource)",
            "permit (principal, action == Writ::Action::\"read\", resource in Writ::Folder::\"ci\")",
            "permit (principal, action, resource) when { context.key_bound }",
            "forbid (principal, action, resource)",
        ] {
            assert_eq!(warned(&format!("@id(\"a\") {bounded};")), [""; 0]);
        }
    }

    #[test]
    fn a_word_that_nothing_is_called_is_told_with_its_place_and_the_nearest() {
        for (condition, said) in [
            (
                "context has case && context.case.status == \"closd\"",
                "3:52: context.case.status is never \"closd\": did you mean closed?",
            ),
            (
                "context has job && [\"in_progres\"].contains(context.job.status)",
                "did you mean in_progress?",
            ),
            (
                "context.allow.contains(\"self-hostd\")",
                "did you mean self-hosted?",
            ),
            ("context.grant == \"kubernets\"", "did you mean kubernetes?"),
            (
                "principal in Writ::Profile::\"deplyo\"",
                "a profile is never \"deplyo\": did you mean deploy?",
            ),
            (
                "principal in [Writ::Source::\"gitub\"]",
                "a source is never \"gitub\": did you mean github?",
            ),
            (
                "principal in Writ::Selector::\"githb:ref:x\"",
                "did you mean github?",
            ),
        ] {
            let text = format!(
                "\n@id(\"a\") forbid (principal, action, resource)\nwhen {{ {condition} }};"
            );
            let all = warned(&text);
            assert!(
                all.len() == 1 && all[0].contains(said),
                "{condition}: {all:?}"
            );
        }
    }

    #[test]
    fn one_run_tells_everything_that_is_wrong() {
        let source = |name: &str, text: &str| PolicySource {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let all = [
            source("a.cedar", "@id(\"a\") permit (principal, action, resource"),
            source(
                "b.cedar",
                "@id(\"b\") forbid (principal, action, resource) when { context.risk };\n@id(\"b\") forbid (principal, action, resource);",
            ),
            source("c.cedar", "forbid (principal, action, resource);"),
        ];
        let lint = lint(&all, None);
        let places: Vec<_> = lint
            .problems
            .iter()
            .map(|problem| (problem.file.as_str(), problem.line))
            .collect();
        assert_eq!(
            places,
            [
                ("a.cedar", 1),
                ("b.cedar", 2),
                ("c.cedar", 1),
                ("b.cedar", 1)
            ]
        );
    }
}
