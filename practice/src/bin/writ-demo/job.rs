//! The pipeline's side: a job with a session key of its own, and what it asks of its CI system and
//! of the broker.

use writ_practice::client::SessionKey;
use writ_practice::{JobId, RunId, StartedRun};

use crate::call::{Answer, Call};
use crate::trouble::Trouble;

/// A running job and what it holds.
pub(crate) struct Job {
    pub(crate) run: RunId,
    pub(crate) id: JobId,
    issuer: String,
    token_url: String,
    request_token: String,
    key: SessionKey,
    handle: Option<String>,
}

impl Job {
    /// The first job of a run, with a new key, as a client of the broker `issuer`.
    pub(crate) fn first_of(run: StartedRun, issuer: &str) -> Result<Self, Trouble> {
        let first = run.jobs.into_iter().next();
        let first = first.ok_or_else(|| Trouble::unmet("a started run", "a job", "none"))?;
        Ok(Self {
            run: run.run_id,
            id: first.job_id,
            issuer: issuer.to_owned(),
            token_url: first.token_url,
            request_token: first.request_token,
            key: SessionKey::generate()?,
            handle: None,
        })
    }

    /// What the job asks its ID tokens to be for: this broker, and whoever holds this key.
    pub(crate) fn audience(&self) -> String {
        format!("{}/jkt/{}", self.issuer, self.key.thumbprint())
    }

    /// Asks the CI system for an ID token.
    pub(crate) fn ask_id_token(&self) -> Call {
        let url = format!("{}&audience={}", self.token_url, self.audience());
        Call::get(url).bearer(&self.request_token)
    }

    /// Exchanges an ID token (RFC 8693), for the broker's own audience unless another is named.
    pub(crate) fn exchange(&self, id_token: &str, audience: Option<&str>) -> Result<Call, Trouble> {
        let call = Call::post(self.token_endpoint())
            .field(
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            )
            .field("subject_token", id_token)
            .field(
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            );
        for_audience(call, audience).proven(&self.key)
    }

    /// Asks for a new token by the renewal handle.
    pub(crate) fn renew(&self, audience: Option<&str>) -> Result<Call, Trouble> {
        let handle = self.handle.as_deref();
        let handle = handle.ok_or_else(|| Trouble::unmet("a renewal", "a handle", "none"))?;
        let call = Call::post(self.token_endpoint())
            .field("grant_type", "refresh_token")
            .field("refresh_token", handle);
        for_audience(call, audience).proven(&self.key)
    }

    /// Reads a secret with an access token.
    pub(crate) fn read(&self, token: &str, path: &str) -> Result<Call, Trouble> {
        Call::get(format!("{}/api/v1/secret/{path}", self.issuer)).bound(token, &self.key)
    }

    /// Keeps the handle of an exchange's answer.
    pub(crate) fn keep_handle(&mut self, answer: &Answer) -> Result<(), Trouble> {
        self.handle = Some(answer.text("refresh_token")?.to_owned());
        Ok(())
    }

    fn token_endpoint(&self) -> String {
        format!("{}/oauth2/token", self.issuer)
    }
}

fn for_audience(call: Call, audience: Option<&str>) -> Call {
    match audience {
        Some(audience) => call.field("audience", audience),
        None => call,
    }
}
