//! Pods and what they hold. A pod that is deleted and made again under its name has another uid, and
//! so has a service account.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{self, Clock};
use crate::error::WorldError;
use crate::faults::Faults;
use crate::keys::Keys;
use crate::mint;
use crate::payloads::object;

/// Where a pod stands, in the cluster's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// Which pod, under which account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSpec {
    pub namespace: String,
    pub name: String,
    pub account: String,
}

/// A running pod's uids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub account: String,
    pub account_uid: String,
}

pub(crate) struct Held {
    pub(crate) pod: Pod,
    pub(crate) phase: Phase,
    /// `deletionTimestamp` is set, and the pod still there.
    pub(crate) terminating: bool,
}

/// What the cluster remembers of a token that it minted.
pub(crate) struct Issued {
    pub(crate) pod: Pod,
    pub(crate) audience: String,
    pub(crate) expires: i64,
}

#[derive(Default)]
pub(crate) struct State {
    /// By namespace and name.
    pods: BTreeMap<(String, String), Held>,
    accounts: BTreeMap<(String, String), String>,
    tokens: HashMap<String, Issued>,
}

/// A cluster under one path prefix of the world.
pub struct Cluster {
    url: String,
    api_token: String,
    state: Mutex<State>,
    clock: Clock,
    keys: Keys,
    faults: Arc<Faults>,
}

impl Cluster {
    pub(crate) fn new(url: &str, api_token: String) -> Result<Self, WorldError> {
        Ok(Self {
            url: url.to_owned(),
            api_token,
            state: Mutex::default(),
            clock: Clock::default(),
            keys: Keys::load()?,
            faults: Arc::default(),
        })
    }

    /// The `iss` of its tokens, and the root of its API.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets the cluster's clock that many seconds ahead of the system's (negative: behind).
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// Runs a pod, in place of the one of that name. Its account is made if there is none.
    pub fn run(&self, spec: PodSpec) -> Result<Pod, WorldError> {
        let mut state = self.locked();
        let owner = (spec.namespace.clone(), spec.account.clone());
        let account_uid = match state.accounts.get(&owner) {
            Some(known) => known.clone(),
            None => clock::random_uuid()?,
        };
        state.accounts.insert(owner, account_uid.clone());
        let pod = Pod {
            uid: clock::random_uuid()?,
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            account: spec.account,
            account_uid,
        };
        let held = Held {
            pod: pod.clone(),
            phase: Phase::Running,
            terminating: false,
        };
        state.pods.insert((spec.namespace, spec.name), held);
        Ok(pod)
    }

    /// Makes an account of a known uid.
    pub fn set_account(&self, namespace: &str, name: &str, uid: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.locked().accounts.insert(key, uid.to_owned());
    }

    /// Deletes an account and makes it again under its name: what it is asked for next has another uid.
    pub fn remake_account(&self, namespace: &str, name: &str) -> Result<String, WorldError> {
        let uid = clock::random_uuid()?;
        let key = (namespace.to_owned(), name.to_owned());
        self.locked().accounts.insert(key, uid.clone());
        Ok(uid)
    }

    /// Moves a pod to a phase.
    pub fn set_phase(&self, pod: &Pod, phase: Phase) -> Result<(), WorldError> {
        self.with(pod, |held| held.phase = phase)
    }

    /// Begins to delete a pod: it is still there, and on its way out.
    pub fn terminate(&self, pod: &Pod) -> Result<(), WorldError> {
        self.with(pod, |held| held.terminating = true)
    }

    /// The pod is gone.
    pub fn delete(&self, pod: &Pod) -> Result<(), WorldError> {
        self.with(pod, |_| ())?;
        let key = (pod.namespace.clone(), pod.name.clone());
        self.locked().pods.remove(&key);
        Ok(())
    }

    /// The token that the kubelet projects into a pod for this audience.
    pub fn token(&self, pod: &Pod, audience: &str) -> Result<String, WorldError> {
        self.token_with(pod, audience, Map::new())
    }

    /// The same with members laid over its claims; `null` removes one.
    pub fn token_with(
        &self,
        pod: &Pod,
        audience: &str,
        over: Map<String, Value>,
    ) -> Result<String, WorldError> {
        let now = self.now();
        let mut claims = object(json!({
            "aud": [audience],
            "exp": now.saturating_add(LIFETIME_SECS),
            "iat": now,
            "iss": self.url,
            "jti": clock::random_uuid()?,
            "kubernetes.io": {
                "namespace": pod.namespace,
                "node": { "name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1" },
                "pod": { "name": pod.name, "uid": pod.uid },
                "serviceaccount": { "name": pod.account, "uid": pod.account_uid },
                "warnafter": now.saturating_add(LIFETIME_SECS),
            },
            "nbf": now,
            "sub": format!("system:serviceaccount:{}:{}", pod.namespace, pod.account),
        }));
        mint::overlay(&mut claims, over);
        let token = mint::honest(&*self.keys.signing()?, &claims)?;
        let issued = Issued {
            pod: pod.clone(),
            audience: audience.to_owned(),
            expires: now.saturating_add(LIFETIME_SECS),
        };
        self.locked().tokens.insert(token.clone(), issued);
        Ok(token)
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        token == self.api_token
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.locked())
    }

    fn with(&self, pod: &Pod, change: impl FnOnce(&mut Held)) -> Result<(), WorldError> {
        let key = (pod.namespace.clone(), pod.name.clone());
        let mut state = self.locked();
        let held = state.pods.get_mut(&key);
        let held = held.filter(|held| held.pod.uid == pod.uid);
        change(held.ok_or_else(|| WorldError::unknown("pod", &pod.name))?);
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<&Held> {
        self.pods.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// What the cluster answers about a token: it is good as long as its account and its pod are there,
    /// under their uids.
    pub(crate) fn review(&self, token: &str, now: i64) -> Option<&Issued> {
        let issued = self.tokens.get(token)?;
        let pod = &issued.pod;
        let owner = (pod.namespace.clone(), pod.account.clone());
        let same_account = self.accounts.get(&owner) == Some(&pod.account_uid);
        let same_pod = self.pod(&pod.namespace, &pod.name);
        let same_pod = same_pod.is_some_and(|held| held.pod.uid == pod.uid);
        (same_account && same_pod && now < issued.expires).then_some(issued)
    }
}

const LIFETIME_SECS: i64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_while_its_pod_and_its_account_are_there_under_their_uids() {
        let spec = || PodSpec {
            namespace: "shop".to_owned(),
            name: "deployer-0".to_owned(),
            account: "deployer".to_owned(),
        };
        let cluster = Cluster::new("http://localhost", String::new()).unwrap();
        let pod = cluster.run(spec()).unwrap();
        let token = cluster.token(&pod, "aud").unwrap();
        let counts = |token: &str| {
            let now = cluster.now();
            cluster.read(|state| state.review(token, now).is_some())
        };
        assert!(counts(&token));
        assert!(!counts(&format!("{token}x")));
        let again = cluster.run(spec()).unwrap();
        assert_ne!(again.uid, pod.uid);
        assert!(!counts(&token), "another pod has its name now");
        let token = cluster.token(&again, "aud").unwrap();
        assert!(counts(&token));
        cluster.remake_account("shop", "deployer").unwrap();
        assert!(!counts(&token));
    }
}
