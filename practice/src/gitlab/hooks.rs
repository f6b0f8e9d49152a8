//! GitLab's webhooks: posted at once, in the order of the changes, with the secret token as it is or
//! signed as Standard Webhooks says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use crate::clock;
use crate::courier::{Courier, Parcel};
use crate::error::WorldError;
use crate::hooks::Delivery;

/// Where events go, and what shows that they are GitLab's.
#[derive(Clone)]
pub struct LabHook {
    pub url: String,
    pub secret: LabSecret,
}

/// What a webhook shows.
#[derive(Clone)]
pub enum LabSecret {
    /// Sent as `X-Gitlab-Token`.
    Token(String),
    /// The key of a signing token, before `whsec_` and base64.
    Signing(Vec<u8>),
    Nothing,
}

/// The webhook sender of one instance.
pub(crate) struct LabHooks {
    hook: Mutex<Option<LabHook>>,
    courier: Courier,
}

impl LabHooks {
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self {
            hook: Mutex::new(None),
            courier: Courier::new(http),
        }
    }

    pub(crate) fn set(&self, hook: Option<LabHook>) {
        *self.locked() = hook;
    }

    pub(crate) fn current(&self) -> Option<LabHook> {
        self.locked().clone()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.courier.delivered()
    }

    /// Sends a delivery again as it was.
    pub(crate) async fn replay(&self, guid: &str) -> Result<Delivery, WorldError> {
        let parcel = self.courier.find(guid);
        let parcel = parcel.ok_or_else(|| WorldError::unknown("delivery", guid))?;
        Ok(self.courier.deliver(parcel).await)
    }

    /// Posts an event to `hook`, as of `now` in seconds since 1970.
    pub(crate) async fn send(
        &self,
        hook: &LabHook,
        event: &str,
        body: &Value,
        now: i64,
    ) -> Result<Delivery, WorldError> {
        let guid = clock::random_uuid()?;
        let body = body.to_string().into_bytes();
        let mut headers = vec![
            ("user-agent", "GitLab/practice".to_owned()),
            ("idempotency-key", guid.clone()),
            ("x-gitlab-event", event.to_owned()),
            ("x-gitlab-event-uuid", guid.clone()),
            ("x-gitlab-webhook-uuid", clock::random_uuid()?),
            ("x-gitlab-instance", "http://localhost".to_owned()),
        ];
        match &hook.secret {
            LabSecret::Token(token) => headers.push(("x-gitlab-token", token.clone())),
            LabSecret::Signing(key) => {
                headers.push(("webhook-id", guid.clone()));
                headers.push(("webhook-timestamp", now.to_string()));
                headers.push(("webhook-signature", sign(key, &guid, now, &body)));
            }
            LabSecret::Nothing => {}
        }
        let parcel = Parcel {
            guid,
            hook_id: 1,
            url: hook.url.clone(),
            event: event.to_owned(),
            action: None,
            body: body.into(),
            headers,
        };
        Ok(self.courier.deliver(parcel).await)
    }

    fn locked(&self) -> MutexGuard<'_, Option<LabHook>> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One signature as Standard Webhooks writes it.
pub(crate) fn sign(key: &[u8], id: &str, now: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let content = [format!("{id}.{now}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, &content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // The example in the specification's libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
