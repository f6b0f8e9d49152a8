//! Fits: whether rows are what a condition means.

use super::Condition;
use super::clause::{Clause, Test, TextField, TimeField};
use crate::domain::lineage::Lineage;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;

impl Condition {
    /// Whether the task satisfies what is asked of tasks.
    pub fn fits_task(&self, task: &Task) -> bool {
        let mut parts = task.name.as_str().split('/');
        let source = parts.next();
        let parts: Vec<_> = parts.collect();
        self.clauses.iter().all(|clause| match clause {
            Clause::Text { of, within, values } => {
                let value = match of {
                    TextField::Source => source,
                    TextField::Profile => Some(task.profile.as_str()),
                    TextField::Task => Some(task.name.as_str()),
                    TextField::Part(n) => parts.get(n - 1).copied(),
                    TextField::Instance | TextField::Workload | TextField::Claim(_) => return true,
                };
                is_in(value, values) == *within
            }
            Clause::Time {
                of: TimeField::Opened,
                test,
                at,
            } => test.holds(task.opened_at, *at),
            Clause::Time {
                of: TimeField::Issued,
                ..
            } => true,
        })
    }

    /// Whether the lineage satisfies what is asked of lineages.
    pub fn fits_lineage(&self, lineage: &Lineage) -> bool {
        self.clauses.iter().all(|clause| {
            let Clause::Text { of, within, values } = clause else {
                return true;
            };
            let value = match of {
                TextField::Instance => Some(lineage.instance.as_str()),
                TextField::Workload => Some(lineage.identity.id().as_str()),
                TextField::Claim(name) => lineage.identity.fixed().get(name).map(String::as_str),
                TextField::Source | TextField::Profile | TextField::Task | TextField::Part(_) => {
                    return true;
                }
            };
            is_in(value, values) == *within
        })
    }

    /// Whether a credential that was issued at this time satisfies what is asked of credentials.
    pub fn fits_issue(&self, issued: Timestamp) -> bool {
        self.clauses.iter().all(|clause| match clause {
            Clause::Time {
                of: TimeField::Issued,
                test,
                at,
            } => test.holds(issued, *at),
            Clause::Time {
                of: TimeField::Opened,
                ..
            }
            | Clause::Text { .. } => true,
        })
    }

    /// Whether anything is asked of lineages.
    pub fn asks_lineages(&self) -> bool {
        self.clauses.iter().any(|clause| {
            matches!(
                clause,
                Clause::Text {
                    of: TextField::Instance | TextField::Workload | TextField::Claim(_),
                    ..
                }
            )
        })
    }

    /// Whether anything is asked of credentials.
    pub fn asks_issues(&self) -> bool {
        let issued = |clause: &Clause| {
            matches!(
                clause,
                Clause::Time {
                    of: TimeField::Issued,
                    ..
                }
            )
        };
        self.clauses.iter().any(issued)
    }

    /// The claims that it names. One that nothing has is a slip of the pen.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.clauses.iter().filter_map(|clause| match clause {
            Clause::Text {
                of: TextField::Claim(name),
                ..
            } => Some(name.as_str()),
            Clause::Text { .. } | Clause::Time { .. } => None,
        })
    }

    /// No task that was opened before can fit.
    pub fn opened_from(&self) -> Option<Timestamp> {
        let bounds = self.clauses.iter().filter_map(|clause| match clause {
            Clause::Time {
                of: TimeField::Opened,
                test: Test::More | Test::MoreOrSame,
                at,
            } => Some(*at),
            Clause::Time { .. } | Clause::Text { .. } => None,
        });
        bounds.max()
    }
}

fn is_in(value: Option<&str>, values: &[String]) -> bool {
    value.is_some_and(|value| values.iter().any(|one| one == value))
}
