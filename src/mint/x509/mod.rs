//! X.509-SVIDs: a certificate over the caller's own key, with the lineage's identity as its only name,
//! and what those need who verify it.

use rcgen::SubjectPublicKeyInfo;
use writ_keys::{CustodyError, Keyring, Pki};

use crate::domain::credential::{CredentialRecord, X509Svid};
use crate::domain::lineage::Lineage;
use crate::domain::x509::SubjectKey;

pub mod board;
pub mod leaf;
pub mod pem;
pub mod revocations;
pub mod server;

use leaf::{BadLeaf, Leaf};

/// A certificate with its intermediate, and the roots that are trusted with it, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// End entity first; the root is not among them.
    pub chain: String,
    pub bundle: String,
}

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum Unmade {
    #[error(transparent)]
    Leaf(#[from] BadLeaf),
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error("the key cannot be written into a certificate: {0}")]
    Key(#[from] rcgen::Error),
    #[error("the authority was withdrawn meanwhile")]
    Withdrawn,
}

/// Certifies a key for the lineage that the credential was recorded for.
pub fn certify(
    keys: &Keyring,
    pki: &Pki,
    svid: &X509Svid,
    subject: &SubjectKey,
    credential: &CredentialRecord,
    lineage: &Lineage,
) -> Result<Certified, Unmade> {
    let leaf = Leaf {
        svid,
        credential,
        identity: lineage.identity.id(),
        trust_domain: &pki.trust_domain,
        lists: &pki.lists,
    };
    let linted = leaf.lint()?;
    let public = SubjectPublicKeyInfo::from_der(subject.info())?;
    let made = keys.sign_certificate(&svid.authority, linted.params(), &public)?;
    let intermediate = keys.intermediate(&svid.authority);
    let intermediate = intermediate.ok_or(Unmade::Withdrawn)?;
    Ok(Certified {
        chain: pem::certificate(&made) + &pem::certificate(intermediate),
        bundle: bundle(keys),
    })
}

/// Every trusted root.
pub fn bundle(keys: &Keyring) -> String {
    keys.roots().map(|(_, der)| pem::certificate(der)).collect()
}
