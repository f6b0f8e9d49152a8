//! Killed again and again under load, on one database: what a client was told stays so. No revocation
//! that was acknowledged is lost, and nothing that a client holds is unknown to the log.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use tokio::task::JoinSet;
use writ::seams::{Clock as _, SystemClock};
use writ_practice::client::SessionKey;
use writ_practice::{MintMany, StartJob, StartRun};

use super::drain::sound_log;
use super::told::{Fate, Held, Sums, Told, What};
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::{Answer, Client};
use crate::support::process::{Ground, until};

/// Requests that are open at any time.
const OPEN: usize = 64;

/// How long a client waits when the broker says that it cannot know now.
const BACK_OFF: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_kill_at_any_moment_loses_no_revocation_and_leaves_nothing_unknown_at_a_client() {
    let ground = Arc::new(Ground::new().await);
    ground.site().set_rate_limit(u64::MAX);
    let told = Arc::new(Told::default());
    let server = ground.start().await;
    ground.put_secret("ci/prod/db", "hunter2").await;
    server.kill().await;

    for round in 0..kills() {
        let server = ground.start().await;
        let mut clients = JoinSet::new();
        for n in 0..OPEN {
            let work = work(Arc::clone(&ground), Arc::clone(&told), n);
            clients.spawn(work);
        }
        // Somewhere in the middle of something, elsewhere each time.
        told.until(told.count() + 1 + (round * 37) % 150).await;
        server.kill().await;
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        if round % 8 == 0 {
            // While it opens what the last kill left.
            ground.spawn("info").kill().await;
        }
    }

    let server = ground.start().await;
    let held = std::mem::take(&mut *told.held.lock().unwrap());
    let sums = stands(&ground, &held).await;
    println!("{} acknowledged, {sums:?}", told.count());
    let enough = usize::try_from(kills()).unwrap();
    assert!(
        sums.kept >= enough && sums.revoked >= enough,
        "little was tried: {sums:?}"
    );
    known(&ground, &held).await;
    sound_log(&ground).await;
    server.stop().await;
}

/// One client's work, until the server is gone.
async fn work(ground: Arc<Ground>, told: Arc<Told>, n: usize) {
    let client = ground.client();
    let mut turn = n;
    while step(&ground, &client, &told, turn).await.is_some() {
        turn += 1;
    }
}

/// Begins a job, or goes on with an earlier one; `None` as soon as an answer does not come. Sessions
/// at even places end by their handle; at odd ones they renew until their token is revoked.
async fn step(ground: &Ground, client: &Client, told: &Told, turn: usize) -> Option<()> {
    let earlier = if turn.is_multiple_of(3) {
        None
    } else {
        told.take_up()
    };
    match earlier {
        None => begin(ground, client, told, turn.is_multiple_of(2)).await,
        Some(place) if place.is_multiple_of(2) => end(client, told, place, What::Session).await,
        Some(place) if turn % 3 == 1 => end(client, told, place, What::Token).await,
        Some(place) => {
            let (own, key) = told.at(place).session;
            let again = renew(client, &own, &key).await?;
            told.hold(Held::new(&again, &[], (own, key)));
            told.put_aside(place);
            Some(())
        }
    }
}

async fn begin(ground: &Ground, client: &Client, told: &Told, reads: bool) -> Option<()> {
    let key = Arc::new(SessionKey::generate().unwrap());
    let own = Arc::new(exchange(ground, client, &key).await?);
    told.acknowledged();
    let billing = renew(client, &own, &key).await?;
    let session = (Arc::clone(&own), Arc::clone(&key));
    let place = told.hold(Held::new(&billing, &[&own], session));
    if reads {
        let secret = secret(client, &own, &key).await?;
        assert_eq!(secret.text("value"), "hunter2");
        let lease = secret.json["lease"]["id"].as_str().unwrap().to_owned();
        told.change(place, |held| held.ids.push(lease));
        told.acknowledged();
    }
    told.put_aside(place);
    Some(())
}

async fn end(client: &Client, told: &Told, place: usize, what: What) -> Option<()> {
    let held = told.at(place);
    let shown = match what {
        What::Token => &held.token,
        What::Session => held.session.0.text("refresh_token"),
    };
    told.change(place, |held| held.fate = Fate::Asked(what));
    revoke(client, shown).await?;
    told.change(place, |held| held.fate = Fate::Revoked(what));
    told.acknowledged();
    Some(())
}

async fn exchange(ground: &Ground, client: &Client, key: &SessionKey) -> Option<Answer> {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let order = MintMany {
        count: 1,
        run: StartRun::new(REPO, vec![job]),
        audiences: vec![format!("{}/jkt/{}", client.issuer, key.thumbprint())],
        lifetime_secs: 300,
    };
    let token = ground.site().mint_many(order).await.unwrap().remove(0);
    loop {
        let answer = client.try_exchange_token(&token, Some(key), &[]).await?;
        if knew(&answer).await {
            answer.assert_issued();
            return Some(answer);
        }
    }
}

async fn renew(client: &Client, own: &Answer, key: &SessionKey) -> Option<Answer> {
    let billing = [("audience", "https://billing.example")];
    loop {
        let answer = client.try_renew(own, key, &billing).await?;
        if knew(&answer).await {
            answer.assert_issued();
            return Some(answer);
        }
    }
}

async fn secret(client: &Client, own: &Answer, key: &SessionKey) -> Option<Answer> {
    loop {
        let answer = client.try_secret("ci/prod/db", own, Some(key)).await?;
        if knew(&answer).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            return Some(answer);
        }
    }
}

async fn revoke(client: &Client, held: &str) -> Option<()> {
    loop {
        let answer = client.try_revoke(held).await?;
        if knew(&answer).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            return Some(());
        }
    }
}

/// Whether the broker could know: a 503 says that nothing was done, and to ask again.
async fn knew(answer: &Answer) -> bool {
    if answer.status == 503 {
        tokio::time::sleep(BACK_OFF).await;
    }
    answer.status != 503
}

/// Each token stands or does not as its client was told.
async fn stands(ground: &Ground, held: &[Held]) -> Sums {
    let client = ground.client();
    let mut sums = Sums::default();
    for held in held {
        let answer = client.introspect(&held.token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let active = answer.json["active"].as_bool().unwrap();
        match held.fate {
            Fate::Kept if SystemClock.now().seconds() >= held.expires => sums.expired += 1,
            Fate::Kept => {
                let ids = &held.ids;
                assert!(
                    active,
                    "a client holds what the broker does not know: {ids:?}"
                );
                sums.kept += 1;
            }
            Fate::Asked(_) => sums.asked += 1,
            Fate::Revoked(what) => {
                assert!(!active, "a revocation was lost: {:?}", held.ids);
                sums.revoked += 1;
                if what == What::Session {
                    let (own, key) = &held.session;
                    let renewal = client.renew(own, key, &[]).await;
                    renewal.assert_refused(400, "session_ended");
                }
            }
        }
    }
    sums
}

/// The log has every credential that any client holds.
async fn known(ground: &Ground, held: &[Held]) {
    let ids: BTreeSet<_> = held.iter().flat_map(|held| held.ids.iter()).collect();
    let missing = async || {
        let said = ground.operator(&["audit", "export"], "").await;
        let logged = leaves(&said.out);
        // An id is a string of its own in an entry.
        let logged: HashSet<&str> = logged.split('"').collect();
        ids.iter()
            .filter(|id| !logged.contains(id.as_str()))
            .count()
    };
    // The newest entries are signed a moment after they are answered.
    until(async || missing().await == 0).await;
}

/// The text of every entry in an export.
fn leaves(export: &str) -> String {
    let lines = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let leaves = lines.filter_map(|line| {
        let leaf = line["leaf"].as_str()?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(leaf)
            .unwrap();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    leaves.collect()
}

/// How often it is killed; `WRIT_KILLS` says otherwise for a longer run.
fn kills() -> u64 {
    let given = std::env::var("WRIT_KILLS").ok();
    given.map_or(50, |kills| kills.parse().unwrap())
}
