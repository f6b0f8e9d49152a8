//! What the verbs are told: who the broker is, what it may hand out, and within which bounds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::grant::Audience;
use crate::domain::identity::TrustDomain;
use crate::domain::profile::TaskProfile;
use crate::domain::url::BaseUrl;
use crate::mint::settings::SvidSettings;

/// The broker's own identity and what it may do.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    pub trust_domain: TrustDomain,
    /// The issuer identifier in every token and in the metadata (RFC 8414 §2).
    pub issuer: BaseUrl,
    pub profiles: Vec<TaskProfile>,
    /// Audiences that a registered resource server verifies by asking: a token for these alone is
    /// dead where it counts as soon as it is revoked.
    pub online: BTreeSet<Audience>,
    pub limits: Limits,
    pub svids: SvidSettings,
}

/// Bounds of the whole broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long ago the log may last have been read whole; past it, a replica refuses.
    pub staleness: Duration,
}

/// Where the key-encryption key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLocation {
    File(PathBuf),
    /// An open descriptor that the service manager passes in.
    Descriptor(i32),
}

/// The policies that decide inside the profiles.
#[derive(Debug, Clone)]
pub struct PolicyTexts {
    /// Whether those that come with the broker are in force.
    pub shipped: bool,
    pub own: Vec<PolicyText>,
}

/// One policy file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    pub name: String,
    pub text: String,
}
