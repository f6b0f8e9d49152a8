//! Single flight: callers who ask a peer for the same thing at the same time share one request.
//!
//! A call is the same when path and headers are: two bearers never share an answer. A finished flight is not
//! joined, so nobody is given an answer from before the last one ended; who needs an answer younger than some
//! event compares `Response::asked` with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{OutboundError, Response};

type Outcome = Result<Response, OutboundError>;
pub(super) type Flight = Shared<BoxFuture<'static, Outcome>>;

/// What is in the air to one peer. Entries live only as long as somebody waits for them.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, WeakShared<BoxFuture<'static, Outcome>>>>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Flights {
    /// The flight that asks for this, started from `depart` if there is none.
    pub(super) fn join(
        &self,
        path: &str,
        headers: &HeaderMap,
        depart: impl FnOnce() -> BoxFuture<'static, Outcome>,
    ) -> Flight {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let key = Key {
            path: path.to_owned(),
            headers,
        };
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(in_the_air) {
            return flight;
        }
        flights.retain(|_, flight| in_the_air(flight).is_some());
        let flight = depart().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }
}

fn in_the_air(flight: &WeakShared<BoxFuture<'static, Outcome>>) -> Option<Flight> {
    flight.upgrade().filter(|flight| flight.peek().is_none())
}
