//! What the attestors are told: whose evidence counts, and how to reach its keys. Values here have
//! passed the lint of the configuration.

use std::time::Duration;

use ipnet::IpNet;
use jsonwebtoken::Algorithm;

use crate::attest::operator::RoleRule;
use crate::attest::vocabulary::Vocabulary;
use crate::domain::grant::Audience;
use crate::domain::name::SourceName;
use crate::domain::url::BaseUrl;

/// An issuer of ID tokens.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    pub name: SourceName,
    pub vocabulary: Vocabulary,
    /// Compared byte for byte with `iss`; its discovery document is read below it.
    pub issuer: BaseUrl,
    /// What `aud` must be, or be followed by `/jkt/` and the thumbprint of the caller's key.
    pub audience: Audience,
    /// Never empty, never symmetric.
    pub algorithms: Vec<Algorithm>,
    /// How long after its `iat` a token is taken, however late its `exp`.
    pub max_token_age: Duration,
    pub peer: PeerRules,
}

/// The provider of the identities of operators who come over the network.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// Never one whose tokens are evidence of workloads.
    pub issuer: BaseUrl,
    /// The client of `writ login`, a public one: what `aud` must be.
    pub client_id: String,
    /// What `writ login` asks for.
    pub scopes: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    /// How long after its `iat` a token is taken, however late its `exp`.
    pub max_token_age: Duration,
    pub groups_claim: String,
    pub roles: Vec<RoleRule>,
    pub peer: PeerRules,
}

/// How a configured service may be reached.
#[derive(Debug, Clone, Default)]
pub struct PeerRules {
    /// Networks beyond the public ones that its name may resolve into.
    pub networks: Vec<IpNet>,
    /// Certificate authorities in PEM that are trusted for it beside the platform's.
    pub roots: Option<Vec<u8>>,
}
