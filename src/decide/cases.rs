//! Policies ship with their cases: each says what is asked, what is known, and which decision by which
//! policy has to follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::asked::{Asked, BadQuestion, Request, Written};
use crate::decide::engine::{PolicySet, Verdict};
use crate::decide::load::{PolicyError, PolicySource};
use crate::domain::context::Record;
use crate::error::Code;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows, in a sentence.
    pub claim: String,
    pub asked: Asked,
    pub expected: Expected,
    /// Policies of its own, beside those that are tested.
    own: String,
}

/// The decision that has to follow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "decision", rename_all = "snake_case")]
pub enum Expected {
    Permitted {
        policies: Vec<String>,
    },
    Denied {
        code: Code,
        policies: Vec<String>,
        /// How many policies have to fail to evaluate.
        #[serde(default)]
        errors: usize,
    },
}

/// Why a case cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadCase {
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    #[error("{0}")]
    Question(#[from] BadQuestion),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    claim: String,
    /// Lines of Cedar.
    #[serde(default)]
    policies: Vec<String>,
    request: Request,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "crate::decide::asked::records")]
    records: Vec<Record>,
    expect: Expected,
}

impl Case {
    /// Reads a case; an unknown key is refused, since a case with a slip in it would prove something else.
    ///
    /// # Errors
    /// What is wrong, with its line where the text has one.
    pub fn read(text: &str) -> Result<Self, BadCase> {
        let WrittenCase {
            claim,
            policies,
            request,
            claims,
            records,
            expect,
        } = serde_json::from_str(text)?;
        let written = Written {
            request,
            claims,
            records,
        };
        Ok(Self {
            claim,
            asked: Asked::try_from(written)?,
            expected: expect,
            own: policies.join("\n"),
        })
    }

    /// What the policies say, with the case's own beside them. `compiled` are the same as `sources`.
    ///
    /// # Errors
    /// The case's own policies do not load.
    pub fn verdict(
        &self,
        sources: &[PolicySource],
        compiled: &PolicySet,
    ) -> Result<Verdict, PolicyError> {
        if self.own.is_empty() {
            return Ok(self.asked.judged_by(compiled));
        }
        let own = PolicySource {
            name: "(the case's own)".to_owned(),
            text: self.own.clone(),
        };
        let all: Vec<_> = sources.iter().cloned().chain([own]).collect();
        Ok(self.asked.judged_by(&PolicySet::load(&all)?))
    }
}

impl Expected {
    pub fn holds(&self, verdict: &Verdict) -> bool {
        match (self, verdict) {
            (Self::Permitted { policies }, Verdict::Permitted { policies: by }) => policies == by,
            (
                Self::Denied {
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
            (Self::Permitted { .. }, Verdict::Denied { .. })
            | (Self::Denied { .. }, Verdict::Permitted { .. }) => false,
        }
    }

    /// The policies that it names.
    pub fn policies(&self) -> &[String] {
        match self {
            Self::Permitted { policies } | Self::Denied { policies, .. } => policies,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_shipped_case_is_decided_as_it_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/cases");
        let (sources, shipped) = ([PolicySource::shipped()], PolicySet::shipped());
        let mut deciding = BTreeSet::new();
        let mut failed = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let case =
                Case::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let verdict = case.verdict(&sources, &shipped).unwrap();
            if !case.expected.holds(&verdict) {
                failed.push(format!("{}: {}: {verdict:?}", path.display(), case.claim));
            }
            deciding.extend(verdict.policies().iter().cloned());
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        let undecided: Vec<_> = shipped
            .ids()
            .iter()
            .filter(|id| !deciding.contains(*id))
            .cloned()
            .collect();
        assert!(undecided.is_empty(), "no case is decided by {undecided:?}");
    }

    #[test]
    fn a_case_with_a_slip_in_it_is_refused() {
        let case = |more: &str| {
            format!(
                r#"{{"claim": "c", "request": {{"verb": "certify"}}, {more}
                "expect": {{"decision": "denied", "code": "policy_denied", "policies": []}}}}"#
            )
        };
        Case::read(&case("")).unwrap();
        for slip in [
            r#""claimz": {},"#,
            r#""records": [{"kind": "job", "status": "in_progress", "conclusoin": "x"}],"#,
            r#""records": [{"kind": "job", "status": "running"}],"#,
        ] {
            assert!(Case::read(&case(slip)).is_err(), "{slip}");
        }
    }
}
