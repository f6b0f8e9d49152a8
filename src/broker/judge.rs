//! Judge: the decision as every verb asks for it, and as the preview foretells it.

use crate::broker::Broker;
use crate::decide::act::{Aim, Question, clear};
use crate::decide::case::{Ask, Case};
use crate::decide::clearance::Clearance;
use crate::decide::decide;
use crate::decide::denial::Refusal;
use crate::decide::engine::PolicySet;
use crate::decide::permit::Permit;
use crate::domain::time::Timestamp;
use crate::telemetry::span::Mark;
use crate::telemetry::trace;

impl Broker {
    /// Decides one case on the policies that its profile stands with. Only whoever would be given something is told of a
    /// freeze: whoever is denied is told why, and what has to end ends.
    ///
    /// # Errors
    /// Denied; or undetermined, which is also what a freeze is.
    pub(in crate::broker) fn judge(
        &self,
        policies: &PolicySet,
        case: &Case<'_>,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        mark(case);
        let _stage = trace::stage("decide");
        let permit = decide(case, ask, policies, now)?;
        self.thawed(case, now)?;
        Ok(permit)
    }

    /// Decides one action on the policies that its profile stands with. A freeze stops what is given, a permit among it, not the
    /// use of what is out.
    ///
    /// # Errors
    /// Denied or undetermined.
    pub(in crate::broker) fn clear(
        &self,
        policies: &PolicySet,
        case: &Case<'_>,
        question: &Question<'_>,
    ) -> Result<Clearance, Refusal> {
        mark(case);
        let _stage = trace::stage("decide");
        let now = self.clock.now();
        let cleared = clear(case, question, policies, now)?;
        if matches!(question.aim, Aim::Reserve { .. }) {
            self.thawed(case, now)?;
        }
        Ok(cleared)
    }
}

fn mark(case: &Case<'_>) {
    trace::mark(|| Mark::Profile(case.profile.name.clone()));
    trace::mark(|| Mark::Task(case.task_name.clone()));
}
