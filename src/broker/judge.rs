//! Judge: the decision as every verb asks for it, and as the preview foretells it.

use crate::broker::Broker;
use crate::decide::act::{Aim, Question, clear};
use crate::decide::case::{Ask, Case};
use crate::decide::clearance::Clearance;
use crate::decide::decide;
use crate::decide::denial::Refusal;
use crate::decide::permit::Permit;
use crate::domain::time::Timestamp;
use crate::telemetry::span::Mark;
use crate::telemetry::trace;

impl Broker {
    /// Decides one case on the policies in force. Only whoever would be given something is told of a
    /// freeze: whoever is denied is told why, and what has to end ends.
    ///
    /// # Errors
    /// Denied; or undetermined, which is also what a freeze is.
    pub(in crate::broker) fn judge(
        &self,
        case: &Case<'_>,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        mark(case);
        let _stage = trace::stage("decide");
        let permit = decide(case, ask, &self.policies.load(), now)?;
        self.thawed(case, now)?;
        Ok(permit)
    }

    /// Decides one action on the policies in force. A freeze stops what is given, a permit among it, not the
    /// use of what is out.
    ///
    /// # Errors
    /// Denied or undetermined.
    pub(in crate::broker) fn clear(
        &self,
        case: &Case<'_>,
        question: &Question<'_>,
    ) -> Result<Clearance, Refusal> {
        mark(case);
        let _stage = trace::stage("decide");
        let (policies, now) = (self.policies.load(), self.clock.now());
        let cleared = clear(case, question, &policies, now)?;
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
