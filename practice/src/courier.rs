//! Carries one webhook delivery: posts it once, waits ten seconds at most, and keeps what was sent
//! and answered for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::WorldError;
use crate::hooks::Delivery;

/// One delivery to make.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) guid: String,
    pub(crate) hook_id: u64,
    pub(crate) url: String,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) body: Arc<[u8]>,
    /// Beside the content type.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Makes deliveries and remembers the last of them.
pub(crate) struct Courier {
    http: reqwest::Client,
    log: Mutex<VecDeque<(Parcel, Delivery)>>,
}

impl Courier {
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self {
            http,
            log: Mutex::default(),
        }
    }

    /// The last deliveries, oldest first.
    pub(crate) fn delivered(&self) -> Vec<Delivery> {
        let log = self.log();
        log.iter().map(|(_, delivery)| delivery.clone()).collect()
    }

    pub(crate) async fn deliver(&self, parcel: Parcel) -> Delivery {
        let answered = self.post(&parcel).await;
        let (status, answer, error) = match answered {
            Ok((status, answer)) => (Some(status), answer, None),
            Err(error) => (None, String::new(), Some(error.without_url().to_string())),
        };
        let delivery = Delivery {
            guid: parcel.guid.clone(),
            hook_id: parcel.hook_id,
            event: parcel.event.clone(),
            action: parcel.action.clone(),
            url: parcel.url.clone(),
            status,
            error,
            answer,
        };
        let mut log = self.log();
        if log.len() >= LOG {
            log.pop_front();
        }
        log.push_back((parcel, delivery.clone()));
        delivery
    }

    pub(crate) fn find(&self, guid: &str) -> Option<Parcel> {
        let log = self.log();
        log.iter()
            .find(|(parcel, _)| parcel.guid == guid)
            .map(|(parcel, _)| parcel.clone())
    }

    async fn post(&self, parcel: &Parcel) -> Result<(u16, String), reqwest::Error> {
        let mut request = self
            .http
            .post(&parcel.url)
            .header("content-type", "application/json")
            .body(parcel.body.to_vec());
        for (name, value) in &parcel.headers {
            request = request.header(*name, value);
        }
        let mut response = request.send().await?;
        let mut answer = Vec::new();
        while answer.len() < ANSWER_BYTES
            && let Some(chunk) = response.chunk().await?
        {
            answer.extend_from_slice(&chunk);
        }
        answer.truncate(ANSWER_BYTES);
        Ok((
            response.status().as_u16(),
            String::from_utf8_lossy(&answer).into_owned(),
        ))
    }

    fn log(&self) -> MutexGuard<'_, VecDeque<(Parcel, Delivery)>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client for plain HTTP: it trusts no certificate authority and follows no redirect.
pub fn http_client(user_agent: &str) -> Result<reqwest::Client, WorldError> {
    client(user_agent, rustls::RootCertStore::empty())
}

/// What delivers webhooks; over TLS to who is certified by one of these authorities, in PEM.
pub(crate) fn hook_client(authorities: &str) -> Result<reqwest::Client, WorldError> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let authority = authority.map_err(|_| WorldError::Authorities)?;
        roots.add(authority)?;
    }
    client(USER_AGENT, roots)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the practice world is the outside: it has no part in the broker's outbound client"
)]
fn client(user_agent: &str, roots: rustls::RootCertStore) -> Result<reqwest::Client, WorldError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(WorldError::HookClient)
}

/// `X-Hub-Signature-256` of `body`; nothing without a secret.
pub(crate) fn sign(secret: &str, body: &[u8]) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    Some(format!("sha256={}", hex::encode(hmac::sign(&key, body))))
}

const USER_AGENT: &str = "GitHub-Hookshot/practice";
/// The vendor waits ten seconds for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const LOG: usize = 500;
const ANSWER_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_documented_one() {
        // The example in the vendor's page on validating deliveries.
        let signature = sign("It's a Secret to Everybody", b"Hello, World!");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature.as_deref(), Some(expected));
    }
}
