//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): by what an order is known when it is given
//! again because its answer was lost.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use serde::Serialize;

use super::decode::malformed;
use super::failed::Failed;
use super::gate::Operator;
use crate::domain::key::Digest;
use crate::error::{Code, Error};
use crate::ledger::answered::Repeat;

/// The key that came with a request, if one did.
pub(super) struct Key(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        Ok(Self(read(&parts.headers)?))
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

fn read(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut all = headers.get_all(NAME).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| all.next().is_none());
    let key = text.map(str::trim).and_then(bare);
    let key = key.ok_or_else(|| {
        let what = "one key of 1 to 128 visible ASCII characters, best a random UUID, between quotes or bare";
        malformed(what.to_owned(), NAME)
    })?;
    Ok(Some(key.to_owned()))
}

/// The draft wants a quoted string (RFC 8941 §3.3.3); clients send bare words as well.
fn bare(text: &str) -> Option<&str> {
    let key = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',' | b';');
    ((1..=128).contains(&key.len()) && key.bytes().all(fits)).then_some(key)
}

pub(super) const NAME: &str = "Idempotency-Key";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::HeaderValue;

    use super::*;
    use crate::surface::http::admin::users::Users;
    use crate::surface::http::peer::Peer;
    use crate::surface::socket::Caller;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_one_word_quoted_or_bare() {
        assert_eq!(read(&headers(&[])).unwrap(), None);
        for one in ["\"8e03978e-40d5\"", "8e03978e-40d5", " 8e03978e-40d5 "] {
            let read = read(&headers(&[one])).unwrap();
            assert_eq!(read.as_deref(), Some("8e03978e-40d5"), "{one}");
        }
        let long = "x".repeat(129);
        for bad in [
            &["a", "b"][..],
            &[""],
            &["\"\""],
            &["a b"],
            &["\"a"],
            &["a\""],
            &["a;b=1"],
            &[&long],
            &["ä"],
        ] {
            let refused = read(&headers(bad)).unwrap_err();
            assert_eq!(refused.code(), Code::RequestMalformed, "{bad:?}");
        }
    }

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
