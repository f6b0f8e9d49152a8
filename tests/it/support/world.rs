//! The world outside, broken and mended.

use std::time::Duration;

use writ_practice::{Delivery, Fault, Forgery, Mint, Mode, StartedJob, StartedRun, Target};

use super::broker::{Broker, keep_time};

impl Broker {
    /// From now on this part of the world answers so.
    pub fn fault(&self, target: Target, mode: Mode) {
        let fault = Fault {
            target,
            mode,
            delay_ms: 0,
        };
        self.site().faults().set(fault).unwrap();
    }

    /// Mends the world, and lets the time pass after which the broker asks it again.
    pub async fn mend(&self) {
        self.site().faults().clear();
        self.pass(Duration::from_secs(11)).await;
    }

    /// How often a part of the world was asked.
    pub fn asked(&self, target: Target) -> u64 {
        self.site().faults().requests().of(target)
    }

    /// A token for a job, deviating from the honest one as `mint` says.
    pub fn mint(&self, job: &StartedJob, audience: &str, mint: Mint) -> String {
        keep_time(self.site(), self.clock.as_ref());
        let mint = Mint {
            job_id: Some(job.job_id),
            audience: Some(audience.to_owned()),
            ..mint
        };
        self.site().mint(mint).unwrap()
    }

    /// A webhook about a run, in the least that its event needs, signed with the right secret.
    pub async fn run_hook(&self, run: &StartedRun, action: &str) -> Delivery {
        self.forge(self.run_forgery(run, action)).await
    }

    pub async fn forge(&self, forgery: Forgery) -> Delivery {
        self.site().hooks().forge(forgery).await.unwrap()
    }

    pub fn run_forgery(&self, run: &StartedRun, action: &str) -> Forgery {
        Forgery {
            event: "workflow_run".to_owned(),
            body: serde_json::json!({
                "action": action,
                "workflow_run": {
                    "id": run.run_id,
                    "run_attempt": run.run_attempt,
                    "status": action,
                    "conclusion": "success",
                },
                "repository": { "id": self.repo.repository_id },
            }),
            secret: None,
            signature: None,
            guid: None,
            url: None,
        }
    }
}
