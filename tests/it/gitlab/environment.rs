//! The environment: its protection is pinned, and who changes it ends what stood on it.

use std::time::Duration;

use writ_practice::Protection;

use super::Held;
use crate::support::broker::ENVIRONMENT;

#[tokio::test]
async fn a_change_of_the_protection_ends_the_lineage() {
    let held = Held::new().await;
    held.broker.pass(Duration::from_secs(31)).await;
    held.renew().await.assert_issued();
    let protection = Protection {
        access_level: 30,
        required_approvals: 0,
    };
    let project = held.broker.project.project_id;
    let lab = held.broker.lab();
    lab.protect(project, ENVIRONMENT, Some(protection)).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_mismatch");
    assert_eq!(renewal.field(), "environment.protection_rules");
    assert!(!held.is_active().await);
    lab.protect(project, ENVIRONMENT, None).unwrap();
    held.assert_never_again("context_mismatch").await;
}

#[tokio::test]
async fn an_environment_made_again_under_its_name_is_another() {
    let held = Held::new().await;
    let project = held.broker.project.project_id;
    let lab = held.broker.lab();
    lab.make_environment(project, ENVIRONMENT).unwrap();
    held.broker.pass(Duration::from_secs(31)).await;
    let renewal = held.renew().await;
    renewal.assert_refused(400, "context_mismatch");
    assert_eq!(renewal.field(), "environment.id");
    assert!(!held.is_active().await);
}
