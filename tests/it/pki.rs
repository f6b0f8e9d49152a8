//! The broker's own certificate authorities: made at the first start, published before they sign, and
//! replaced with overlap.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use writ::broker::administer::Haste;
use writ::broker::revoke::Order;
use writ::jobs::rotation::Rotation;
use writ::seams::Clock as _;
use writ_keys::{KeyState, Purpose};

use crate::support::broker::Broker;
use crate::support::profiles::DEPLOY;

const DAY: Duration = Duration::from_hours(24);

impl Broker {
    async fn roots(&self) -> Vec<Value> {
        let url = format!("{}/svid/bundle", self.issuer);
        let answer = self.client().http.get(url).send().await.unwrap();
        let bundle: Value = answer.json().await.unwrap();
        let keys = bundle["keys"].as_array().unwrap().iter();
        keys.filter(|key| key["use"] == "x509-svid")
            .cloned()
            .collect()
    }

    async fn states(&self, purpose: Purpose) -> Vec<KeyState> {
        let rows = self.wired.broker.keys().await.unwrap();
        let of_purpose = rows.iter().filter(|row| row.purpose == purpose);
        of_purpose.map(|row| row.state).collect()
    }

    async fn rotate(&self, after: Duration) {
        let rotation = Rotation::new(Arc::clone(&self.wired.broker), after);
        rotation.run(self.clock.now()).await.unwrap();
    }
}

fn order() -> Order {
    Order {
        by: "tester".to_owned(),
        reason: None,
        repeat: None,
    }
}

#[tokio::test]
async fn roots_are_in_the_bundle_and_in_pem_and_are_the_same_after_a_while() {
    let broker = Broker::with(DEPLOY).await;
    let roots = broker.roots().await;
    assert_eq!(roots.len(), 1);
    let url = format!("{}/pki/roots.pem", broker.issuer);
    let answer = broker.client().http.get(url).send().await.unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/pem-certificate-chain"
    );
    let pem = answer.text().await.unwrap().replace('\n', "");
    let der = roots[0]["x5c"][0].as_str().unwrap();
    assert!(pem.contains(der));
    broker.pass(DAY).await;
    assert_eq!(broker.roots().await, roots);
}

#[tokio::test]
async fn an_intermediate_is_replaced_by_rotation_and_the_root_stays() {
    use KeyState::{Active, Prepared, Retired, Withdrawn};
    let broker = Broker::with(DEPLOY).await;
    let roots = broker.roots().await;
    broker.pass(30 * DAY).await;
    broker.rotate(30 * DAY).await;
    let intermediate = Purpose::CaIntermediate;
    assert_eq!(broker.states(intermediate).await, [Active, Prepared]);
    // Whoever keeps lists in a file has not heard of it yet.
    broker.rotate(30 * DAY).await;
    assert_eq!(broker.states(intermediate).await, [Active, Prepared]);
    broker.pass(Duration::from_mins(2)).await;
    broker.rotate(30 * DAY).await;
    assert_eq!(broker.states(intermediate).await, [Retired, Active]);
    broker.pass(Duration::from_mins(61)).await;
    broker.rotate(30 * DAY).await;
    assert_eq!(broker.states(intermediate).await, [Withdrawn, Active]);
    assert_eq!(broker.states(Purpose::CaRoot).await, [Active]);
    assert_eq!(broker.roots().await, roots);
}

#[tokio::test]
async fn a_root_is_published_before_it_signs_and_stays_while_anything_stands_on_it() {
    let broker = Broker::with(DEPLOY).await;
    let verbs = &broker.wired.broker;
    let by = order();
    let old = broker.wired.broker.keys().await.unwrap();
    let old = old.iter().find(|row| row.purpose == Purpose::CaRoot);
    let old = old.unwrap().id.clone();
    let new = verbs.prepare_key(Purpose::CaRoot, &by).await.unwrap();
    assert_eq!(broker.roots().await.len(), 2);
    let hasty = verbs.move_key(new.id.as_str(), KeyState::Active, Haste::Patient, &by);
    assert_eq!(hasty.await.unwrap_err().code().as_str(), "conflict");
    broker.pass(Duration::from_mins(2)).await;
    let moved = verbs.move_key(new.id.as_str(), KeyState::Active, Haste::Patient, &by);
    moved.await.unwrap();

    // The intermediate in force was signed by the old root.
    broker.pass(Duration::from_mins(61)).await;
    broker.rotate(30 * DAY).await;
    assert_eq!(broker.roots().await.len(), 2);
    let hasty = verbs.move_key(old.as_str(), KeyState::Withdrawn, Haste::Patient, &by);
    assert_eq!(hasty.await.unwrap_err().code().as_str(), "conflict");
    assert_eq!(broker.roots().await.len(), 2);

    let next = verbs.prepare_key(Purpose::CaIntermediate, &by).await;
    broker.pass(Duration::from_mins(2)).await;
    let next = next.unwrap().id;
    let moved = verbs.move_key(next.as_str(), KeyState::Active, Haste::Patient, &by);
    moved.await.unwrap();
    broker.pass(Duration::from_mins(61)).await;
    broker.rotate(30 * DAY).await;
    broker.rotate(30 * DAY).await;
    assert_eq!(broker.roots().await.len(), 1);
}
