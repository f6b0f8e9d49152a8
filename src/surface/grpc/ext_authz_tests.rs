use proptest::prelude::*;
use writ_proto::ext_authz::{HeaderMap as Lines, HeaderValue as Line};

use super::*;
use crate::error::Code;
use crate::surface::http::present;

fn denied(code: Code) -> (i32, DeniedHttpResponse) {
    let answer = stop(&Error::new(code, "because"));
    match answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => (answer.status.unwrap().code, denied),
        Some(HttpResponse::OkResponse(_)) | None => panic!("{code} lets the request go on"),
    }
}

fn header<'a>(denied: &'a DeniedHttpResponse, name: &str) -> Option<&'a str> {
    let headers = denied.headers.iter();
    let mut headers = headers.filter_map(|option| option.header.as_ref());
    headers
        .find(|header| header.key == name)
        .map(|header| header.value.as_str())
}

/// Status 0 lets a request go on, and is what a field that was left out says.
#[test]
fn no_refusal_has_the_status_that_lets_a_request_go_on() {
    for code in Code::ALL {
        let (status, denied) = denied(*code);
        assert_ne!(status, 0, "{code}");
        let shown = denied.status.as_ref().unwrap().code;
        assert!((400..600).contains(&shown), "{code}: {shown}");
        assert_eq!(header(&denied, "writ-code"), Some(code.as_str()));
        assert!(denied.body.contains(code.as_str()));
        let challenged = header(&denied, "www-authenticate").is_some();
        assert_eq!(challenged, shown == 401, "{code}");
    }
}

#[test]
fn the_sender_is_told_what_it_can_mend() {
    for (code, status) in [
        (Code::TokenInvalid, 401),
        (Code::ProofInvalid, 401),
        (Code::ProofRequired, 401),
        (Code::ClientInvalid, 403),
        (Code::ActionRefused, 403),
        (Code::RequestMalformed, 400),
        (Code::ContextUnavailable, 503),
        (Code::Overloaded, 503),
        (Code::Internal, 500),
    ] {
        assert_eq!(denied(code).1.status.unwrap().code, status, "{code}");
    }
}

fn line(key: &str, value: &[u8]) -> Line {
    Line {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.to_vec(),
    }
}

fn request(headers: &[(&str, &str)], lines: Vec<Line>) -> HttpRequest {
    HttpRequest {
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        header_map: Some(Lines { headers: lines }),
        ..HttpRequest::default()
    }
}

fn token(request: &HttpRequest) -> bool {
    present::token(&sent(request).unwrap()).is_ok()
}

#[test]
fn a_token_is_found_in_either_form_and_only_once() {
    assert!(token(&request(&[("authorization", "DPoP a")], vec![])));
    assert!(token(&request(&[], vec![line("authorization", b"DPoP a")])));
    assert!(token(&request(&[], vec![line("Authorization", b"DPoP a")])));
    let twice = vec![
        line("authorization", b"DPoP a"),
        line("authorization", b"DPoP b"),
    ];
    assert!(!token(&request(&[], twice)));
    let both = request(
        &[("authorization", "DPoP a")],
        vec![line("authorization", b"DPoP a")],
    );
    assert!(!token(&both));
    assert!(!token(&request(&[("x-authorization", "DPoP a")], vec![])));
}

#[test]
fn a_header_with_bytes_that_no_header_has_is_malformed() {
    let error = sent(&request(&[], vec![line("dpop", b"a\r\nb")])).unwrap_err();
    assert_eq!(
        (error.code(), error.field()),
        (Code::RequestMalformed, Some("dpop"))
    );
}

proptest! {
    /// Whatever stands in a request, it is read or refused, and of its headers only the two come through.
    #[test]
    fn any_request_is_read_or_refused(
        headers in prop::collection::hash_map("(authorization|dpop|cookie|[a-z-]{1,9})", ".{0,20}", 0..6),
        lines in prop::collection::vec(("(authorization|DPoP|Cookie|[a-z-]{1,9})", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        words in prop::collection::vec(".{0,30}", 4),
    ) {
        let [method, scheme, host, path] = words.try_into().unwrap();
        let lines = lines.iter().map(|(key, value)| line(key, value)).collect();
        let request = HttpRequest {
            method, scheme, host, path, headers,
            header_map: Some(Lines { headers: lines }),
        };
        if let Ok(sent) = sent(&request) {
            prop_assert!(sent.keys().all(|name| SHOWN.contains(name)));
        }
        if let Err(error) = held(&request) {
            prop_assert_eq!(error.code(), Code::RequestMalformed);
        }
    }
}
