//! The broker, asked as any client may ask it: exchange (RFC 8693), refresh (RFC 6749 §6), a secret,
//! revocation (RFC 7009), each with a proof of the session key (RFC 9449) where there is one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use writ_keys::SessionKey;

use super::super::CliError;
use super::super::text::plain;
use super::super::way::Way;
use super::failure::Failed;
use super::form::Form;
use crate::domain::grant::{Audience, Scope, SecretPath};
use crate::domain::name::{ProfileName, TaskName};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::url::BaseUrl;
use crate::outbound::{ClientCertificate, Content, Origin, Peer, Response, Rules, Shown};

/// A broker and the key that requests to it are proven with.
pub(in crate::cli) struct Client {
    pub(super) way: Way,
    peer: Peer,
    issuer: BaseUrl,
    /// The issuer's own path, before every endpoint's.
    below: String,
    key: Option<SessionKey>,
}

/// What a token is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) profile: Option<ProfileName>,
    /// Where the evidence does not name the task.
    pub(super) case: Option<TaskName>,
    pub(super) audiences: Vec<Audience>,
    pub(super) scopes: Vec<Scope>,
}

/// By what it is asked for.
#[derive(Debug)]
pub(super) enum Grant<'a> {
    Evidence(&'a Secret),
    Handle {
        handle: &'a Secret,
        fresh: Option<&'a Secret>,
    },
}

/// A token, and what the broker said about it.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: Secret,
    /// `DPoP` or `Bearer`.
    pub(super) kind: String,
    pub(super) handle: Option<Secret>,
    /// When it was asked for: it is no younger.
    pub(super) asked: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) renew_after: Duration,
    pub(super) task_name: String,
}

/// A certificate, with what is needed beside it.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Certified {
    /// With its intermediate, in PEM.
    #[serde(rename = "certificate")]
    pub(in crate::cli) chain: String,
    /// Every trusted root, in PEM.
    pub(in crate::cli) bundle: String,
    pub(in crate::cli) spiffe_id: String,
    pub(in crate::cli) serial: String,
    pub(in crate::cli) id: String,
    pub(in crate::cli) expires_at: String,
}

/// A permit, and when it lapses.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Reserved {
    pub(in crate::cli) permit: String,
    pub(in crate::cli) expires_at: String,
}

impl Client {
    pub(in crate::cli) fn new(
        issuer: BaseUrl,
        key: Option<SessionKey>,
        way: Way,
    ) -> Result<Self, CliError> {
        Self::showing(Shown::Nothing, issuer, key, way)
    }

    /// A client whose evidence is a certificate of the broker's, in the handshake.
    pub(in crate::cli) fn certified(
        certificate: ClientCertificate,
        issuer: BaseUrl,
        way: Way,
    ) -> Result<Self, CliError> {
        Self::showing(Shown::Certificate(certificate), issuer, None, way)
    }

    fn showing(
        shown: Shown,
        issuer: BaseUrl,
        key: Option<SessionKey>,
        way: Way,
    ) -> Result<Self, CliError> {
        let unusable = |error| CliError::Usage(format!("the issuer is unusable: {error}"));
        let (origin, path) = Origin::split(issuer.as_str()).map_err(unusable)?;
        let rules = Rules {
            shown,
            content: Content::Any,
            max_body: LARGEST_ANSWER,
            ..Rules::json()
        };
        Ok(Self {
            peer: way.peer(origin, rules)?,
            below: path.trim_end_matches('/').to_owned(),
            way,
            issuer,
            key,
        })
    }

    pub(super) fn key(&self) -> Option<&SessionKey> {
        self.key.as_ref()
    }

    pub(super) fn issuer(&self) -> &BaseUrl {
        &self.issuer
    }

    /// A token by evidence, or by the handle of an earlier one.
    pub(super) async fn token(&self, grant: &Grant<'_>, ask: &Ask) -> Result<Token, Failed> {
        let form = Form::asking(grant, ask);
        let answer = self
            .post(TOKEN, form, self.proof("POST", TOKEN, None)?)
            .await?;
        Token::read(&answer)
    }

    /// What an exchange of this evidence would be answered, as the broker says it.
    pub(super) async fn preview(&self, evidence: &Secret, ask: &Ask) -> Result<Value, Failed> {
        let form = Form::asking(&Grant::Evidence(evidence), ask);
        let proof = self.proof("POST", PREVIEW, None)?;
        read(&self.post(PREVIEW, form, proof).await?)
    }

    /// The whole value of a secret.
    pub(super) async fn secret(&self, path: &SecretPath, by: &Token) -> Result<Secret, Failed> {
        #[derive(Deserialize)]
        struct Answer {
            value: String,
            encoding: String,
        }
        let endpoint = format!("/api/v1/secret/{}", path.as_str());
        let headers = self.shown("GET", &endpoint, &by.value)?;
        let answer = self
            .ask(Method::GET, &endpoint, headers, Bytes::new())
            .await?;
        let answer: Answer = read(&answer)?;
        let value = Secret::from(answer.value);
        if answer.encoding == "base64" {
            let bytes = STANDARD.decode(value.expose());
            return bytes.map(Secret::new).map_err(|_| misread());
        }
        Ok(value)
    }

    /// A JWT-SVID for this audience: the workload's identity, verified offline.
    pub(in crate::cli) async fn svid(
        &self,
        audience: &Audience,
        by: &Secret,
    ) -> Result<Secret, Failed> {
        #[derive(Deserialize)]
        struct Answer {
            svid: String,
        }
        let body = json!({ "audience": audience.as_str() });
        let answer = self.taken(SVID, &body, by).await?;
        let answer: Answer = read(&answer)?;
        Ok(Secret::from(answer.svid))
    }

    /// A certificate for the key that signed this request, as the broker answers it.
    pub(in crate::cli) async fn certificate(
        &self,
        request: &str,
        by: &Secret,
    ) -> Result<Certified, Failed> {
        let body = json!({ "csr": request });
        read(&self.taken(CERTIFICATE, &body, by).await?)
    }

    /// Another certificate, by the one that this client shows.
    pub(in crate::cli) async fn recertified(&self, request: &str) -> Result<Certified, Failed> {
        let body = json!({ "csr": request });
        read(&self.sent(CERTIFICATE, &body, HeaderMap::new()).await?)
    }

    /// A permit: one use of an action, under the step's own key.
    pub(in crate::cli) async fn permit(
        &self,
        wanted: &Value,
        step: &str,
        by: &Secret,
    ) -> Result<Reserved, Failed> {
        let mut headers = self.shown("POST", PERMIT, by)?;
        let key = HeaderValue::from_str(step).map_err(|_| misread())?;
        headers.insert("idempotency-key", key);
        read(&self.sent(PERMIT, wanted, headers).await?)
    }

    /// What a token takes with a JSON body.
    async fn taken(&self, endpoint: &str, body: &Value, by: &Secret) -> Result<Response, Failed> {
        let headers = self.shown("POST", endpoint, by)?;
        self.sent(endpoint, body, headers).await
    }

    async fn sent(
        &self,
        endpoint: &str,
        body: &Value,
        mut headers: HeaderMap,
    ) -> Result<Response, Failed> {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let body = body.to_string().into();
        self.ask(Method::POST, endpoint, headers, body).await
    }

    /// Ends what is held: a handle ends its session, a token dies alone. Neither ends the task.
    pub(super) async fn revoke(&self, held: &Secret) -> Result<(), Failed> {
        let mut form = Form::default();
        form.push("token", held.expose_str().unwrap_or_default());
        self.post("/oauth2/revoke", form, HeaderMap::new())
            .await
            .map(|_| ())
    }

    /// The headers that show a token, with its proof where it is bound to a key.
    fn shown(&self, method: &str, endpoint: &str, by: &Secret) -> Result<HeaderMap, Failed> {
        let token = by.expose_str().unwrap_or_default();
        let mut headers = self.proof(method, endpoint, Some(token))?;
        let scheme = if headers.is_empty() { "Bearer" } else { "DPoP" };
        headers.insert(header::AUTHORIZATION, hidden(&format!("{scheme} {token}"))?);
        Ok(headers)
    }

    async fn post(
        &self,
        endpoint: &str,
        form: Form,
        mut headers: HeaderMap,
    ) -> Result<Response, Failed> {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, kind);
        self.ask(Method::POST, endpoint, headers, form.body()).await
    }

    async fn ask(
        &self,
        method: Method,
        endpoint: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Failed> {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::ACCEPT, json);
        let place = format!("{}{endpoint}", self.below);
        let asked = self
            .peer
            .ask(method, &place, headers, body, self.way.soon());
        let answer = asked
            .await
            .map_err(|error| Failed::unanswered("the broker", &error))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Failed::answered(&answer))
    }

    /// The header that proves the key for one request (RFC 9449 §4.2), or none without a key.
    fn proof(
        &self,
        method: &str,
        endpoint: &str,
        token: Option<&str>,
    ) -> Result<HeaderMap, Failed> {
        let mut headers = HeaderMap::new();
        let Some(key) = &self.key else {
            return Ok(headers);
        };
        let mut id = [0; 16];
        self.way.entropy.fill(&mut id);
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        claim("jti", hex::encode(id).into());
        claim("htm", method.into());
        claim("htu", format!("{}{endpoint}", self.issuer.as_str()).into());
        claim("iat", self.way.clock.now().seconds().into());
        if let Some(token) = token {
            let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
            claim("ath", URL_SAFE_NO_PAD.encode(hash).into());
        }
        let proof = key
            .proof(&claims)
            .map_err(|error| Failed::Local(CliError::Broken(error.to_string())))?;
        headers.insert("dpop", hidden(&proof)?);
        Ok(headers)
    }
}

impl Token {
    fn read(answer: &Response) -> Result<Self, Failed> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: u64,
            refresh_token: Option<String>,
            renew_after: Option<u64>,
            #[serde(default)]
            task_name: String,
        }
        let read: Answer = read(answer)?;
        Ok(Self {
            value: Secret::from(read.access_token),
            kind: plain(&read.token_type),
            handle: read.refresh_token.map(Secret::from),
            asked: answer.asked,
            expires: answer.asked.plus(Duration::from_secs(read.expires_in)),
            renew_after: Duration::from_secs(read.renew_after.unwrap_or(read.expires_in / 2)),
            task_name: plain(&read.task_name),
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Response) -> Result<T, Failed> {
    answer.json().map_err(|_| misread())
}

fn misread() -> Failed {
    Failed::unknown("the broker's address answered with something that is not the broker's")
}

fn hidden(text: &str) -> Result<HeaderValue, Failed> {
    let mut value = HeaderValue::from_str(text).map_err(|_| misread())?;
    value.set_sensitive(true);
    Ok(value)
}

const TOKEN: &str = "/oauth2/token";
const PREVIEW: &str = "/api/v1/preview";
const SVID: &str = "/api/v1/svid/jwt";
const PERMIT: &str = "/api/v1/permit";
const CERTIFICATE: &str = "/api/v1/svid/x509";
/// The largest secret, in base64 and JSON.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
