//! An issuer of agents' identities: an OpenID Provider whose ID tokens name one agent each, and no run.

use std::sync::Arc;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::{self, Clock};
use crate::error::WorldError;
use crate::faults::{Faults, Target, gate};
use crate::keys::Keys;
use crate::mint;
use crate::payloads::object;

/// An issuer under one path prefix of the world.
pub struct Agents {
    url: String,
    clock: Clock,
    keys: Keys,
    faults: Arc<Faults>,
}

impl Agents {
    pub(crate) fn new(url: &str) -> Result<Self, WorldError> {
        Ok(Self {
            url: url.to_owned(),
            clock: Clock::default(),
            keys: Keys::load()?,
            faults: Arc::default(),
        })
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets the issuer's clock that many seconds ahead of the system's (negative: behind).
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// A token of an agent, new at every call.
    pub fn token(&self, agent: &str, audience: &str) -> Result<String, WorldError> {
        self.token_with(agent, audience, Map::new())
    }

    /// The same with members laid over its claims; `null` removes one.
    pub fn token_with(
        &self,
        agent: &str,
        audience: &str,
        over: Map<String, Value>,
    ) -> Result<String, WorldError> {
        let now = self.clock.now().unix_timestamp();
        let mut claims = object(json!({
            "iss": self.url,
            "sub": format!("agent:{agent}"),
            "aud": audience,
            "iat": now,
            "exp": now.saturating_add(LIFETIME_SECS),
            "jti": clock::random_uuid()?,
            "agent_id": agent,
        }));
        mint::overlay(&mut claims, over);
        mint::honest(&*self.keys.signing()?, &claims)
    }
}

pub(crate) fn routes(agents: &Arc<Agents>) -> Router {
    let gated = |target, route: axum::routing::MethodRouter<Arc<Agents>>| {
        route.layer(from_fn_with_state(
            (Arc::clone(agents.faults()), target),
            gate,
        ))
    };
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            gated(Target::Discovery, get(discovery)),
        )
        .route("/keys", gated(Target::Jwks, get(keys)))
        .route("/control/tokens", post(token))
        .with_state(Arc::clone(agents))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    agent: String,
    audience: String,
    /// Laid over the claims: where a service runs.
    #[serde(default)]
    claims: Map<String, Value>,
}

async fn token(
    State(agents): State<Arc<Agents>>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>, WorldError> {
    let value = agents.token_with(&wanted.agent, &wanted.audience, wanted.claims)?;
    Ok(Json(json!({ "value": value })))
}

async fn discovery(State(agents): State<Arc<Agents>>) -> Json<Value> {
    Json(json!({
        "issuer": agents.issuer(),
        "jwks_uri": format!("{}/keys", agents.issuer()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(agents): State<Arc<Agents>>) -> Json<Value> {
    Json(agents.keys.jwks())
}

const LIFETIME_SECS: i64 = 300;
