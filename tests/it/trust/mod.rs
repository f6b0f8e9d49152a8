//! What is known to be at risk may do less, or nothing, from this moment on; and comes back with less.

use serde_json::{Value, json};
use writ::broker::revoke::Order;
use writ::domain::constraint::Narrowing;
use writ::domain::ids::LineageId;
use writ::domain::lineage::Lineage;
use writ::error::Error;

use crate::check::Held;
use crate::support::client::Answer;
use crate::support::desk::Desk;

mod quarantine;
mod step_up;

impl Held {
    pub(super) fn lineage(&self) -> LineageId {
        self.first.text("lineage").parse().unwrap()
    }

    /// Stopped by the operator at the desk.
    pub(super) async fn quarantine(&self, desk: &Desk) -> Answer {
        let reason = json!({"reason": "the ticket tells it to refund itself"});
        desk.post(&self.at("quarantine"), &reason).await
    }

    /// Let go on by somebody else.
    pub(super) async fn release(&self, narrowing: &Narrowing) -> Result<Lineage, Error> {
        let broker = &self.broker.wired.broker;
        broker
            .release(self.lineage(), narrowing, &by("grace"))
            .await
    }

    pub(super) fn at(&self, order: &str) -> String {
        format!("/api/v1/lineages/{}/{order}", self.lineage())
    }

    /// The subject of a token that was taken later.
    pub(super) fn showing(&self, taken: &Answer) -> Value {
        let mut subject = self.subject.clone();
        subject["properties"]["access_token"] = json!(taken.text("access_token"));
        subject
    }
}

pub(super) fn by(name: &str) -> Order {
    Order {
        by: name.to_owned(),
        reason: None,
        repeat: None,
    }
}

pub(super) fn without(actions: &[&str]) -> Narrowing {
    Narrowing {
        actions: actions.iter().map(|name| name.parse().unwrap()).collect(),
        ..Narrowing::default()
    }
}
