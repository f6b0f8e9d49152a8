//! A desk's webhooks as hints: signed over the raw body, by HMAC-SHA256 in `X-Signature-256`, or in the
//! form of Standard Webhooks. The body says which case to read again, and nothing more.

use http::HeaderMap;
use ring::hmac;

use crate::attest::strict_json::Object;
use crate::context::desk::{CaseMapping, DeskHookSettings, Found, Pointer};
use crate::context::hook::{self, BadDelivery, Delivery, Hook, name, text};
use crate::context::settings::HookSecret;
use crate::domain::case::case_record;
use crate::domain::name::SourceName;
use crate::domain::time::Timestamp;

/// The receiving end of one desk's webhooks.
pub struct DeskHook {
    desk: SourceName,
    proofs: Vec<Proof>,
    case: Pointer,
    mapping: CaseMapping,
}

/// What shows that a delivery comes from the desk. A key counts in one of the two ways only.
enum Proof {
    /// HMAC-SHA256 over the body alone, in hexadecimal.
    Body(hmac::Key),
    /// Standard Webhooks: over id, time and body.
    Signed(hmac::Key),
}

impl DeskHook {
    pub fn new(desk: SourceName, settings: &DeskHookSettings, mapping: CaseMapping) -> Self {
        let key = |secret: &HookSecret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let secrets = settings.secrets.iter();
        let proofs = secrets.map(|secret| match secret {
            HookSecret::Shared(_) => Proof::Body(key(secret)),
            HookSecret::Signing(_) => Proof::Signed(key(secret)),
        });
        Self {
            desk,
            proofs: proofs.collect(),
            case: settings.case.clone(),
            mapping,
        }
    }
}

impl Hook for DeskHook {
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, BadDelivery> {
        let proves = |proof: &Proof| match proof {
            Proof::Body(key) => signs(key, headers, body),
            Proof::Signed(key) => hook::standard(key, headers, body, now),
        };
        if !self.proofs.iter().any(proves) {
            return Err(BadDelivery::Signature);
        }
        let document = Object::parse(body).map_err(|_| BadDelivery::Body)?;
        let hints = match self.case.find(&document.into_value()) {
            // A case that is not this desk's to speak of concerns nobody.
            Found::Text(id) => {
                let id = self.mapping.case_id(&id);
                let record = id.and_then(|id| case_record(&self.desk, id.as_str()).ok());
                record.into_iter().collect()
            }
            Found::Nothing => Vec::new(),
            Found::Unfit => return Err(BadDelivery::Body),
        };
        let id = name(headers, "webhook-id");
        Ok(Delivery { id, hints })
    }
}

fn signs(key: &hmac::Key, headers: &HeaderMap, body: &[u8]) -> bool {
    let shown = text(headers, SIGNATURE);
    let digits = shown.map(|shown| shown.strip_prefix("sha256=").unwrap_or(shown));
    let signature = digits.and_then(|digits| hex::decode(digits).ok());
    signature.is_some_and(|signature| hmac::verify(key, body, &signature).is_ok())
}

const SIGNATURE: &str = "x-signature-256";
