//! One question and what would change its answer.

use super::files::{DENIED, Folder, PERMITTED, ROOT, secret_case};

#[tokio::test]
async fn a_case_is_answered_with_the_policies_and_the_fields_that_would_turn_it() {
    let folder = Folder::new(&[
        ("team.cedar", ROOT),
        ("cases/app.json", &secret_case("app/key", PERMITTED)),
    ]);
    let said = folder
        .policy(&["simulate", "--question", "cases/app.json"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for wanted in [
        "permitted by default.secret\n",
        "job.status: in_progress -> completed: denied (policy_denied)",
        "claims.runner_environment: (absent) -> self-hosted: denied (self_hosted_refused)",
    ] {
        assert!(said.out.contains(wanted), "{wanted} in {said:?}");
    }
    let with = [
        "simulate",
        "--question",
        "cases/app.json",
        "--with",
        "job.status=completed",
    ];
    let (code, told) = folder.json(&with).await;
    assert_eq!(
        (code, told["decision"].as_str()),
        (Some(0), Some("denied")),
        "{told}"
    );
    let turns = told["would_change_it"].as_array().unwrap();
    assert!(
        turns
            .iter()
            .any(|turn| turn["field"] == "job.status" && turn["to"] == "in_progress")
    );
}

#[tokio::test]
async fn a31_what_is_no_question_or_no_field_is_refused() {
    let folder = Folder::new(&[
        ("team.cedar", ROOT),
        ("app.json", &secret_case("root/key", DENIED)),
        ("none.json", "{\"request\": {\"verb\": \"read\"}}"),
    ]);
    for args in [
        &["--question", "none.json"][..],
        &["--question", "nowhere.json"],
        &["--question", "app.json", "--with", "status"],
        &["--question", "app.json", "--with", "pipeline.status=queued"],
        &["--question", "app.json", "--with", "job.status=running"],
        &["--question", "app.json", "--with", "job.stats=queued"],
        &["--question", "app.json", "--with", "request.verb=steal"],
    ] {
        let said = folder.policy(&[&["simulate"], args].concat()).await;
        assert!(
            said.out.is_empty() && said.code != Some(0),
            "{args:?}: {said:?}"
        );
    }
}
