//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): by what a request is known when it comes again
//! because its answer was lost.

use http::HeaderMap;

use crate::error::{Code, Error};

/// The key that came with a request, if one did.
///
/// # Errors
/// It is none, or there are several.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut all = headers.get_all(NAME).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| all.next().is_none());
    let key = text.map(str::trim).and_then(bare);
    let key = key.ok_or_else(|| {
        let what = "one key of 1 to 128 visible ASCII characters, best a random UUID, between quotes or bare";
        Error::new(Code::RequestMalformed, what).with_field(NAME)
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

/// The key that has to come with a request.
pub(super) fn required(headers: &HeaderMap) -> Result<String, Error> {
    let missing = || {
        let what = "the request needs a key of its sender's, so that it can be sent again";
        Error::new(Code::RequestMalformed, what).with_field(NAME)
    };
    read(headers)?.ok_or_else(missing)
}

pub(super) const NAME: &str = "Idempotency-Key";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
}
