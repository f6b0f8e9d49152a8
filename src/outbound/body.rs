//! Reading an answer: its kind is judged before its body, and the body is never held beyond its cap.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};

use super::{Content, OutboundError, Rules, client};

/// The whole body, when its declared kind is wanted and its size allowed.
///
/// # Errors
/// `NotJson`, `TooLarge`, or what broke while reading.
pub(super) async fn read(
    mut answer: reqwest::Response,
    headers: &HeaderMap,
    rules: &Rules,
) -> Result<Bytes, OutboundError> {
    if is_encoded(headers) {
        return Err(OutboundError::NotJson);
    }
    match rules.content {
        Content::Json if !is_json(headers) => return Err(OutboundError::NotJson),
        Content::Json | Content::Any => {}
    }
    // Absent or false lengths are caught below; a true one saves the transfer.
    let declared = answer.content_length().unwrap_or(0);
    if usize::try_from(declared).map_or(true, |length| length > rules.max_body) {
        return Err(OutboundError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| client::failure(&error))?
    {
        if body.len() + chunk.len() > rules.max_body {
            return Err(OutboundError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// No encoding was offered, so none is undone: a small encoded body can stand for a huge one.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| value != "identity")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str())
    else {
        return false;
    };
    let essence = text
        .split(';')
        .next()
        .unwrap_or(text)
        .trim()
        .to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || subtype.ends_with("+json"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn json_is_known_by_its_type_and_nothing_else() {
        for (text, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jwk-set+json", true),
            ("text/html; x=application/json", false),
            ("text/plain", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(is_json(&headers), expected, "{text}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
