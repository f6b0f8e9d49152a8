//! The cases of a desk. Every change of one is a version of it, and is told of by webhook.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::hooks::{DeskHook, DeskHooks};
use crate::clock::Clock;
use crate::error::WorldError;
use crate::faults::Faults;
use crate::hooks::Delivery;

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskCase {
    /// In the desk's own words: `open`, `waiting`, `solved`, `merged`.
    pub state: String,
    pub assignee: Option<String>,
    pub account: String,
    pub queue: String,
    /// What else this desk says of it, by name: the host or the table that it is about.
    pub more: BTreeMap<String, String>,
    /// Grows with every change.
    pub version: u64,
}

/// A desk under one path prefix of the world.
pub struct Desk {
    url: String,
    api_token: String,
    cases: Mutex<BTreeMap<String, DeskCase>>,
    /// Ids under which another case's document is shown.
    aliases: Mutex<BTreeMap<String, String>>,
    unchanged: AtomicU64,
    clock: Clock,
    hooks: DeskHooks,
    faults: Arc<Faults>,
}

impl Desk {
    pub(crate) fn new(url: &str, api_token: String, http: reqwest::Client) -> Self {
        Self {
            url: url.to_owned(),
            api_token,
            cases: Mutex::default(),
            aliases: Mutex::default(),
            unchanged: AtomicU64::new(0),
            clock: Clock::default(),
            hooks: DeskHooks::new(http),
            faults: Arc::default(),
        }
    }

    /// The root of its API.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.url)
    }

    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets the desk's clock that many seconds ahead of the system's (negative: behind).
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// Where it tells of changes; `None`: nowhere.
    pub fn set_hook(&self, hook: Option<DeskHook>) {
        self.hooks.set(hook);
    }

    /// Opens a case for a customer's account, in the hands of `assignee`.
    pub fn open(&self, id: &str, account: &str, assignee: Option<&str>) -> Result<(), WorldError> {
        let case = DeskCase {
            state: "open".to_owned(),
            assignee: assignee.map(str::to_owned),
            account: account.to_owned(),
            queue: "billing".to_owned(),
            more: BTreeMap::new(),
            version: 1,
        };
        let taken = locked(&self.cases).insert(id.to_owned(), case);
        match taken {
            None => Ok(()),
            Some(_) => Err(WorldError::Exists {
                kind: "case",
                name: id.to_owned(),
            }),
        }
    }

    /// Changes a case, and tells of it.
    pub async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut DeskCase),
    ) -> Result<Option<Delivery>, WorldError> {
        {
            let mut cases = locked(&self.cases);
            let case = cases
                .get_mut(id)
                .ok_or_else(|| WorldError::unknown("case", id))?;
            change(case);
            case.version = case.version.saturating_add(1);
        }
        self.tell(id).await
    }

    /// Moves a case to another state.
    pub async fn set_state(&self, id: &str, state: &str) -> Result<Option<Delivery>, WorldError> {
        self.change(id, |case| state.clone_into(&mut case.state))
            .await
    }

    /// Gives a case to somebody else, or to nobody.
    pub async fn assign(
        &self,
        id: &str,
        assignee: Option<&str>,
    ) -> Result<Option<Delivery>, WorldError> {
        self.change(id, |case| case.assignee = assignee.map(str::to_owned))
            .await
    }

    /// Says one more thing of a case, and tells of it.
    pub async fn say(
        &self,
        id: &str,
        name: &str,
        text: &str,
    ) -> Result<Option<Delivery>, WorldError> {
        let said = (name.to_owned(), text.to_owned());
        self.change(id, |case| drop(case.more.insert(said.0, said.1)))
            .await
    }

    /// The case is gone, without a word.
    pub fn delete(&self, id: &str) {
        locked(&self.cases).remove(id);
    }

    /// Whoever asks for `id` is shown the case `other`, as a desk does that folds case or follows merges.
    pub fn show_as(&self, id: &str, other: &str) {
        locked(&self.aliases).insert(id.to_owned(), other.to_owned());
    }

    /// Tells of a case, whether it changed or not.
    pub async fn tell(&self, id: &str) -> Result<Option<Delivery>, WorldError> {
        let Some(hook) = self.hooks.current() else {
            return Ok(None);
        };
        let body = json!({ "event": "case.changed", "case": { "id": id } });
        let now = self.clock.now().unix_timestamp();
        self.hooks.send(&hook, &body, now).await.map(Some)
    }

    /// How often it answered that a case had not changed.
    pub fn unchanged(&self) -> u64 {
        self.unchanged.load(Ordering::SeqCst)
    }

    pub(crate) fn note_unchanged(&self) {
        self.unchanged.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        token == self.api_token
    }

    /// The document of a case, with the tag of its version.
    pub(crate) fn document(&self, asked: &str) -> Option<(Value, String)> {
        let alias = locked(&self.aliases).get(asked).cloned();
        let id = alias.unwrap_or_else(|| asked.to_owned());
        let case = locked(&self.cases).get(&id)?.clone();
        let own = json!({
            "id": id,
            "state": case.state,
            "assignee": case.assignee.map(|agent| json!({ "id": agent })),
            "account": { "id": case.account },
            "queue": case.queue,
            "version": case.version,
        });
        // What its desk has a field for and nobody filled in is there, and empty.
        let empty = ["host", "table"].map(|name| (name.to_owned(), Value::Null));
        let mut document: Map<String, Value> = empty.into_iter().collect();
        document.extend(
            case.more
                .into_iter()
                .map(|(name, text)| (name, text.into())),
        );
        document.extend(own.as_object().cloned().unwrap_or_default());
        Some((document.into(), format!("\"{id}-{}\"", case.version)))
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
