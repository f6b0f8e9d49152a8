//! Webhooks: heard with the right token or signature only, and never believed.

use std::time::Duration;

use serde_json::json;
use writ_practice::{Delivery, LabHook, LabSecret, LabStatus, Mode, Target};

use super::{Held, hook};
use crate::support::broker::{HOOK_SECRET, SIGNING_KEY, SIGNING_TOKEN};

impl Held {
    async fn deliver(&self, secret: LabSecret) -> Delivery {
        let to = LabHook {
            secret,
            ..hook(&self.broker)
        };
        let body = json!({
            "object_kind": "build",
            "build_id": self.job(),
            "build_status": "success",
            "pipeline_id": self.run.pipeline_id,
            "project_id": self.broker.project.project_id,
        });
        self.broker
            .lab()
            .forge(&to, "Job Hook", body)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a45_what_shows_no_right_token_or_signature_is_refused_and_expires_nothing() {
    let held = Held::new().await;
    held.broker.fault_lab(Target::Api, Mode::Down);
    let encoded = SIGNING_TOKEN.trim_start_matches("whsec_");
    for wrong in [
        LabSecret::Nothing,
        LabSecret::Token(String::new()),
        LabSecret::Token(HOOK_SECRET[1..].to_owned()),
        LabSecret::Token(format!("{HOOK_SECRET}0")),
        LabSecret::Token(SIGNING_TOKEN.to_owned()),
        LabSecret::Token(encoded.to_owned()),
        LabSecret::Signing(HOOK_SECRET.as_bytes().to_vec()),
        LabSecret::Signing(SIGNING_TOKEN.as_bytes().to_vec()),
    ] {
        let delivery = held.deliver(wrong).await;
        assert_eq!(delivery.status, Some(401), "{delivery:?}");
        held.broker.reread_all().await;
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_leaked_secret_can_delay_and_not_revoke() {
    for secret in [
        LabSecret::Token(HOOK_SECRET.to_owned()),
        LabSecret::Signing(SIGNING_KEY.to_vec()),
    ] {
        let held = Held::new().await;
        held.broker.fault_lab(Target::Jobs, Mode::Down);
        let delivery = held.deliver(secret).await;
        assert_eq!(delivery.status, Some(202), "{delivery:?}");
        held.broker.reread_all().await;
        held.renew()
            .await
            .assert_refused(503, "context_unavailable");
        assert!(held.is_active().await);
        held.broker.mend_lab().await;
        held.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_signed_delivery_is_heard_near_its_time_only() {
    for (late, status) in [(200, 202), (400, 401)] {
        let held = Held::new().await;
        held.broker.lab().set_hook(None);
        let lab = held.broker.lab();
        lab.move_job(held.job(), LabStatus::Success).await.unwrap();
        lab.set_clock_offset(-late);
        let delivery = held.deliver(LabSecret::Signing(SIGNING_KEY.to_vec())).await;
        assert_eq!(delivery.status, Some(status), "{delivery:?}");
        held.broker.reread_all().await;
        assert_eq!(held.is_active().await, status == 401);
    }
}

#[tokio::test]
async fn a_pipeline_hook_alone_ends_the_jobs_that_it_lists() {
    let held = Held::new().await;
    let lab = held.broker.lab();
    lab.set_hook(None);
    lab.move_job(held.job(), LabStatus::Success).await.unwrap();
    let body = json!({
        "object_kind": "pipeline",
        "object_attributes": { "id": held.run.pipeline_id, "status": "running" },
        "project": { "id": held.broker.project.project_id },
        "builds": [{ "id": held.job(), "status": "success" }],
    });
    let delivery = lab.forge(&hook(&held.broker), "Pipeline Hook", body).await;
    assert_eq!(delivery.unwrap().status, Some(202));
    held.broker.reread_all().await;
    assert!(!held.is_active().await);
}

#[tokio::test]
async fn bodies_that_are_not_their_event_are_refused_and_expire_nothing() {
    let held = Held::new().await;
    held.broker.fault_lab(Target::Api, Mode::Down);
    for body in ["", "null", "[]", "{", r#"{"object_kind":"build"}"#] {
        let lab = held.broker.lab();
        let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        let delivery = lab.forge(&hook(&held.broker), "Job Hook", body).await;
        assert_eq!(delivery.unwrap().status, Some(400));
    }
    held.broker.pass(Duration::from_secs(1)).await;
    held.renew().await.assert_issued();
}
