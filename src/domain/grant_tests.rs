use proptest::prelude::*;

use super::*;

fn set<T: FromStr + Ord>(items: &[&str]) -> BTreeSet<T>
where
    T::Err: fmt::Debug,
{
    items.iter().map(|i| i.parse().unwrap()).collect()
}

fn grants() -> Grants {
    let deploy = Grant {
        audiences: set(&["https://api", "https://other"]),
        scopes: set(&["read", "write"]),
        secrets: set(&["ci/prod/*"]),
        jwt_svids: set(&["https://db"]),
        x509_svid: true,
        acts: Acts::default(),
        uses: None,
    };
    let publish = Grant {
        audiences: set(&["https://registry"]),
        scopes: set(&["push"]),
        ..Grant::default()
    };
    Grants::new(
        [
            ("deploy".parse().unwrap(), deploy),
            ("publish".parse().unwrap(), publish),
        ]
        .into(),
    )
}

#[test]
fn a_token_is_within_one_grant_or_refused() {
    let grants = grants();
    assert_eq!(
        grants
            .token(&set(&["https://api"]), &set(&["read"]))
            .unwrap()
            .scope_text(),
        "read"
    );
    assert_eq!(
        grants.token(&set(&["https://api"]), &set(&["push"])),
        Err(Wider::Scope)
    );
    assert_eq!(
        grants.token(&set(&["https://evil"]), &set(&[])),
        Err(Wider::Audience)
    );
    assert_eq!(
        grants.token(&set(&["https://api", "https://registry"]), &set(&[])),
        Err(Wider::Audience)
    );
    assert_eq!(grants.token(&set(&[]), &set(&[])), Err(Wider::Audience));
}

#[test]
fn a_pattern_covers_what_is_below_it_and_nothing_beside_it() {
    let pattern: SecretPattern = "ci/prod/*".parse().unwrap();
    let matches = |p: &str| pattern.matches(&p.parse().unwrap());
    assert!(matches("ci/prod/db") && matches("ci/prod/db/password"));
    assert!(!matches("ci/prod") && !matches("ci/production/db") && !matches("ci/dev/db"));
}

#[test]
fn paths_that_walk_or_hide_are_refused() {
    for bad in [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "a/./b",
        "a/*",
        "a b",
        "a%2fb",
        "ä",
        "a/\u{2024}",
    ] {
        assert!(bad.parse::<SecretPath>().is_err(), "{bad:?} was taken");
    }
    for bad in ["*", "/*", "a/*/b", "a*", "a/**"] {
        assert!(bad.parse::<SecretPattern>().is_err(), "{bad:?} was taken");
    }
}

fn some_grant() -> impl Strategy<Value = Grant> {
    let pick = |all: &'static [&'static str]| proptest::sample::subsequence(all, 0..=all.len());
    (
        pick(&["https://a", "https://b", "c"]),
        pick(&["x", "y", "z"]),
        pick(&["p/*", "p/q", "p/q/*", "r"]),
        pick(&["https://a", "d"]),
        proptest::bool::ANY,
        proptest::option::of(0..4_u32),
        pick(&["get", "put"]),
        pick(&["get", "put"]),
    )
        .prop_map(|(a, s, p, j, x509_svid, uses, r, w)| Grant {
            audiences: set(&a),
            scopes: set(&s),
            secrets: set(&p),
            jwt_svids: set(&j),
            x509_svid,
            acts: Acts {
                reads: set(&r),
                writes: set(&w),
                resources: BTreeSet::new(),
            },
            uses,
        })
}

proptest! {
    #[test]
    fn narrowing_is_a_partial_order(a in some_grant(), b in some_grant(), c in some_grant()) {
        prop_assert!(a.within(&a).is_ok());
        if a.within(&b).is_ok() && b.within(&c).is_ok() {
            prop_assert!(a.within(&c).is_ok());
        }
    }

    #[test]
    fn a_narrower_grant_covers_no_other_secret(a in some_grant(), b in some_grant(), path in "[pqr](/[pqr]){0,3}") {
        let path: SecretPath = path.parse().unwrap();
        let has = |g: &Grant| g.secrets.iter().any(|s| s.matches(&path));
        if a.within(&b).is_ok() && has(&a) {
            prop_assert!(has(&b));
        }
    }
}
