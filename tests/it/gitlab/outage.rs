//! GitLab cannot be asked: nobody is let in and nobody is thrown out.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Fault, Faults, Mode, Target};

use super::{BILLING, Held};
use crate::support::broker::Broker;

impl Broker {
    /// From now on this part of the GitLab instance answers so.
    pub fn fault_lab(&self, target: Target, mode: Mode) {
        fault(self.lab().faults(), target, mode);
    }

    /// Mends the instance, and lets the time pass after which the broker asks it again.
    pub async fn mend_lab(&self) {
        self.lab().faults().clear();
        self.pass(Duration::from_secs(11)).await;
    }
}

pub fn fault(faults: &Faults, target: Target, mode: Mode) {
    let fault = Fault {
        target,
        mode,
        delay_ms: 0,
    };
    faults.set(fault).unwrap();
}

#[tokio::test]
async fn whatever_a_broken_instance_answers_it_decides_nothing() {
    for mode in [
        Mode::Down,
        Mode::Html,
        Mode::Garbage,
        Mode::Unavailable,
        Mode::RateLimited,
    ] {
        let held = Held::new().await;
        held.broker.pass(Duration::from_secs(61)).await;
        held.broker.fault_lab(Target::Api, mode);
        let before = held.broker.recorded().await;
        held.renew()
            .await
            .assert_refused(503, "context_unavailable");
        let key = SessionKey::generate().unwrap();
        let newcomer = &held.run.jobs[1].id_token;
        let newcomer = held.client.exchange_token(newcomer, Some(&key), BILLING);
        newcomer.await.assert_refused(503, "context_unavailable");
        assert_eq!(held.broker.recorded().await, before, "{mode:?}");
        assert!(held.is_active().await, "{mode:?}");
        held.broker.mend_lab().await;
        // Only one call tries whether the instance is back; those beside it are told to wait.
        drop(held.renew().await);
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn an_instance_that_answers_without_the_record_refuses_and_revokes_nothing() {
    for (target, field) in [
        (Target::Runs, "pipeline"),
        (Target::Jobs, "job"),
        (Target::Environments, "environment"),
    ] {
        let held = Held::new().await;
        held.broker.pass(Duration::from_secs(61)).await;
        held.broker.fault_lab(target, Mode::NotFound);
        let before = held.broker.recorded().await;
        let renewal = held.renew().await;
        renewal.assert_refused(400, "context_unknown");
        assert_eq!(renewal.field(), field);
        assert_eq!(held.broker.recorded().await, before);
        assert!(held.is_active().await, "{field}");
        held.broker.lab().faults().clear();
        held.broker.pass(Duration::from_secs(61)).await;
        held.renew().await.assert_issued();
    }
}
