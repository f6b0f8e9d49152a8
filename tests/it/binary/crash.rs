//! Killed again and again under load, on one database: what a client was told stays so. No revocation
//! that was acknowledged is lost, and nothing that a client holds is unknown to the log.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use writ_practice::client::SessionKey;
use writ_practice::{Mint, StartJob, StartRun};

use super::drain::sound_log;
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::client::{Answer, Client};
use crate::support::process::{Ground, until, within};

/// Requests that are open at any time.
const OPEN: usize = 64;

/// How long a client waits when the broker says that it cannot know now.
const BACK_OFF: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_kill_at_any_moment_loses_no_revocation_and_leaves_nothing_unknown_at_a_client() {
    let ground = Arc::new(Ground::new().await);
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
        told.until(told.count() + 1 + (round * 37) % 90).await;
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
    assert!(
        sums.kept > 0 && sums.revoked > 0,
        "nothing was tried: {sums:?}"
    );
    known(&ground, &held).await;
    sound_log(&ground).await;
    server.stop().await;
}

/// What clients were told, in their own words.
#[derive(Default)]
struct Told {
    held: Mutex<Vec<Held>>,
    count: AtomicU64,
    more: Notify,
}

/// A token that reached a client, and what the client knows of it.
struct Held {
    token: String,
    /// Ids of the credentials that came with it.
    ids: Vec<String>,
    /// The session's handle and key.
    session: Option<(Answer, Arc<SessionKey>)>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// A revocation was sent, and its answer did not come.
    Asked,
    Revoked,
}

#[derive(Debug, Default)]
struct Sums {
    kept: usize,
    asked: usize,
    revoked: usize,
}

impl Told {
    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn acknowledged(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    /// Notes what arrived; gives its place in the notes.
    fn hold(&self, held: Held) -> usize {
        let mut all = self.held.lock().unwrap();
        all.push(held);
        let place = all.len() - 1;
        drop(all);
        self.acknowledged();
        place
    }

    fn mark(&self, place: usize, fate: Fate) {
        self.held.lock().unwrap()[place].fate = fate;
    }

    async fn until(&self, count: u64) {
        within(async {
            while self.count() < count {
                self.more.notified().await;
            }
        })
        .await;
    }
}

/// Jobs, one after the other, each from its first token to its end, until the server is gone.
async fn work(ground: Arc<Ground>, told: Arc<Told>, n: usize) {
    let client = ground.client();
    let mut turn = n;
    while job(&ground, &client, &told, turn).await.is_some() {
        turn += 1;
    }
}

/// One job; `None` as soon as an answer does not come.
async fn job(ground: &Ground, client: &Client, told: &Told, turn: usize) -> Option<()> {
    let key = Arc::new(SessionKey::generate().unwrap());
    let own = exchange(ground, client, &key).await?;
    told.acknowledged();
    let billing = renew(client, &own, &key).await?;
    let mut ids = vec![id_of(&own), id_of(&billing)];
    let place = told.hold(Held {
        token: billing.text("access_token").to_owned(),
        ids: ids.clone(),
        session: None,
        fate: Fate::Kept,
    });
    if turn.is_multiple_of(2) {
        let secret = secret(client, &own, &key).await?;
        assert_eq!(secret.text("value"), "hunter2");
        ids.push(secret.json["lease"]["id"].as_str().unwrap().to_owned());
        told.held.lock().unwrap()[place].ids = ids;
        told.acknowledged();
    }
    let revoked = match turn % 3 {
        0 => billing.text("access_token").to_owned(),
        1 => {
            let handle = own.text("refresh_token").to_owned();
            told.held.lock().unwrap()[place].session = Some((own, key));
            handle
        }
        _ => return Some(()),
    };
    told.mark(place, Fate::Asked);
    revoke(client, &revoked).await?;
    told.mark(place, Fate::Revoked);
    told.acknowledged();
    Some(())
}

async fn exchange(ground: &Ground, client: &Client, key: &SessionKey) -> Option<Answer> {
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let run = ground
        .site()
        .start_run(StartRun::new(REPO, vec![job]))
        .await;
    let order = Mint {
        job_id: Some(run.unwrap().jobs[0].job_id),
        audience: Some(format!("{}/jkt/{}", client.issuer, key.thumbprint())),
        ..Mint::default()
    };
    let token = ground.site().mint(order).unwrap();
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
            Fate::Kept => {
                assert!(
                    active,
                    "a client holds what the broker does not know: {:?}",
                    held.ids
                );
                sums.kept += 1;
            }
            Fate::Asked => sums.asked += 1,
            Fate::Revoked => {
                assert!(!active, "a revocation was lost: {:?}", held.ids);
                sums.revoked += 1;
            }
        }
        if let (Fate::Revoked, Some((own, key))) = (held.fate, &held.session) {
            let renewal = client.renew(own, key, &[]).await;
            renewal.assert_refused(400, "session_ended");
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

/// The id of a token's credential.
fn id_of(answer: &Answer) -> String {
    let payload = answer.text("access_token").split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

/// How often it is killed; `WRIT_KILLS` says otherwise for a longer run.
fn kills() -> u64 {
    let given = std::env::var("WRIT_KILLS").ok();
    given.map_or(50, |kills| kills.parse().unwrap())
}
