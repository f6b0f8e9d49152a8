//! An agent that is a pod: known by its service account, at work as long as it runs and the case is its.

use std::time::Duration;

use writ_practice::client::SessionKey;
use writ_practice::{Pod, PodPhase as Phase};

use super::{DESK, details};
use crate::kubernetes::SOURCE;
use crate::support::broker::Broker;
use crate::support::client::Answer;

const ACCOUNT: &str = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798";

const PROFILE: &str = r#"
[[profile]]
name = "support"
source = "cluster"
match = { serviceaccount_uid = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" }
case_of = "desk"
opens_when = { assignee = "serviceaccount_uid" }
instance = "{pod_uid}"

[[profile.binding]]
record = "job"
require = { status = "in_progress" }
max_age = "60s"
via = ["pull"]

[[profile.binding]]
record = "case"
require = { status = "open" }
max_age = "60s"
via = ["pull"]

[profile.grant.case]
audiences = ["https://billing.example"]
"#;

async fn ask(broker: &Broker, pod: &Pod, key: &SessionKey) -> Answer {
    let token = broker.cluster().token(pod, &broker.issuer).unwrap();
    let named = details("desk/case/4711");
    let more = [
        ("authorization_details", named.as_str()),
        ("audience", "https://billing.example"),
    ];
    broker
        .client()
        .exchange_token(&token, Some(key), &more)
        .await
}

fn pod(broker: &Broker, name: &str) -> Pod {
    let spec = writ_practice::PodSpec {
        namespace: "agents".to_owned(),
        name: name.to_owned(),
        account: "support".to_owned(),
    };
    broker.cluster().run(spec).unwrap()
}

#[tokio::test]
async fn a_pod_holds_its_case_while_both_are_there_and_a_new_start_comes_back_to_a_reopened_one() {
    let broker = Broker::with(&format!("{SOURCE}{DESK}{PROFILE}")).await;
    broker.cluster().set_account("agents", "support", ACCOUNT);
    broker.desk().open("4711", "AC-9", Some(ACCOUNT)).unwrap();
    let (client, key) = (broker.client(), SessionKey::generate().unwrap());
    let first = pod(&broker, "support-0");
    let token = ask(&broker, &first, &key).await;
    token.assert_issued();
    assert_eq!(token.text("task_name"), "desk/case/4711");
    broker.desk().set_state("4711", "solved").await.unwrap();
    broker.pass(Duration::from_secs(61)).await;
    client
        .renew(&token, &key, &[])
        .await
        .assert_refused(400, "context_ended");

    broker.desk().set_state("4711", "open").await.unwrap();
    broker.pass(Duration::from_secs(61)).await;
    let again = ask(&broker, &first, &key).await;
    again.assert_refused(400, "context_ended");
    let (second, key) = (pod(&broker, "support-1"), SessionKey::generate().unwrap());
    let token = ask(&broker, &second, &key).await;
    token.assert_issued();
    broker.cluster().set_phase(&second, Phase::Failed).unwrap();
    broker.pass(Duration::from_secs(61)).await;
    let refused = client.renew(&token, &key, &[]).await;
    refused.assert_refused(400, "context_ended");
    assert_eq!(refused.field(), "job.status");
    assert!(!client.is_active(&token).await);
}
