//! The real binary, killed between what it records and what it says: no use is doubled, none comes back, and who
//! asks again under its key hears what was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use writ_practice::client::SessionKey;
use writ_practice::{StartJob, StartRun};

use super::{FIX, Script};
use crate::binary::drain::sound_log;
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::Ground;

/// A script at work under the real binary, which runs.
async fn at_work(ground: &Ground, uses: u32) -> Script {
    let uses = format!("uses = {uses}");
    let fix = FIX.replace("uses = 3", &uses);
    let before = ground.read("writ.toml");
    let before = before.replace(
        "deadline = \"1h\"",
        "deadline = \"1h\"\npermit_ttl = \"5m\"",
    );
    ground.write("writ.toml", &format!("{before}{fix}"));
    let server = ground.start().await;
    let jobs = vec![StartJob::new("deploy").in_environment(ENVIRONMENT)];
    let run = ground.site().start_run(StartRun::new(REPO, jobs)).await;
    let (client, key) = (ground.client(), SessionKey::generate().unwrap());
    let own = client
        .exchange(&run.unwrap().jobs[0], Some(&key), &[])
        .await;
    own.assert_issued();
    let script = Script::new(client, key, own).await;
    server.kill().await;
    script
}

/// The uses of the grant `fix`, as the operator is shown them.
async fn shown(ground: &Ground, script: &Script) -> Value {
    let show = ["task", "show", script.own.text("task"), "-o", "json"];
    let said = ground.operator(&show, "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let task: Value = serde_json::from_str(&said.out).unwrap();
    task["uses"][0].clone()
}

#[tokio::test]
async fn p12_a_kill_between_reserve_and_consume_neither_loses_the_permit_nor_doubles_it() {
    let ground = Ground::new().await;
    let script = at_work(&ground, 3).await;
    let server = ground.start().await;
    let reserved = script.reserve("db-7", "step-1").await;
    server.kill().await;

    let server = ground.start().await;
    // Whoever did not hear of it asks again.
    let again = script.reserve("db-7", "step-1").await;
    assert_eq!(again.permit(), reserved.permit());
    let uses = shown(&ground, &script).await;
    assert_eq!(
        (&uses["left"], &uses["permits"][0]["state"]),
        (&json!(2), &json!("reserved"))
    );
    script
        .consume("db-7", reserved.permit(), "a")
        .await
        .assert_consumed(false);
    server.kill().await;

    let server = ground.start().await;
    script
        .consume("db-7", reserved.permit(), "a")
        .await
        .assert_consumed(true);
    let other = script.consume("db-7", reserved.permit(), "b").await;
    other.assert_denied("permit_spent", "permit");
    let uses = shown(&ground, &script).await;
    assert_eq!(
        (&uses["left"], &uses["permits"][0]["state"]),
        (&json!(2), &json!("consumed"))
    );
    sound_log(&ground).await;
    server.stop().await;
}

const KILLS: usize = 6;
const OPEN: usize = 12;

/// What one step of the script has heard so far.
#[derive(Debug, Default, Clone)]
struct Heard {
    permit: Option<String>,
    /// How often it heard that it may act, and that it had not heard so before.
    first: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_kills_at_any_moment_never_double_a_use_and_each_retry_hears_what_was_recorded() {
    let ground = Ground::new().await;
    let script = Arc::new(at_work(&ground, 1000).await);
    let mut all: BTreeMap<String, Heard> = BTreeMap::new();
    for round in 0..KILLS {
        let server = ground.start().await;
        let mut steps = JoinSet::new();
        for n in 0..OPEN {
            let (script, key) = (Arc::clone(&script), format!("{round}-{n}"));
            steps.spawn(async move {
                let heard = step(&script, &key, Heard::default()).await;
                (key, heard)
            });
        }
        // Elsewhere each time: before the first is through, or when some are.
        for _ in 0..(round * 2) % OPEN {
            let (key, heard) = steps.join_next().await.unwrap().unwrap();
            all.insert(key, heard);
        }
        server.kill().await;
        while let Some(ended) = steps.join_next().await {
            let (key, heard) = ended.unwrap();
            all.insert(key, heard);
        }
    }

    let server = ground.start().await;
    let lost = all.values().filter(|heard| heard.first == 0).count();
    assert!(lost > 0, "no answer was lost: nothing was tried");
    for (key, heard) in &all {
        let after = step(&script, key, heard.clone()).await;
        assert!(after.first <= 1, "{key} was told twice to act: {after:?}");
        let permit = after.permit.as_deref().unwrap();
        let stranger = script.consume("db-7", permit, &format!("x{key}")).await;
        stranger.assert_denied("permit_spent", "permit");
    }
    let uses = shown(&ground, &script).await;
    let permits = uses["permits"].as_array().unwrap();
    assert_eq!(permits.len(), KILLS * OPEN, "a use was doubled, or lost");
    assert!(permits.iter().all(|one| one["state"] == "consumed"));
    assert_eq!(uses["left"], json!(1000 - KILLS * OPEN));
    sound_log(&ground).await;
    server.stop().await;
}

/// Reserves, and has it done, until an answer does not come.
async fn step(script: &Script, key: &str, mut heard: Heard) -> Heard {
    let Some(reserved) = script.try_reserve("db-7", key).await else {
        return heard;
    };
    let permit = reserved.permit().to_owned();
    let known = heard.permit.get_or_insert_with(|| permit.clone());
    assert_eq!(*known, permit, "{key} was answered otherwise than before");
    if let Some(consumed) = script.try_consume("db-7", &permit, key).await {
        consumed.assert_permitted();
        heard.first += usize::from(consumed.json["context"]["repeated"] == json!(false));
    }
    heard
}
