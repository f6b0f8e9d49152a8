//! Operators' routes.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::broker::Broker;

pub fn router(_broker: Arc<Broker>, _uids: BTreeSet<u32>) -> axum::Router {
    axum::Router::new()
}
