//! An honest job: it asks its CI system for a token, holds a session key, and proves it.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Response, StatusCode};
use serde_json::Value;
use writ_practice::client::{Proof, SessionKey};
use writ_practice::{StartJob, StartRun, StartedJob, StartedRun};

use super::broker::{BILLING_SECRET, Broker, ENVIRONMENT, REPO, keep_time};

pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// A client of one broker; its clones share connections.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub issuer: String,
    clock: std::sync::Arc<dyn writ::seams::Clock>,
    /// The world whose clock is set to the broker's, where that one stands still.
    site: Option<std::sync::Arc<writ_practice::Site>>,
}

/// An answer: its status, headers and JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub json: Value,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Client {
    pub fn new(broker: &Broker) -> Self {
        let clock = std::sync::Arc::clone(&broker.clock);
        Self {
            site: Some(std::sync::Arc::clone(broker.site())),
            ..Self::of(broker.issuer.clone(), clock)
        }
    }

    /// A client of the broker with this issuer.
    pub fn of(issuer: String, clock: std::sync::Arc<dyn writ::seams::Clock>) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a client of the broker, not the broker's own"
        )]
        let http = reqwest::Client::new();
        Self {
            http,
            issuer,
            clock,
            site: None,
        }
    }

    /// The job's own ID token, with this audience.
    pub async fn id_token(&self, job: &StartedJob, audience: &str) -> String {
        let answer = self.ask_id_token(job, audience).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json["value"].as_str().unwrap().to_owned()
    }

    pub async fn ask_id_token(&self, job: &StartedJob, audience: &str) -> Answer {
        if let Some(site) = &self.site {
            keep_time(site, self.clock.as_ref());
        }
        let request = self
            .http
            .get(&job.token_url)
            .query(&[("audience", audience)]);
        answer(
            request
                .bearer_auth(&job.request_token)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Exchanges a job's ID token, bound to the key where there is one.
    pub async fn exchange(
        &self,
        job: &StartedJob,
        key: Option<&SessionKey>,
        more: &[(&str, &str)],
    ) -> Answer {
        let audience = match key {
            Some(key) => format!("{}/jkt/{}", self.issuer, key.thumbprint()),
            None => self.issuer.clone(),
        };
        let token = self.id_token(job, &audience).await;
        self.exchange_token(&token, key, more).await
    }

    pub async fn exchange_token(
        &self,
        token: &str,
        key: Option<&SessionKey>,
        more: &[(&str, &str)],
    ) -> Answer {
        let answer = self.try_exchange_token(token, key, more).await;
        answer.expect("an answer")
    }

    /// `None` when no answer comes.
    pub async fn try_exchange_token(
        &self,
        token: &str,
        key: Option<&SessionKey>,
        more: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", ID_TOKEN),
        ];
        form.extend_from_slice(more);
        self.try_token_endpoint(&form, key).await
    }

    /// Renews by the handle of an earlier answer.
    pub async fn renew(&self, earlier: &Answer, key: &SessionKey, more: &[(&str, &str)]) -> Answer {
        let answer = self.try_renew(earlier, key, more).await;
        answer.expect("an answer")
    }

    pub async fn try_renew(
        &self,
        earlier: &Answer,
        key: &SessionKey,
        more: &[(&str, &str)],
    ) -> Option<Answer> {
        let handle = earlier.json["refresh_token"].as_str().unwrap();
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", handle)];
        form.extend_from_slice(more);
        self.try_token_endpoint(&form, Some(key)).await
    }

    pub async fn token_endpoint(&self, form: &[(&str, &str)], key: Option<&SessionKey>) -> Answer {
        let answer = self.try_token_endpoint(form, key).await;
        answer.expect("an answer")
    }

    pub async fn try_token_endpoint(
        &self,
        form: &[(&str, &str)],
        key: Option<&SessionKey>,
    ) -> Option<Answer> {
        let url = format!("{}/oauth2/token", self.issuer);
        let mut request = self.http.post(&url).form(form);
        if let Some(key) = key {
            request = request.header("DPoP", self.proof(key, "POST", &url, None));
        }
        try_answer(request).await
    }

    /// Reads a secret with the token of an earlier answer.
    pub async fn secret(&self, path: &str, earlier: &Answer, key: Option<&SessionKey>) -> Answer {
        let answer = self.try_secret(path, earlier, key).await;
        answer.expect("an answer")
    }

    pub async fn try_secret(
        &self,
        path: &str,
        earlier: &Answer,
        key: Option<&SessionKey>,
    ) -> Option<Answer> {
        let url = format!("{}/api/v1/secret/{path}", self.issuer);
        let token = earlier.json["access_token"].as_str().unwrap();
        let request = self.http.get(&url);
        let request = match key {
            Some(key) => request
                .header("Authorization", format!("DPoP {token}"))
                .header("DPoP", self.proof(key, "GET", &url, Some(token))),
            None => request.bearer_auth(token),
        };
        try_answer(request).await
    }

    /// A JWT-SVID for an audience, taken with the token of an earlier answer.
    pub async fn svid(&self, audience: &str, earlier: &Answer, key: Option<&SessionKey>) -> Answer {
        let body = serde_json::json!({ "audience": audience });
        self.taken("svid/jwt", &body, earlier, key).await
    }

    /// A certificate for a signing request, taken with the token of an earlier answer.
    pub async fn certificate(
        &self,
        csr: &str,
        earlier: &Answer,
        key: Option<&SessionKey>,
    ) -> Answer {
        let body = serde_json::json!({ "csr": csr });
        self.taken("svid/x509", &body, earlier, key).await
    }

    async fn taken(
        &self,
        what: &str,
        body: &Value,
        earlier: &Answer,
        key: Option<&SessionKey>,
    ) -> Answer {
        let url = format!("{}/api/v1/{what}", self.issuer);
        let token = earlier.text("access_token");
        let request = self.http.post(&url).json(body);
        let request = match key {
            Some(key) => request
                .header("Authorization", format!("DPoP {token}"))
                .header("DPoP", self.proof(key, "POST", &url, Some(token))),
            None => request.bearer_auth(token),
        };
        try_answer(request).await.expect("an answer")
    }

    /// What the resource server `billing` learns of a token.
    pub async fn introspect(&self, token: &str) -> Answer {
        let url = format!("{}/oauth2/introspect", self.issuer);
        let request = self
            .http
            .post(&url)
            .basic_auth("billing", Some(BILLING_SECRET))
            .form(&[("token", token)]);
        answer(request.send().await.unwrap()).await
    }

    pub async fn is_active(&self, earlier: &Answer) -> bool {
        let answer = self
            .introspect(earlier.json["access_token"].as_str().unwrap())
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json["active"].as_bool().unwrap()
    }

    pub async fn revoke(&self, held: &str) -> Answer {
        self.try_revoke(held).await.expect("an answer")
    }

    pub async fn try_revoke(&self, held: &str) -> Option<Answer> {
        let url = format!("{}/oauth2/revoke", self.issuer);
        try_answer(self.http.post(&url).form(&[("token", held)])).await
    }

    /// The answer to any request.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        answer(request.send().await.unwrap()).await
    }

    /// A fresh proof for one request.
    pub fn proof(&self, key: &SessionKey, method: &str, url: &str, token: Option<&str>) -> String {
        let id = format!("proof-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let iat = self.clock.now().seconds();
        key.proof(&Proof {
            htm: method,
            htu: url,
            iat,
            jti: &id,
            access_token: token,
            nonce: None,
        })
        .unwrap()
    }
}

impl Answer {
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("")
    }

    pub fn field(&self) -> &str {
        self.json["field"].as_str().unwrap_or("")
    }

    pub fn text(&self, name: &str) -> &str {
        self.json[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    #[track_caller]
    pub fn assert_issued(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert!(self.json["access_token"].is_string(), "{self:?}");
    }

    /// Refused with this status and code, and nothing that could be used came with it.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.code()),
            (status, code),
            "{self:?}"
        );
        for member in [
            "access_token",
            "refresh_token",
            "value",
            "svid",
            "certificate",
        ] {
            assert!(self.json.get(member).is_none(), "{self:?}");
        }
    }
}

async fn answer(response: Response) -> Answer {
    read(response).await.unwrap()
}

async fn try_answer(request: reqwest::RequestBuilder) -> Option<Answer> {
    read(request.send().await.ok()?).await
}

/// `None` when the answer ends before its end.
async fn read(response: Response) -> Option<Answer> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.ok()?;
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Answer {
        status,
        headers,
        json,
    })
}

/// A run with one job in the trusted environment.
pub async fn deploy_run(broker: &Broker) -> StartedRun {
    run_with(
        broker,
        vec![StartJob::new("deploy").in_environment(ENVIRONMENT)],
    )
    .await
}

pub async fn run_with(broker: &Broker, jobs: Vec<StartJob>) -> StartedRun {
    let run = broker
        .site()
        .start_run(StartRun::new(REPO, jobs))
        .await
        .unwrap();
    broker.site().hooks().settle().await.unwrap();
    broker.reread_all().await;
    run
}
