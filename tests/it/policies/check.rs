//! What is wrong with policies is told all at once, with its place; what is unwise is a warning.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::files::{Folder, ROOT};

#[tokio::test]
async fn sound_policies_are_sound_with_and_without_the_shipped_ones() {
    let folder = Folder::new(&[("team.cedar", ROOT)]);
    let said = folder.policy(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("sound: "), "{said:?}");
    let (code, alone) = folder.json(&["check", "--no-shipped", "."]).await;
    assert_eq!(code, Some(0));
    assert_eq!(alone["policies"], serde_json::json!(["team.root"]));
    let (_, with) = folder.json(&["check", "."]).await;
    assert!(with["policies"].as_array().unwrap().len() > 5, "{with}");
    assert_ne!(alone["policy_set"], with["policy_set"]);
}

#[tokio::test]
async fn a31_everything_that_is_wrong_is_told_with_file_line_and_column() {
    let folder = Folder::new(&[
        ("a.cedar", "@id(\"a\") permit (principal, action, resource"),
        (
            "b.cedar",
            "@id(\"b\")\nforbid (principal, action, resource)\nwhen { context has case && context.case.stats == \"open\" };\n",
        ),
        (
            "c.cedar",
            "@id(\"c\") @code(\"bared\") forbid (principal, action, resource);",
        ),
        (
            "d.cedar",
            "@id(\"d\") forbid (principal, action == Writ::Action::\"read\", resource is Writ::Service);",
        ),
    ]);
    let said = folder.policy(&["check"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for wanted in [
        "./a.cedar:1:",
        "./b.cedar:3:28: ",
        "did you mean `status`?",
        "./c.cedar:1:1: there is no code \"bared\" for a denial: did you mean barred?",
        "./d.cedar:1:1: ",
    ] {
        assert!(said.out.contains(wanted), "{wanted} in {said:?}");
    }
    let (_, told) = folder.json(&["check"]).await;
    assert_eq!(
        (told["sound"].as_bool(), told["policy_set"].is_null()),
        (Some(false), true)
    );
    assert!(told["problems"].as_array().unwrap().len() >= 4, "{told}");
}

#[tokio::test]
async fn an_unconditional_permit_is_a_warning_and_strictly_a_refusal() {
    let folder = Folder::new(&[(
        "team.cedar",
        "@id(\"all\") permit (principal, action, resource);",
    )]);
    let said = folder.policy(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out
            .contains("warning: ./team.cedar:1:1: the permit \"all\" has no condition"),
        "{said:?}"
    );
    let said = folder.policy(&["check", "--strict"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[tokio::test]
async fn a_name_that_the_configuration_does_not_have_is_told_with_the_nearest() {
    let ground = crate::support::process::Ground::new().await;
    let folder = Folder::new(&[(
        "team.cedar",
        "@id(\"a\") forbid (principal in Writ::Profile::\"deplyo\", action, resource);",
    )]);
    let path = folder.path().join("team.cedar");
    let args = [
        "policy",
        "check",
        path.to_str().unwrap(),
        "--config",
        "writ.toml",
    ];
    let said = ground.operator(&args, "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out
            .contains("a profile is never \"deplyo\": did you mean deploy?"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a31_a_policy_file_that_cannot_be_read_is_no_policy_less() {
    let folder = Folder::new(&[("a.cedar", ROOT), ("b.cedar", "")]);
    let unreadable = folder.path().join("b.cedar");
    std::fs::remove_file(&unreadable).unwrap();
    std::os::unix::fs::symlink("../nowhere", &unreadable).unwrap();
    let said = folder.policy(&["check"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("b.cedar cannot be read"), "{said:?}");
    std::fs::remove_file(&unreadable).unwrap();
    folder.write("b.cedar", "");
    std::fs::set_permissions(&unreadable, Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&unreadable).is_err() {
        let said = folder.policy(&["check"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("b.cedar cannot be read"), "{said:?}");
    }
}

#[tokio::test]
async fn a31_a_huge_policy_is_refused_before_it_is_parsed() {
    let folder = Folder::new(&[("a.cedar", &"/".repeat(2 * 1024 * 1024))]);
    let said = folder.policy(&["check"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("larger than"), "{said:?}");
}

#[tokio::test]
async fn a_thousand_policies_are_checked() {
    let all: Vec<_> = (0..1000)
        .map(|n| format!("@id(\"p{n}\") permit (principal in Writ::Selector::\"github:repository_id:{n}\", action, resource);\n"))
        .collect();
    let folder = Folder::new(&[("many.cedar", &all.concat())]);
    let said = folder.policy(&["check", "--no-shipped", "."]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("sound: 1000 policies"), "{said:?}");
}
