//! Minting: from an intent to the bytes of a credential. Minting computes and records nothing; what
//! it makes is held back until the ledger has the change, and a signature that never left the
//! process was never issued.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use writ_keys::{Keyring, Pki};

use crate::domain::credential::{CredentialKind, CredentialRecord};
use crate::domain::ids::{ChangeId, Realm};
use crate::domain::lineage::Lineage;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::task::Task;
use crate::error::{Code, Error};
use crate::ledger::change::Change;
use crate::ledger::intent::{Intent, IntentParts};
use crate::mint::settings::SvidSettings;
use crate::mint::x509::Certified;
use crate::telemetry::trace;

pub mod access_token;
pub mod cursor;
pub mod handle;
pub mod jwt_svid;
pub mod rings;
pub mod sealed;
pub mod settings;
pub mod x509;

/// How long a copy of the published key set may be kept. A key is published for longer than that
/// before it signs.
pub const KEY_SET_MAX_AGE: Duration = Duration::from_mins(1);

/// Makes credentials by the keys in force.
pub struct Minter {
    pub keys: Arc<ArcSwap<Keyring>>,
    /// The `iss` of every token.
    pub issuer: String,
    pub realm: Realm,
    /// What the broker's authorities are called and where their revocation lists are.
    pub pki: Pki,
    pub svids: SvidSettings,
}

/// Credential bytes that may not leave yet, with the change that must be durable first. It cannot be
/// copied and is used once.
pub struct Minted {
    change: Change,
    held: HeldBack,
}

/// What waits for its record.
pub struct HeldBack {
    change: ChangeId,
    product: Product,
    task: Task,
    lineage: Lineage,
    session: Session,
    credential: CredentialRecord,
}

/// A credential as it is handed out.
pub enum Product {
    AccessToken {
        token: Secret,
        /// The renewal handle; a session without a key has none.
        handle: Option<Secret>,
    },
    Secret(Secret),
    JwtSvid(Secret),
    X509Svid(Certified),
}

/// A credential that was released, with what it belongs to.
pub struct Released {
    pub product: Product,
    pub task: Task,
    pub lineage: Lineage,
    pub session: Session,
    pub credential: CredentialRecord,
}

impl Minter {
    /// Mints what the intent is for.
    ///
    /// # Errors
    /// Internal: a key is missing or a sealed secret does not open.
    pub fn mint(&self, intent: Intent) -> Result<Minted, Error> {
        let _stage = trace::stage("mint");
        let IntentParts {
            change,
            task,
            lineage,
            session,
            credential,
            secret,
            subject,
        } = intent.into_parts();
        let keys = self.keys.load();
        let product = match &credential.kind {
            CredentialKind::AccessToken(grant) => {
                let claims = access_token::Claims::new(
                    &self.issuer,
                    grant,
                    &credential,
                    &task,
                    &lineage,
                    &session,
                );
                let token = keys
                    .sign_jwt(access_token::TYPE, &claims)
                    .map_err(|e| failed(&e))?;
                let handle = session.key.map(|_| handle::derive(&keys, session.id));
                Product::AccessToken {
                    token: token.into(),
                    handle,
                }
            }
            CredentialKind::JwtSvid(svid) => {
                let issuer = self.svids.issuer.as_str();
                let claims = jwt_svid::Claims::new(issuer, svid, &credential, &task, &lineage);
                let signed = match self.svids.rsa_for(&svid.audience) {
                    Some(imported) => imported.sign_jwt_svid(&claims),
                    None => keys.sign_jwt_svid(&claims),
                };
                Product::JwtSvid(signed.map_err(|e| failed(&e))?.into())
            }
            CredentialKind::X509Svid(svid) => {
                let key = subject.ok_or_else(|| failed(&"no key was given to certify"))?;
                let made = x509::certify(&keys, &self.pki, svid, &key, &credential, &lineage);
                Product::X509Svid(made.map_err(|e| failed(&e))?)
            }
            CredentialKind::SecretLease(_) => {
                let sealed = secret.ok_or_else(|| failed(&"no secret was given to read"))?;
                Product::Secret(sealed::open(&keys, self.realm, &sealed).map_err(|e| failed(&e))?)
            }
        };
        let held = HeldBack {
            change: change.id,
            product,
            task,
            lineage,
            session,
            credential,
        };
        Ok(Minted { change, held })
    }

    /// The keys of JWT-SVIDs as an OIDC relying party wants them (RFC 7517 §5).
    pub fn svid_jwks(&self) -> Value {
        self.with_imported(self.keys.load().svid_jwks(), "sig")
    }

    /// The keys of JWT-SVIDs as a SPIFFE bundle has them.
    pub fn svid_bundle(&self) -> Value {
        self.with_imported(self.keys.load().svid_bundle(), "jwt-svid")
    }

    fn with_imported(&self, mut set: Value, r#use: &str) -> Value {
        if let Some(Value::Array(keys)) = set.get_mut("keys") {
            keys.extend(self.svids.rsa.iter().map(|key| key.jwk(r#use)));
        }
        set
    }
}

impl Minted {
    /// The change that has to be durable, and what waits for it.
    pub fn part(self) -> (Change, HeldBack) {
        (self.change, self.held)
    }
}

impl HeldBack {
    /// Releases the credential for the change that was recorded. Any other change's record releases
    /// nothing.
    pub fn release(self, recorded: ChangeId) -> Result<Released, Error> {
        if self.change != recorded {
            return Err(failed(&"the record is another change's"));
        }
        let Self {
            product,
            task,
            lineage,
            session,
            credential,
            ..
        } = self;
        Ok(Released {
            product,
            task,
            lineage,
            session,
            credential,
        })
    }
}

fn failed(why: &impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, "the credential could not be made").with_internal(why)
}
