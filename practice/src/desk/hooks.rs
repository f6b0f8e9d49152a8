//! A desk's webhooks: signed over the body alone, or as Standard Webhooks says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::hmac;
use serde_json::Value;

use crate::clock;
use crate::courier::{Courier, Parcel};
use crate::error::WorldError;
use crate::gitlab::sign;
use crate::hooks::Delivery;

/// Where events go, and what shows that they are the desk's.
#[derive(Clone)]
pub struct DeskHook {
    pub url: String,
    pub secret: DeskSecret,
}

/// What a webhook shows.
#[derive(Clone)]
pub enum DeskSecret {
    /// The key of an HMAC-SHA256 over the body, in `X-Signature-256`.
    Body(String),
    /// The key of a signing token, before `whsec_` and base64.
    Signing(Vec<u8>),
    Nothing,
}

/// The webhook sender of one desk.
pub(crate) struct DeskHooks {
    hook: Mutex<Option<DeskHook>>,
    courier: Courier,
}

impl DeskHooks {
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self {
            hook: Mutex::new(None),
            courier: Courier::new(http),
        }
    }

    pub(crate) fn set(&self, hook: Option<DeskHook>) {
        *self.locked() = hook;
    }

    pub(crate) fn current(&self) -> Option<DeskHook> {
        self.locked().clone()
    }

    /// Posts an event to `hook`, as of `now` in seconds since 1970.
    pub(crate) async fn send(
        &self,
        hook: &DeskHook,
        body: &Value,
        now: i64,
    ) -> Result<Delivery, WorldError> {
        let guid = clock::random_uuid()?;
        let body = body.to_string().into_bytes();
        let mut headers = Vec::new();
        match &hook.secret {
            DeskSecret::Body(key) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
                let signature = hex::encode(hmac::sign(&key, &body));
                headers.push(("x-signature-256", format!("sha256={signature}")));
            }
            DeskSecret::Signing(key) => {
                headers.push(("webhook-id", guid.clone()));
                headers.push(("webhook-timestamp", now.to_string()));
                headers.push(("webhook-signature", sign(key, &guid, now, &body)));
            }
            DeskSecret::Nothing => {}
        }
        let parcel = Parcel {
            guid,
            hook_id: 1,
            url: hook.url.clone(),
            event: "case.changed".to_owned(),
            action: None,
            body: body.into(),
            headers,
        };
        Ok(self.courier.deliver(parcel).await)
    }

    fn locked(&self) -> MutexGuard<'_, Option<DeskHook>> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
