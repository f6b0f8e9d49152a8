//! How a decision is told.

use serde_json::{Value, json};

use crate::decide::engine::Verdict;
use crate::decide::load::PolicyError;

/// In a line.
pub(super) fn line(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Permitted { policies } => format!("permitted by {}", policies.join(", ")),
        Verdict::Denied {
            code,
            policies,
            errors,
            ..
        } => {
            let by = match (policies.as_slice(), errors.as_slice()) {
                ([], []) => "no policy permits it".to_owned(),
                ([], errors) => format!("{} could not be evaluated", count(errors.len())),
                (policies, []) => format!("by {}", policies.join(", ")),
                (policies, errors) => format!(
                    "by {}, and {} could not be evaluated",
                    policies.join(", "),
                    count(errors.len())
                ),
            };
            format!("denied ({}): {by}", code.as_str())
        }
    }
}

/// For programs.
pub(super) fn document(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Permitted { policies } => json!({"decision": "permitted", "policies": policies}),
        Verdict::Denied {
            code,
            policies,
            advice,
            errors,
        } => json!({
            "decision": "denied",
            "code": code.as_str(),
            "policies": policies,
            "advice": advice,
            "errors": errors,
        }),
    }
}

/// A place in a policy, and what is the matter with it.
pub(super) fn finding(error: &PolicyError) -> Value {
    json!({
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "what": error.message,
        "mend": error.mend,
    })
}

fn count(policies: usize) -> String {
    if policies == 1 {
        "one policy".to_owned()
    } else {
        format!("{policies} policies")
    }
}
