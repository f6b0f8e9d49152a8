//! Cases that ship beside policies.

use super::files::{DENIED, Folder, PERMITTED, ROOT, secret_case};

#[tokio::test]
async fn cases_are_decided_and_a_failing_one_says_what_was_decided_instead() {
    let folder = Folder::new(&[
        ("team.cedar", ROOT),
        ("cases/app.json", &secret_case("app/key", PERMITTED)),
        ("cases/root.json", &secret_case("root/key", DENIED)),
    ]);
    let said = folder.policy(&["test"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("2 of 2 cases are decided as they say"),
        "{said:?}"
    );

    folder.write("cases/wrong.json", &secret_case("root/other", PERMITTED));
    let said = folder.policy(&["test"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for wanted in [
        "FAILED wrong: of root/other",
        "expected  permitted by default.secret",
        "decided   denied (policy_denied): by team.root",
        "2 of 3 cases",
    ] {
        assert!(said.out.contains(wanted), "{wanted} in {said:?}");
    }
    let (code, told) = folder.json(&["test"]).await;
    assert_eq!(
        (code, told["passed"].as_u64(), told["failed"].as_u64()),
        (Some(1), Some(2), Some(1))
    );
    let wrong = told["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["name"] == "wrong")
        .unwrap();
    assert_eq!(wrong["decided"]["policies"][0], "team.root");
}

#[tokio::test]
async fn a_policy_that_is_renamed_in_a_case_is_told_with_the_nearest() {
    let expect = r#"{"decision": "denied", "code": "policy_denied", "policies": ["team.rot"]}"#;
    let folder = Folder::new(&[
        ("team.cedar", ROOT),
        ("cases/root.json", &secret_case("root/key", expect)),
    ]);
    let said = folder.policy(&["test"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("did you mean team.root?"), "{said:?}");
}

#[tokio::test]
async fn a31_a_case_with_an_unknown_key_or_value_proves_nothing_and_is_refused() {
    for slip in [
        secret_case("root/key", DENIED).replace("\"claims\"", "\"claimes\""),
        secret_case("root/key", DENIED).replace("in_progress", "running"),
        secret_case("root/key", DENIED).replace("policy_denied", "policy_deny"),
        secret_case("../etc", DENIED),
        "{".to_owned(),
    ] {
        let folder = Folder::new(&[("team.cedar", ROOT), ("cases/slip.json", &slip)]);
        let said = folder.policy(&["test"]).await;
        assert_eq!(said.code, Some(1), "{slip}: {said:?}");
        assert!(said.err.contains("cases/slip.json: "), "{said:?}");
    }
}

#[tokio::test]
async fn without_cases_nothing_is_tested_and_that_is_said() {
    let folder = Folder::new(&[("team.cedar", ROOT)]);
    let said = folder.policy(&["test"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("there are no cases"), "{said:?}");
}

#[tokio::test]
async fn a31_policies_that_do_not_load_are_not_tested() {
    let folder = Folder::new(&[
        (
            "team.cedar",
            "@id(\"a\") permit (principal, action, resource) when { context.nothing };",
        ),
        ("cases/root.json", &secret_case("root/key", DENIED)),
    ]);
    let said = folder.policy(&["test"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("team.cedar:1:") && said.out.is_empty(),
        "{said:?}"
    );
}

#[tokio::test]
async fn the_shipped_policies_pass_their_own_cases() {
    let folder = Folder::new(&[]);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    let said = folder.policy(&["test", shipped]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.out.contains("no case is decided by"), "{said:?}");
}
