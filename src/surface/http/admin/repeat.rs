//! An order's `Idempotency-Key`: by what it is known when it is given again because its answer was lost.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;

use super::failed::Failed;
use super::gate::Operator;
use crate::domain::key::Digest;
use crate::error::{Code, Error};
use crate::ledger::answered::Repeat;
use crate::surface::http::idempotency;

/// The key that came with a request, if one did.
pub(super) struct Key(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        Ok(Self(idempotency::read(&parts.headers)?))
    }
}

impl Key {
    /// By what this operator's order is known: everything that it says belongs to it.
    pub(super) fn of(
        &self,
        operator: &Operator,
        route: &str,
        says: &impl Serialize,
    ) -> Result<Option<Repeat>, Error> {
        let Some(key) = &self.0 else {
            return Ok(None);
        };
        let says = serde_json::to_vec(says)
            .map_err(|e| Error::new(Code::Internal, "the order has no form").with_internal(e))?;
        Ok(Some(Repeat {
            key: Digest::of(&[operator.as_str().as_bytes(), key.as_bytes()]),
            request: Digest::of(&[route.as_bytes(), &says]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::surface::http::admin::users::Users;
    use crate::surface::http::peer::Peer;
    use crate::surface::socket::Caller;

    fn operator(uid: u32) -> Operator {
        let caller = Caller {
            uid,
            gid: 0,
            pid: None,
        };
        let users = Users::new(uid, &BTreeSet::new(), "");
        Operator::local(&users, &Peer::Unix(caller)).unwrap()
    }

    #[test]
    fn a_key_is_its_operators_own_and_an_order_is_all_that_it_says() {
        let key = Key(Some("k".to_owned()));
        let of = |uid, route: &str, says: &str| {
            let repeat = key.of(&operator(uid), route, &says).unwrap().unwrap();
            (repeat.key, repeat.request)
        };
        let first = of(1, "a", "x");
        assert_eq!(first, of(1, "a", "x"));
        assert_ne!(first.0, of(2, "a", "x").0);
        assert_ne!(first.1, of(1, "b", "x").1);
        assert_ne!(first.1, of(1, "a", "y").1);
        assert!(Key(None).of(&operator(1), "a", &"x").unwrap().is_none());
    }
}
