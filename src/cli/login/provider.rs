//! The operators' OpenID Provider, as the client of `writ login` speaks to it: discovery, and the two endpoints
//! that take forms. Everything it names has to lie at its own origin.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::super::CliError;
use super::super::text::plain;
use super::super::way::Way;
use crate::attest::jws::Unverified;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::url::BaseUrl;
use crate::outbound::{Origin, OutboundError, Peer, Rules};
use crate::surface::http::admin::login::LoginView;

/// The provider, and this broker's client there.
pub(super) struct Provider {
    pub(super) way: Way,
    peer: Peer,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) scope: String,
    endpoints: Endpoints,
}

/// `OpenID` Connect Discovery 1.0 §3, RFC 8628 §4.
#[derive(Deserialize)]
struct Endpoints {
    issuer: String,
    token_endpoint: String,
    authorization_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
}

/// An ID token whose signature the broker has yet to check.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) expires: Timestamp,
}

/// What an endpoint says in place of what was asked for (RFC 6749 §5.2).
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) error: String,
    error_description: Option<String>,
}

/// Why there is no answer of the kind that was asked for.
#[derive(Debug)]
pub(super) enum Failed {
    /// The endpoint says why.
    Said(Said),
    /// Nothing came that can be read; asked again it may.
    Unanswered(OutboundError),
    Other(CliError),
}

impl Provider {
    pub(super) async fn find(view: LoginView, way: Way) -> Result<Self, CliError> {
        let issuer: BaseUrl = view
            .issuer
            .parse()
            .map_err(|e| CliError::Broken(format!("its issuer cannot be used: {e}")))?;
        let document = format!("{}/.well-known/openid-configuration", issuer.as_str());
        let (origin, path) = Origin::split(&document)
            .map_err(|e| CliError::Broken(format!("its issuer cannot be used: {e}")))?;
        let peer = way.peer(origin, Rules::json())?;
        let found = peer.get(&path, HeaderMap::new(), way.soon()).await;
        let endpoints: Endpoints = found
            .and_then(|answer| answer.json())
            .map_err(|error| CliError::Unanswered(format!("{}: {error}", issuer.as_str())))?;
        if endpoints.issuer != issuer.as_str() {
            let what = "the provider's document is another issuer's";
            return Err(CliError::Broken(what.to_owned()));
        }
        Ok(Self {
            way,
            peer,
            issuer: endpoints.issuer.clone(),
            client_id: view.client_id,
            scope: view.scopes.join(" "),
            endpoints,
        })
    }

    /// The page of the authorization endpoint (RFC 6749 §3.1).
    pub(super) fn authorization(&self) -> Result<&str, CliError> {
        let url = self.endpoints.authorization_endpoint.as_deref();
        let url = url.ok_or_else(|| missing("authorization_endpoint"))?;
        self.at_origin(url).map(|_| url)
    }

    pub(super) async fn device<T: DeserializeOwned>(
        &self,
        form: &[(&str, &str)],
    ) -> Result<T, Failed> {
        let url = self.endpoints.device_authorization_endpoint.as_deref();
        let url = url.ok_or_else(|| {
            let what = "the provider has no device flow: use `writ login --browser`";
            Failed::Other(CliError::Usage(what.to_owned()))
        })?;
        self.post(url, form).await
    }

    /// An ID token; one that was asked for with a nonce has to have it (Core §3.1.3.7).
    pub(super) async fn token(
        &self,
        form: &[(&str, &str)],
        nonce: Option<&str>,
    ) -> Result<Token, Failed> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: String,
        }
        let answer: Answer = self.post(&self.endpoints.token_endpoint, form).await?;
        let value = Secret::from(answer.id_token);
        let text = value.expose_str().unwrap_or_default();
        let broken = |what: &str| Failed::Other(CliError::Broken(what.to_owned()));
        let token = Unverified::parse(text)
            .map_err(|e| broken(&format!("the provider's ID token: {e}")))?;
        if token.issuer().ok() != Some(self.issuer.as_str()) || token.nonce() != nonce {
            return Err(broken(
                "the provider's ID token was not made for this login",
            ));
        }
        let expires = token.expires().and_then(Timestamp::from_seconds);
        let expires = expires.ok_or_else(|| broken("the provider's ID token does not end"))?;
        Ok(Token { value, expires })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<T, Failed> {
        let path = self.at_origin(url).map_err(Failed::Other)?;
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, kind);
        let mut body = form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(form).finish();
        let (peer, way) = (&self.peer, &self.way);
        let asked = peer.ask(Method::POST, &path, headers, Bytes::from(body), way.soon());
        let answer = asked.await.map_err(Failed::Unanswered)?;
        if answer.status.is_success() {
            return answer.json().map_err(Failed::Unanswered);
        }
        let status = OutboundError::Status(answer.status.as_u16());
        Err(answer
            .json()
            .map_or(Failed::Unanswered(status), Failed::Said))
    }

    fn at_origin(&self, url: &str) -> Result<String, CliError> {
        self.peer.origin().path_of(url).map_err(|_| {
            let what = "the provider sends to another origin than its own";
            CliError::Broken(what.to_owned())
        })
    }
}

impl Said {
    /// What was said, for a terminal.
    pub(super) fn text(&self) -> String {
        let error = plain(&self.error);
        self.error_description.as_deref().map_or_else(
            || error.clone(),
            |text| format!("{} ({error})", plain(text)),
        )
    }
}

impl From<Failed> for CliError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Said(said) if said.error == "access_denied" => {
                Self::Login(format!("the login was refused: {}", said.text()))
            }
            Failed::Said(said) => Self::Unanswered(format!("the provider: {}", said.text())),
            Failed::Unanswered(error) => Self::Unanswered(format!("the provider: {error}")),
            Failed::Other(error) => error,
        }
    }
}

fn missing(what: &str) -> CliError {
    CliError::Broken(format!("the provider has no {what}"))
}
