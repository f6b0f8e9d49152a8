//! What the clients of a crash test were told, which outlives every server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::Notify;
use writ_practice::client::SessionKey;

use crate::support::client::Answer;
use crate::support::process::within;

/// What clients were told, in their own words.
#[derive(Default)]
pub(super) struct Told {
    pub(super) held: Mutex<Vec<Held>>,
    /// Places of what is held and not being worked with.
    idle: Mutex<Vec<usize>>,
    count: AtomicU64,
    more: Notify,
}

/// A token that reached a client, and what the client knows of it.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: String,
    /// Seconds.
    pub(super) expires: i64,
    /// Ids of the credentials that came with it.
    pub(super) ids: Vec<String>,
    /// The answer with the session's handle, and its key.
    pub(super) session: (Arc<Answer>, Arc<SessionKey>),
    pub(super) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// A revocation was sent, and its answer did not come.
    Asked(What),
    Revoked(What),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Token,
    Session,
}

#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) kept: usize,
    pub(super) asked: usize,
    pub(super) revoked: usize,
    pub(super) expired: usize,
}

impl Held {
    pub(super) fn new(
        token: &Answer,
        more: &[&Answer],
        session: (Arc<Answer>, Arc<SessionKey>),
    ) -> Self {
        let claims = claims_of(token);
        let others = more.iter().map(|answer| claims_of(answer));
        let all = others.chain([claims.clone()]);
        Self {
            token: token.text("access_token").to_owned(),
            expires: claims["exp"].as_i64().unwrap(),
            ids: all.map(|c| c["jti"].as_str().unwrap().to_owned()).collect(),
            session,
            fate: Fate::Kept,
        }
    }
}

impl Told {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn acknowledged(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    /// Notes what arrived; gives its place in the notes.
    pub(super) fn hold(&self, held: Held) -> usize {
        let mut all = self.held.lock().unwrap();
        all.push(held);
        let place = all.len() - 1;
        drop(all);
        self.acknowledged();
        place
    }

    pub(super) fn at(&self, place: usize) -> Held {
        self.held.lock().unwrap()[place].clone()
    }

    pub(super) fn change(&self, place: usize, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().unwrap()[place]);
    }

    pub(super) fn put_aside(&self, place: usize) {
        self.idle.lock().unwrap().push(place);
    }

    /// Something from earlier, mostly from before the last kill.
    pub(super) fn take_up(&self) -> Option<usize> {
        let mut idle = self.idle.lock().unwrap();
        if idle.is_empty() {
            return None;
        }
        Some(idle.remove(0))
    }

    pub(super) async fn until(&self, count: u64) {
        within(async {
            while self.count() < count {
                self.more.notified().await;
            }
        })
        .await;
    }
}

/// What a token says, without asking anybody whether it is true.
fn claims_of(answer: &Answer) -> Value {
    let payload = answer.text("access_token").split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&claims).unwrap()
}
