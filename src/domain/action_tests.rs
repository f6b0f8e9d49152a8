use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// The case names the account AC-9, and nothing else.
fn of_the_case(kind: RecordKind, name: &str) -> Option<String> {
    (kind == RecordKind::Case && name == "account").then(|| "AC-9".to_owned())
}

fn fit(text: &str, shown: &str) -> Fit {
    pattern(text).fit(shown, &of_the_case)
}

fn resource(kind: &str, id: &str, properties: &[(&str, &str)]) -> Resource {
    Resource {
        kind: kind.parse().unwrap(),
        id: id.parse().unwrap(),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn rule(kind: &str, id: Option<&str>, properties: &[(&str, &str)]) -> ResourceRule {
    ResourceRule {
        kind: kind.parse().unwrap(),
        id: id.map(pattern),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), pattern(value)))
            .collect(),
    }
}

fn differs(observed: &str) -> Fit {
    Fit::Differs(Difference {
        field: "case.account".to_owned(),
        required: Some("AC-9".to_owned()),
        observed: observed.to_owned(),
    })
}

#[test]
fn another_account_than_the_cases_is_told_apart_from_another_place() {
    let accounts = "/accounts/{case.account}/invoices*";
    assert_eq!(fit(accounts, "/accounts/AC-9/invoices/7"), Fit::Fits);
    assert_eq!(fit(accounts, "/accounts/AC-7/invoices/7"), differs("AC-7"));
    assert_eq!(fit(accounts, "/accounts/AC-9/users"), Fit::Elsewhere);
    assert_eq!(fit(accounts, "/accounts/AC-9"), Fit::Elsewhere);
    assert_eq!(fit("{case.account}", "AC-9"), Fit::Fits);
    assert_eq!(fit("{case.account}", "AC-9/x"), differs("AC-9/x"));
}

#[test]
fn a_longer_segment_is_not_the_account_that_it_begins_with() {
    let account = "/accounts/{case.account}/*";
    assert_eq!(fit(account, "/accounts/AC-90/x"), differs("AC-90"));
    assert_eq!(fit(account, "/accounts//x"), differs(""));
    assert_eq!(fit("INV-1", "INV-11"), Fit::Elsewhere);
    assert_eq!(fit("INV-1*", "INV-11"), Fit::Fits);
}

#[test]
fn a_field_that_nobody_knows_is_met_by_nothing() {
    for shown in ["", "(absent)", "AC-9"] {
        assert!(
            matches!(
                fit("{case.region}", shown),
                Fit::Differs(Difference { required: None, .. })
            ),
            "{shown}"
        );
    }
}

#[test]
fn a_property_that_the_service_does_not_state_is_not_the_right_one() {
    let of_account = rule("invoice", None, &[("account", "{case.account}")]);
    let look: Look<'_> = &of_the_case;
    let fit = |r: &Resource| of_account.fit(r, look);
    assert_eq!(
        fit(&resource("invoice", "7", &[("account", "AC-9")])),
        Fit::Fits
    );
    assert_eq!(
        fit(&resource("invoice", "7", &[("account", "AC-7")])),
        differs("AC-7")
    );
    assert_eq!(fit(&resource("invoice", "7", &[])), Fit::Elsewhere);
    assert_eq!(
        fit(&resource("order", "7", &[("account", "AC-9")])),
        Fit::Elsewhere
    );
}

#[test]
fn one_rule_that_fits_is_enough_and_a_near_miss_is_told() {
    let acts = Acts {
        resources: [
            rule("invoice", Some("{case.account}/x"), &[]),
            rule("invoice", Some("public/*"), &[]),
        ]
        .into(),
        ..Acts::default()
    };
    assert_eq!(
        acts.fit(&resource("invoice", "public/1", &[]), &of_the_case),
        Fit::Fits
    );
    assert_eq!(
        acts.fit(&resource("invoice", "AC-7/x", &[]), &of_the_case),
        differs("AC-7")
    );
    assert_eq!(
        acts.fit(&resource("invoice", "AC-7/y", &[]), &of_the_case),
        Fit::Elsewhere
    );
}

#[test]
fn a_pattern_with_two_readings_is_refused() {
    for text in [
        "",
        "{case.account",
        "case}",
        "{case}",
        "{.account}",
        "{case.}",
        "{ticket.account}",
        "a{case.account}",
        "{case.account}b",
        "{case.account}*",
        "{case.account}{case.status}",
        "a*b",
        "**",
        "a\nb",
        "/{Case.account}/",
    ] {
        assert_eq!(text.parse::<Pattern>(), Err(BadPattern), "{text}");
    }
    for id in ["", "a\u{7}b", &"x".repeat(1025)] {
        assert_eq!(id.parse::<ResourceId>(), Err(BadResourceId));
    }
}

#[test]
fn what_only_reads_outside_does_not_write_inside() {
    let acts = |reads: &[&str], writes: &[&str]| Acts {
        reads: reads.iter().map(|name| name.parse().unwrap()).collect(),
        writes: writes.iter().map(|name| name.parse().unwrap()).collect(),
        resources: BTreeSet::new(),
    };
    assert!(acts(&["get"], &[]).within(&acts(&[], &["get"])));
    assert!(!acts(&[], &["get"]).within(&acts(&["get"], &[])));
    assert!(!acts(&["get"], &[]).within(&acts(&[], &[])));
}

fn patterns() -> impl Strategy<Value = Pattern> {
    let segment = prop_oneof!["a", "b", "ab", Just("{case.account}".to_owned())];
    (
        prop::collection::vec(segment, 1..4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_filter_map("a pattern", |(segments, slash, open)| {
            let tail = [if slash { "/" } else { "" }, if open { "*" } else { "" }].concat();
            format!("{}{tail}", segments.join("/")).parse().ok()
        })
}

fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["a", "b", "ab", "c"], 0..5).prop_map(|s| s.join("/"))
}

proptest! {
    /// A pattern that covers another has everything that the other has, whatever the account is.
    #[test]
    fn covering_is_having_all_of_it(
        outer in patterns(), inner in patterns(), text in texts(), account in texts()
    ) {
        let look = |_: RecordKind, _: &str| Some(account.clone());
        if outer.covers(&inner) && inner.fit(&text, &look) == Fit::Fits {
            prop_assert_eq!(outer.fit(&text, &look), Fit::Fits, "{} covers {}", outer, inner);
        }
    }

    #[test]
    fn a_pattern_is_read_as_it_was_written(pattern in patterns()) {
        prop_assert_eq!(pattern.to_string().parse::<Pattern>().unwrap(), pattern);
    }
}

#[test]
fn who_asks_in_the_wrong_place_is_told_so_and_of_nothing_else() {
    let at_home = rule(
        "order",
        Some("{case.account}/*"),
        &[("place.region", "eu-1"), ("kind", "retail")],
    );
    let asked = |id: &str, kind: &str, region: Option<&str>| {
        let region = region.map(|region| ("place.region", region));
        let said: Vec<_> = region.into_iter().chain([("kind", kind)]).collect();
        at_home.fit(&resource("order", id, &said), &of_the_case)
    };
    let misplaced = |observed: &str| {
        Fit::Misplaced(Difference {
            field: "place.region".to_owned(),
            required: Some("eu-1".to_owned()),
            observed: observed.to_owned(),
        })
    };
    assert_eq!(asked("AC-9/7", "retail", Some("eu-1")), Fit::Fits);
    assert_eq!(asked("AC-9/7", "retail", Some("us-1")), misplaced("us-1"));
    assert_eq!(asked("AC-9/7", "retail", None), misplaced("(nowhere)"));
    // Another account would end the lineage: not on the word of somebody elsewhere.
    assert_eq!(asked("AC-7/7", "retail", Some("us-1")), misplaced("us-1"));
    assert_eq!(asked("AC-7/7", "retail", Some("eu-1")), differs("AC-7"));
    assert_eq!(asked("AC-9/7", "trade", Some("us-1")), Fit::Elsewhere);
}
