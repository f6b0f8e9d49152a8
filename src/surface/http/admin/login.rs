//! `/api/v1/login`: whose tokens the operators' listener takes, told to everybody; and `/api/v1/whoami`: what
//! it makes of one.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gate::{Operator, Operators};
use super::when::When;
use super::{AdminState, Answer};
use crate::error::{Code, Error};

/// How `writ login` gets a token. None of it is secret: the client is a public one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginView {
    pub issuer: String,
    pub client_id: String,
    pub scopes: Vec<String>,
}

/// Who asks, as the log names them, with their roles, and until when a token says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorView {
    pub operator: String,
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<When>,
}

pub(super) async fn client(State(state): State<Arc<AdminState>>) -> Answer<LoginView> {
    let Operators::Remote(issuer) = &state.operators else {
        return Err(Error::new(Code::NotFound, "nobody logs in here").into());
    };
    Ok(Json(LoginView {
        issuer: issuer.tokens.issuer.clone(),
        client_id: issuer.client_id.clone(),
        scopes: issuer.scopes.clone(),
    }))
}

pub(super) async fn whoami(Extension(operator): Extension<Operator>) -> Json<OperatorView> {
    let roles = operator.roles().iter();
    Json(OperatorView {
        operator: operator.as_str().to_owned(),
        roles: roles.map(|role| role.as_str().to_owned()).collect(),
        expires_at: operator.until().map(When::from),
    })
}

/// Where everybody may ask.
pub(super) const PATH: &str = "/api/v1/login";
