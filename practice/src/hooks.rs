//! Webhooks: signed deliveries to the set targets, in the order of the changes, each tried once
//! within ten seconds and never again by itself. What was sent and answered is kept for a while,
//! so that a delivery can be shown, replayed, or forged.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::courier::{Courier, Parcel, sign};
use crate::error::WorldError;

/// Where events go, and the secret that signs them. Without a secret they are not signed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookTarget {
    pub url: String,
    #[serde(default)]
    pub secret: String,
}

impl fmt::Debug for HookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookTarget")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// All targets; switched off, events are lost as in an outage of the vendor's sender.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    #[serde(default = "on")]
    pub enabled: bool,
    pub targets: Vec<HookTarget>,
}

/// One delivery and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub guid: String,
    pub hook_id: u64,
    pub event: String,
    pub action: Option<String>,
    pub url: String,
    /// Absent if nothing was answered.
    pub status: Option<u16>,
    /// Why nothing was answered.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: String,
}

/// A delivery that the vendor never sent: any event, any body, any signature.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forgery {
    pub event: String,
    /// A string is sent as it is, anything else as JSON.
    pub body: Value,
    /// Signs it; absent: the first target's own secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// Sent as `X-Hub-Signature-256` instead of a signature made here.
    #[serde(default)]
    pub signature: Option<String>,
    /// Delivery id; absent: one never used.
    #[serde(default)]
    pub guid: Option<String>,
    /// Absent: the first target's.
    #[serde(default)]
    pub url: Option<String>,
}

/// Something that changed, as the vendor tells it.
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) action: &'static str,
    pub(crate) body: Value,
}

/// The webhook sender of one site.
pub struct Hooks {
    settings: Mutex<HookSettings>,
    queue: mpsc::Sender<Order>,
    courier: Arc<Courier>,
}

impl Hooks {
    /// A sender with its targets, and the work that must be driven for it to send.
    pub(crate) fn new(
        targets: Vec<HookTarget>,
        http: reqwest::Client,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), WorldError> {
        let (queue, orders) = mpsc::channel(QUEUE);
        let courier = Arc::new(Courier::new(http));
        let work = work(orders, Arc::clone(&courier));
        let settings = Mutex::new(HookSettings {
            enabled: true,
            targets: Vec::new(),
        });
        let hooks = Self {
            settings,
            queue,
            courier,
        };
        hooks.set(HookSettings {
            enabled: true,
            targets,
        })?;
        Ok((hooks, work))
    }

    /// Replaces the targets; what is queued still goes to the old ones.
    pub fn set(&self, settings: HookSettings) -> Result<(), WorldError> {
        for target in &settings.targets {
            let url = Url::parse(&target.url)
                .ok()
                .filter(|url| ["http", "https"].contains(&url.scheme()));
            if url.is_none() {
                return Err(WorldError::Invalid(format!(
                    "{} is no http URL",
                    target.url
                )));
            }
        }
        *self.locked() = settings;
        Ok(())
    }

    /// Waits until everything queued so far was delivered or has failed.
    pub async fn settle(&self) -> Result<(), WorldError> {
        let (done, settled) = oneshot::channel();
        self.order(Order::Settle(done)).await?;
        settled.await.map_err(|_| WorldError::HooksStopped)
    }

    /// The last deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.courier.delivered()
    }

    /// The body of a delivery, byte for byte.
    pub fn payload(&self, guid: &str) -> Option<Vec<u8>> {
        self.courier.find(guid).map(|parcel| parcel.body.to_vec())
    }

    /// Sends a delivery again as it was, with the same id and signature.
    pub async fn replay(&self, guid: &str) -> Result<Delivery, WorldError> {
        let parcel = self.courier.find(guid);
        let parcel = parcel.ok_or_else(|| WorldError::unknown("delivery", guid))?;
        Ok(self.courier.deliver(parcel).await)
    }

    /// Sends what the vendor never sent, whether or not webhooks are switched on.
    pub async fn forge(&self, forgery: Forgery) -> Result<Delivery, WorldError> {
        let first = self.locked().targets.first().cloned();
        let url = forgery
            .url
            .or_else(|| first.as_ref().map(|target| target.url.clone()));
        let url = url.ok_or_else(|| WorldError::unknown("hook target", "to forge for"))?;
        let own = first.map_or_else(String::new, |target| target.secret);
        let body = match forgery.body {
            Value::String(raw) => raw.into_bytes(),
            json @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => json.to_string().into_bytes(),
        };
        let signature = match forgery.signature {
            Some(given) => Some(given),
            None => sign(&forgery.secret.unwrap_or(own), &body),
        };
        let guid = match forgery.guid {
            Some(given) => given,
            None => clock::random_uuid()?,
        };
        let hook_id = FIRST_HOOK_ID;
        let headers = headers(&forgery.event, &guid, hook_id, signature);
        let parcel = Parcel {
            guid,
            hook_id,
            url,
            event: forgery.event,
            action: None,
            body: body.into(),
            headers,
        };
        Ok(self.courier.deliver(parcel).await)
    }

    pub(crate) async fn announce(&self, events: Vec<Event>) -> Result<(), WorldError> {
        let settings = self.locked().clone();
        if !settings.enabled {
            return Ok(());
        }
        for event in events {
            let body: Arc<[u8]> = event.body.to_string().into_bytes().into();
            for (hook_id, target) in (FIRST_HOOK_ID..).zip(&settings.targets) {
                let guid = clock::random_uuid()?;
                let signature = sign(&target.secret, &body);
                let parcel = Parcel {
                    headers: headers(event.name, &guid, hook_id, signature),
                    guid,
                    hook_id,
                    url: target.url.clone(),
                    event: event.name.to_owned(),
                    action: Some(event.action.to_owned()),
                    body: Arc::clone(&body),
                };
                self.order(Order::Deliver(parcel)).await?;
            }
        }
        Ok(())
    }

    async fn order(&self, order: Order) -> Result<(), WorldError> {
        self.queue
            .send(order)
            .await
            .map_err(|_| WorldError::HooksStopped)
    }

    fn locked(&self) -> MutexGuard<'_, HookSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Order {
    Deliver(Parcel),
    Settle(oneshot::Sender<()>),
}

async fn work(mut orders: mpsc::Receiver<Order>, courier: Arc<Courier>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Deliver(parcel) => drop(courier.deliver(parcel).await),
            // Whoever waited may have gone; then nobody needs to know.
            Order::Settle(done) => drop(done.send(())),
        }
    }
}

/// What the vendor puts beside the body.
fn headers(
    event: &str,
    guid: &str,
    hook_id: u64,
    signature: Option<String>,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", guid.to_owned()),
        ("x-github-hook-id", hook_id.to_string()),
    ];
    headers.extend(signature.map(|signature| ("x-hub-signature-256", signature)));
    headers
}

fn on() -> bool {
    true
}

const FIRST_HOOK_ID: u64 = 480_001;
const QUEUE: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::courier::hook_client;

    #[test]
    fn a_target_that_is_no_http_url_is_refused_and_nothing_changes() {
        let (hooks, _work) = Hooks::new(Vec::new(), hook_client("").unwrap()).unwrap();
        let targets = vec![HookTarget {
            url: "file:///etc/passwd".to_owned(),
            secret: String::new(),
        }];
        let refused = hooks.set(HookSettings {
            enabled: true,
            targets,
        });
        assert!(matches!(refused, Err(WorldError::Invalid(_))));
        assert!(hooks.locked().targets.is_empty());
    }
}
