//! Judge: the decision as every verb asks for it, and as the preview foretells it.

use crate::broker::Broker;
use crate::decide::case::Case;
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
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        trace::mark(|| Mark::Profile(case.profile.name.clone()));
        trace::mark(|| Mark::Task(case.task_name.clone()));
        let _stage = trace::stage("decide");
        let permit = decide(case, &self.policies.load(), now)?;
        self.thawed(case, now)?;
        Ok(permit)
    }
}
