//! The configuration read again while the broker runs: all of its profiles and policies, or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::task::JoinSet;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::Answer;
use crate::support::process::{Ground, Said, Server, until};

/// A broker with a policy file of its own, and a job that holds a token.
struct Held {
    ground: Ground,
    server: Server,
    key: SessionKey,
    first: Answer,
}

const OPEN: &str = "// Nothing more than what is shipped.\n";

const STOP: &str = "@id(\"team.stop\")\nforbid (principal, action, resource);\n";

impl Held {
    async fn new() -> Self {
        let (ground, key) = (Ground::new().await, SessionKey::generate().unwrap());
        ground.write("team.cedar", OPEN);
        let configuration = ground.read("writ.toml");
        ground.write(
            "writ.toml",
            &format!("policies = [\"team.cedar\"]\n{configuration}"),
        );
        let server = ground.start().await;
        let first = Self::exchange(&ground, &key).await;
        first.assert_issued();
        Self {
            ground,
            server,
            key,
            first,
        }
    }

    /// A job that just started asks for its token.
    async fn exchange(ground: &Ground, key: &SessionKey) -> Answer {
        let jobs = vec![StartJob::new("deploy").in_environment(ENVIRONMENT)];
        let run = ground.site().start_run(StartRun::new(REPO, jobs)).await;
        let client = ground.client();
        let audience = format!("{}/jkt/{}", client.issuer, key.thumbprint());
        let token = client.id_token(&run.unwrap().jobs[0], &audience).await;
        client
            .exchange_token(
                &token,
                Some(key),
                &[("audience", "https://billing.example")],
            )
            .await
    }

    async fn renew(&self) -> Answer {
        self.ground
            .client()
            .renew(&self.first, &self.key, &[])
            .await
    }

    async fn apply(&self, more: &[&str]) -> Said {
        self.ground.operator(&[&["apply"], more].concat(), "").await
    }

    /// What the broker decides by.
    async fn in_force(&self) -> String {
        let said = self.apply(&["--dry-run", "-o", "json"]).await;
        let plan: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        plan["from"].as_str().unwrap().to_owned()
    }

    /// Waits until the signed log has it.
    async fn exported(&self, what: &str) -> String {
        let log = async || {
            let said = self.ground.operator(&["audit", "export"], "").await;
            let lines = said.out.lines().map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let leaf = line["leaf"]
                    .as_str()
                    .map(|leaf| STANDARD.decode(leaf).unwrap());
                String::from_utf8(leaf.unwrap_or_default()).unwrap()
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        until(|| async { log().await.contains(what) }).await;
        log().await
    }

    fn edit(&self, from: &str, to: &str) {
        let text = self.ground.read("writ.toml");
        assert!(text.contains(from), "{text}");
        self.ground.write("writ.toml", &text.replacen(from, to, 1));
    }

    /// The order is refused for this, and everything is decided as before.
    async fn assert_kept(&self, why: &str) {
        for more in [&["--dry-run"][..], &[]] {
            let said = self.apply(more).await;
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(said.err.contains("configuration_refused"), "{said:?}");
            assert!(said.err.contains(why), "{why}: {said:?}");
        }
        self.renew().await.assert_issued();
    }
}

#[tokio::test]
async fn a_policy_is_planned_and_then_in_force_for_the_very_next_decision_and_recorded() {
    let held = Held::new().await;
    let before = held.in_force().await;
    held.ground.write("team.cedar", STOP);
    let planned = held.apply(&["--dry-run"]).await;
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert!(
        planned
            .out
            .contains("+ policy team.stop added\nwould be in force: "),
        "{planned:?}"
    );
    held.renew().await.assert_issued();

    let applied = held.apply(&["--reason", "CHG-1"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.out.contains("\nin force: "), "{applied:?}");
    held.renew().await.assert_refused(400, "policy_denied");
    let other = Held::exchange(&held.ground, &held.key).await;
    other.assert_refused(400, "policy_denied");
    let again = held.apply(&[]).await;
    assert!(again.out.starts_with("nothing changes: "), "{again:?}");

    held.ground.write("team.cedar", OPEN);
    let back = held.apply(&[]).await;
    assert!(back.out.contains("- policy team.stop removed"), "{back:?}");
    assert_eq!(held.in_force().await, before);
    held.renew().await.assert_issued();

    let log = held.exported("\"removed\":[\"team.stop\"]").await;
    assert_eq!(log.matches("rules_replaced").count(), 2, "{log}");
    assert!(log.contains("CHG-1"), "{log}");
}

#[tokio::test]
async fn a_refusal_by_policy_is_explained_with_its_set_and_can_be_asked_again_without_the_broker() {
    let held = Held::new().await;
    held.ground.write("team.cedar", STOP);
    held.apply(&[]).await;
    let refused = held.renew().await;
    refused.assert_refused(400, "policy_denied");
    let id = refused.text("denial_id");
    let told = held
        .ground
        .operator(&["explain", id, "-o", "json"], "")
        .await;
    let trace: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!(trace["policy_set"], held.in_force().await, "{trace}");
    assert_eq!(trace["asked"]["verb"], "renew", "{trace}");
    assert_eq!(trace["asked"]["profile"], "deploy", "{trace}");

    let ask = ["policy", "simulate", "team.cedar", "--question", "-"];
    let before = held.ground.operator(&ask, &told.out).await;
    let denied = "denied (policy_denied): by team.stop\nnothing would change it by itself\n";
    assert_eq!(before.out, denied, "{before:?}");
    held.ground.write("team.cedar", OPEN);
    let after = held.ground.operator(&ask, &told.out).await;
    assert!(
        after.out.starts_with("permitted by default.token\n"),
        "{after:?}"
    );
}

#[tokio::test]
async fn a31_a_configuration_with_a_fault_is_refused_whole_and_the_one_in_force_stays() {
    let held = Held::new().await;
    let before = held.in_force().await;
    let text = held.ground.read("writ.toml");
    for (policy, from, to, why) in [
        (
            "@id(\"a\") permit (principal, action, resource",
            "",
            "",
            "team.cedar:1:",
        ),
        (
            "@id(\"a\") forbid (principal, action, resource) when { context.nothing };",
            "",
            "",
            "nothing",
        ),
        (
            STOP,
            "token_ttl = \"5m\"",
            "token_ttll = \"5m\"",
            "unknown_key",
        ),
        (
            STOP,
            "require = { status = \"in_progress\" }",
            "require = { statuss = \"in_progress\" }",
            "statuss",
        ),
        (
            STOP,
            "policies = [\"team.cedar\"]",
            "policies = [\"nowhere.cedar\"]",
            "cannot be read",
        ),
        (STOP, "[listen]", "[listen", "writ.toml:"),
    ] {
        held.ground.write("team.cedar", policy);
        if !from.is_empty() {
            held.edit(from, to);
        }
        held.assert_kept(why).await;
        held.ground.write("writ.toml", &text);
        held.ground.write("team.cedar", OPEN);
    }
    std::fs::remove_file(held.ground.dir().join("writ.toml")).unwrap();
    held.assert_kept("writ.toml").await;
    held.ground.write("writ.toml", &text);
    assert_eq!(held.in_force().await, before);
}

#[tokio::test]
async fn what_takes_effect_by_a_restart_is_refused_by_its_name_and_nothing_of_the_rest_is_taken() {
    let held = Held::new().await;
    let text = held.ground.read("writ.toml");
    held.ground.write("team.cedar", STOP);
    for (from, to, why) in [
        (
            "admin_socket = \"admin.sock\"",
            "admin_socket = \"other.sock\"",
            "`listen`",
        ),
        ("sqlite = \"writ.db\"", "sqlite = \"other.db\"", "`store`"),
        ("file = \"kek\"", "file = \"kek2\"", "`keys`"),
        (
            "name = \"billing\"",
            "name = \"invoices\"",
            "`resource_server`",
        ),
        (
            "preset = \"github-actions\"",
            "preset = \"github-actions\"\nmax_token_age = \"5m\"",
            "`source`",
        ),
        (
            "[store]",
            "[limits]\nstaleness = \"6s\"\n[store]",
            "`limits`",
        ),
    ] {
        held.edit(from, to);
        held.assert_kept(why).await;
        held.ground.write("writ.toml", &text);
    }
    let hook = held.ground.read("hook");
    held.ground.write("hook", "another-secret-of-the-webhook");
    held.assert_kept("the file that line ").await;
    held.ground.write("hook", &hook);
    held.apply(&[]).await;
    held.renew().await.assert_refused(400, "policy_denied");
}

#[tokio::test]
async fn a_task_whose_profile_is_gone_gets_nothing_more_and_loses_nothing() {
    let held = Held::new().await;
    held.edit("name = \"deploy\"", "name = \"deployment\"");
    let said = held.apply(&[]).await;
    for wanted in ["+ profile deployment added", "- profile deploy removed"] {
        assert!(said.out.contains(wanted), "{said:?}");
    }
    let refused = held.renew().await;
    refused.assert_refused(400, "profile_unmatched");
    assert_eq!(refused.field(), "profile");
    assert!(held.ground.client().is_active(&held.first).await);
    held.edit("name = \"deployment\"", "name = \"deploy\"");
    assert_eq!(held.apply(&[]).await.code, Some(0));
    held.renew().await.assert_issued();
}

#[tokio::test]
async fn a_profile_that_changed_decides_the_next_renewal() {
    let held = Held::new().await;
    held.edit("token_ttl = \"5m\"", "token_ttl = \"1m\"");
    let said = held.apply(&[]).await;
    assert!(said.out.contains("~ profile deploy changed"), "{said:?}");
    let renewed = held.renew().await;
    renewed.assert_issued();
    assert!(
        renewed.json["expires_in"].as_u64().unwrap() <= 60,
        "{renewed:?}"
    );
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_again_and_a_faulty_one_is_logged_and_changes_nothing() {
    let held = Held::new().await;
    held.ground.write("team.cedar", "permit");
    held.server.hang_up();
    until(|| async {
        held.server
            .said()
            .contains("the configuration in force stays")
    })
    .await;
    held.renew().await.assert_issued();
    held.ground.write("team.cedar", STOP);
    held.server.hang_up();
    until(|| async {
        held.server
            .said()
            .contains("the configuration was read again")
    })
    .await;
    held.renew().await.assert_refused(400, "policy_denied");
    held.exported("signal:SIGHUP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_while_rules_are_replaced_are_decided_by_one_set_or_the_other() {
    let held = Arc::new(Held::new().await);
    let over = Arc::new(AtomicBool::new(false));
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let (held, over) = (Arc::clone(&held), Arc::clone(&over));
        asking.spawn(async move {
            let (mut issued, mut denied) = (0_u32, 0_u32);
            while !over.load(Ordering::SeqCst) {
                let answer = held.renew().await;
                if answer.status == 200 {
                    answer.assert_issued();
                    issued += 1;
                } else {
                    answer.assert_refused(400, "policy_denied");
                    denied += 1;
                }
            }
            (issued, denied)
        });
    }
    for round in 0..10 {
        let stops = round % 2 == 0;
        held.ground
            .write("team.cedar", if stops { STOP } else { OPEN });
        assert_eq!(held.apply(&[]).await.code, Some(0));
        // What is asked after the order was answered is decided by the new rules.
        let answer = held.renew().await;
        if stops {
            answer.assert_refused(400, "policy_denied");
        } else {
            answer.assert_issued();
        }
    }
    over.store(true, Ordering::SeqCst);
    let (mut issued, mut denied) = (0, 0);
    while let Some(asked) = asking.join_next().await {
        let (more, less) = asked.unwrap();
        (issued, denied) = (issued + more, denied + less);
    }
    assert!(issued > 0 && denied > 0, "{issued} issued, {denied} denied");
}
