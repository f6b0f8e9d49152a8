//! The pipeline's side: a job with a session key of its own, and what it asks of its CI system and
//! of the broker.

use writ_practice::{JobId, RunId, StartedRun};

use crate::call::{Answer, Call};
use crate::session::Session;
use crate::trouble::Trouble;

/// A running job and what it holds.
pub(crate) struct Job {
    pub(crate) run: RunId,
    pub(crate) id: JobId,
    token_url: String,
    request_token: String,
    session: Session,
}

impl Job {
    /// The first job of a run, with a new key, as a client of the broker `issuer`.
    pub(crate) fn first_of(run: StartedRun, issuer: &str) -> Result<Self, Trouble> {
        let first = run.jobs.into_iter().next();
        let first = first.ok_or_else(|| Trouble::unmet("a started run", "a job", "none"))?;
        Ok(Self {
            run: run.run_id,
            id: first.job_id,
            token_url: first.token_url,
            request_token: first.request_token,
            session: Session::new(issuer)?,
        })
    }

    /// What the job asks its ID tokens to be for: this broker, and whoever holds this key.
    pub(crate) fn audience(&self) -> String {
        let Session { issuer, key, .. } = &self.session;
        format!("{issuer}/jkt/{}", key.thumbprint())
    }

    /// Asks the CI system for an ID token.
    pub(crate) fn ask_id_token(&self) -> Call {
        let url = format!("{}&audience={}", self.token_url, self.audience());
        Call::get(url).bearer(&self.request_token)
    }

    /// Exchanges an ID token, for the broker's own audience unless another is named.
    pub(crate) fn exchange(&self, id_token: &str, audience: Option<&str>) -> Result<Call, Trouble> {
        self.session.exchange(id_token, audience)
    }

    /// Asks for a new token by the renewal handle.
    pub(crate) fn renew(&self, audience: Option<&str>) -> Result<Call, Trouble> {
        self.session.renew(audience)
    }

    /// Reads a secret with an access token.
    pub(crate) fn read(&self, token: &str, path: &str) -> Result<Call, Trouble> {
        let Session { issuer, key, .. } = &self.session;
        Call::get(format!("{issuer}/api/v1/secret/{path}")).bound(token, key)
    }

    /// Keeps the handle of an exchange's answer.
    pub(crate) fn keep_handle(&mut self, answer: &Answer) -> Result<(), Trouble> {
        self.session.keep_handle(answer)
    }
}
