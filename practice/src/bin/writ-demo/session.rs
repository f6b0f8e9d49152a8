//! What every client of the broker holds: a key of its own, and the handle of the session that it opened
//! with it.

use writ_practice::client::SessionKey;

use crate::call::{Answer, Call};
use crate::trouble::Trouble;

/// A session with the broker `issuer`.
pub(crate) struct Session {
    pub(crate) issuer: String,
    pub(crate) key: SessionKey,
    handle: Option<String>,
}

impl Session {
    /// A session that is still to be opened, with a new key.
    pub(crate) fn new(issuer: &str) -> Result<Self, Trouble> {
        Ok(Self {
            issuer: issuer.to_owned(),
            key: SessionKey::generate()?,
            handle: None,
        })
    }

    /// Exchanges an ID token (RFC 8693), for the broker's own audience unless another is named.
    pub(crate) fn exchange(&self, id_token: &str, audience: Option<&str>) -> Result<Call, Trouble> {
        self.asking(id_token, audience).proven(&self.key)
    }

    /// The same for a task that the request names (RFC 9396).
    pub(crate) fn exchange_for(
        &self,
        id_token: &str,
        task: &str,
        audience: &str,
    ) -> Result<Call, Trouble> {
        let details = format!(r#"[{{"type":"writ_task","task":"{task}"}}]"#);
        self.asking(id_token, Some(audience))
            .field("authorization_details", details)
            .proven(&self.key)
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

    /// Keeps the handle of an exchange's answer.
    pub(crate) fn keep_handle(&mut self, answer: &Answer) -> Result<(), Trouble> {
        self.handle = Some(answer.text("refresh_token")?.to_owned());
        Ok(())
    }

    fn asking(&self, id_token: &str, audience: Option<&str>) -> Call {
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
        for_audience(call, audience)
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
