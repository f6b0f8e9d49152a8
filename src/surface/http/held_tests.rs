use proptest::prelude::*;

use super::*;
use crate::domain::place::Place;

fn told<'a>(method: &'a str, scheme: &'a str, authority: &'a str, target: &'a str) -> Told<'a> {
    let part = |name, text| Part { name, text };
    Told {
        method: part("method", method),
        scheme: part("scheme", scheme),
        authority: part("host", authority),
        target: part("path", target),
    }
}

fn held(authority: &str, target: &str) -> Result<Held, Error> {
    Held::read(&told("GET", "https", authority, target))
}

#[test]
fn what_is_asked_about_is_the_method_on_the_path_at_the_host() {
    let held = held("Billing.Example:8443", "/accounts/AC-9?full=1").unwrap();
    let act = held.act().unwrap();
    assert_eq!(act.action.as_str(), "get");
    assert_eq!(act.resource.to_string(), "http /accounts/AC-9");
    assert_eq!(act.resource.properties["host"], "billing.example");
    assert_eq!(
        held.url.as_str(),
        "https://billing.example:8443/accounts/AC-9"
    );
}

#[test]
fn what_is_not_understood_is_refused_under_the_name_that_it_came_by() {
    for (told, field) in [
        (told("TRACE", "https", "a", "/"), "method"),
        (told("get", "https", "a", "/"), "method"),
        (told("", "https", "a", "/"), "method"),
        (told("GET", "", "a", "/"), "scheme"),
        (told("GET", "ftp", "a", "/"), "scheme"),
        (told("GET", "HTTPS", "a", "/"), "scheme"),
        (told("GET", "https", "", "/"), "host"),
        (told("GET", "https", "a/b", "/"), "host"),
        (told("GET", "https", "0x100000000", "/"), "host"),
        (told("OPTIONS", "https", "a", "*"), "path"),
        (told("GET", "https", "a", ""), "path"),
        (told("GET", "https", "a", "https://a/b"), "path"),
    ] {
        let error = Held::read(&told).unwrap_err();
        let said = (error.code(), error.field());
        assert_eq!(said, (Code::RequestMalformed, Some(field)));
    }
}

#[test]
fn a_path_that_is_longer_than_a_resource_may_be_is_no_question() {
    let long = format!("/{}", "a".repeat(1024));
    let mut sent = HeaderMap::new();
    sent.insert("authorization", "Bearer x".parse().unwrap());
    let server = server(Place::default());
    let asked = held("a", &long).unwrap().question(&sent, &server);
    assert_eq!(asked.unwrap_err().code(), Code::RequestMalformed);
}

#[test]
fn a_request_is_asked_about_where_its_gateway_stands() {
    let said = [("region".to_owned(), "eu-1".to_owned())];
    let server = server(Place::new(said));
    let mut sent = HeaderMap::new();
    sent.insert("authorization", "Bearer x".parse().unwrap());
    let asked = held("a", "/b").unwrap().question(&sent, &server).unwrap();
    let Question::Check(asked) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(asked.act.resource.properties["place.region"], "eu-1");
    assert_eq!(asked.act.resource.properties["host"], "a");
}

#[test]
fn a_permit_that_is_shown_is_to_be_used_up_and_two_are_none() {
    let server = server(Place::default());
    let mut sent = HeaderMap::new();
    sent.insert("authorization", "Bearer x".parse().unwrap());
    for (shown, known) in [
        ("permit_00000000000000000000000000000001", true),
        ("permit_1", false),
        ("", false),
    ] {
        sent.insert(PERMIT, shown.parse().unwrap());
        let asked = held("a", "/b").unwrap().question(&sent, &server).unwrap();
        let Question::Consume { permit, .. } = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(permit.is_some(), known, "{shown}");
    }
    sent.append(PERMIT, "permit_1".parse().unwrap());
    let two = held("a", "/b").unwrap().question(&sent, &server);
    assert_eq!(two.unwrap_err().code(), Code::RequestMalformed);
}

fn server(place: Place) -> ResourceServer {
    ResourceServer {
        name: "gateway".parse().unwrap(),
        audiences: [].into(),
        secret: None,
        workload: None,
        place,
    }
}

proptest! {
    /// However a request is told, the address that its proof is held against has the path that is judged, and
    /// nothing of the query, and its host is the one that the resource is said to be at.
    #[test]
    fn proof_and_judgement_are_about_the_same_request(
        authority in "[ -~]{0,24}|[a-z.]{1,12}(:[0-9]{1,5})?",
        target in "(/[!-~]{0,12}){0,4}(\\?[ -~]{0,12})?",
    ) {
        if let Ok(held) = held(&authority, &target) {
            prop_assert_eq!(held.url.path(), &held.path);
            prop_assert_eq!(held.url.query(), None);
            prop_assert_eq!(held.url.fragment(), None);
            prop_assert_eq!(held.url.username(), "");
            prop_assert_eq!(target.split('?').next(), Some(held.path.as_str()));
            let act = held.act().unwrap();
            let host = act.resource.properties["host"].clone();
            prop_assert!(authority.to_ascii_lowercase().starts_with(&host) || authority.as_bytes()[0].is_ascii_digit());
        }
    }
}
