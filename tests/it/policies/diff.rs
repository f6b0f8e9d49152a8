//! What another set of policies would answer.

use writ::domain::key::Digest;

use super::files::{Folder, PERMITTED, ROOT, secret_case};

#[tokio::test]
async fn what_two_sets_answer_differently_is_told_with_both_answers() {
    let folder = Folder::new(&[
        ("old/team.cedar", "// nothing yet\n"),
        ("new/team.cedar", ROOT),
        ("old/cases/root.json", &secret_case("root/key", PERMITTED)),
        ("old/cases/app.json", &secret_case("app/key", PERMITTED)),
    ]);
    let said = folder.policy(&["diff", "old", "new"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for wanted in [
        "+ policy team.root\n",
        "root is answered differently\n  before  permitted by default.secret\n  after   denied (policy_denied): by team.root\n",
        "1 of 2 questions are answered differently",
    ] {
        assert!(said.out.contains(wanted), "{wanted} in {said:?}");
    }
    let (_, same) = folder.json(&["diff", "old", "old"]).await;
    assert_eq!(
        (
            same["asked"].as_u64(),
            same["changed"].as_array().unwrap().len()
        ),
        (Some(2), 0)
    );
}

#[tokio::test]
async fn a_recorded_refusal_is_asked_again_and_one_that_policies_did_not_give_is_not() {
    let by_policy = r#"{"id":"dn-3-17","at":"2026-03-01T10:00:00Z","verdict":"denied","verb":"read",
        "code":"policy_denied","detail":"a policy forbids it","subject":{},"policies":["team.root"],
        "policy_set":"SET","asked":{"verb":"read","secret":"root/key","profile":"deploy","grant":"deploy",
        "source":"github","spiffe_id":"spiffe://example.org/github/9/1","now":"2026-03-01T10:00:00Z"},
        "identity":{"id":"spiffe://example.org/github/9/1","fixed":{"repository_id":"1"}},
        "facts":[{"record":"github/job/1/2/3/4","via":"pull","observed_at":"2026-03-01T09:59:58Z","age_ms":2000,
        "present":true,"fields":{"status":"in_progress"}}],"ended":[],"advice":""}"#;
    let by_policy = by_policy
        .replace('\n', " ")
        .replace("SET", &Digest::of(&[]).to_string());
    let by_fact = r#"{"id":"dn-3-18","at":"2026-03-01T10:00:00Z","verdict":"denied","verb":"read","code":"context_mismatch","detail":"it moved","subject":{},"policies":[],"facts":[],"ended":[],"advice":""}"#;
    let folder = Folder::new(&[
        ("old/team.cedar", ROOT),
        ("new/team.cedar", "// nothing\n"),
        ("denials.jsonl", &format!("{by_policy}\n{by_fact}\n")),
    ]);
    let said = folder
        .policy(&["diff", "old", "new", "--denials", "denials.jsonl"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for wanted in [
        "dn-3-17 is answered differently\n  before  denied (policy_denied): by team.root\n  after   permitted by default.secret",
        "not asked: denials.jsonl:2: dn-3-18 was refused (context_mismatch) before policies were asked",
        "1 of 1 questions",
    ] {
        assert!(said.out.contains(wanted), "{wanted} in {said:?}");
    }
}

#[tokio::test]
async fn without_a_question_nothing_is_compared() {
    let folder = Folder::new(&[("old/team.cedar", ROOT), ("new/team.cedar", ROOT)]);
    let said = folder.policy(&["diff", "old", "new"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("nothing to compare by"), "{said:?}");
}
