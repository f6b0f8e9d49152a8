//! What is posted to the OAuth endpoints: a token asked for by evidence (RFC 8693) or by a handle (RFC 6749 §6).

use bytes::Bytes;
use serde_json::json;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::client::{Ask, Grant};
use crate::domain::grant::Scope;
use crate::domain::secret::Secret;

/// A form under way, wiped when it is sent or dropped.
#[derive(Default)]
pub(super) struct Form(Zeroizing<String>);

impl Form {
    pub(super) fn asking(grant: &Grant<'_>, ask: &Ask) -> Self {
        let mut form = Self::default();
        match grant {
            Grant::Evidence(token) => {
                form.push("grant_type", EXCHANGE);
                form.evidence(token);
                if let Some(profile) = &ask.profile {
                    form.push("profile", profile.as_str());
                }
                if let Some(case) = &ask.case {
                    let details = json!([{ "type": "writ_task", "task": case.as_str() }]);
                    form.push("authorization_details", &details.to_string());
                }
            }
            Grant::Handle { handle, fresh } => {
                form.push("grant_type", "refresh_token");
                form.push("refresh_token", handle.expose_str().unwrap_or_default());
                if let Some(token) = fresh {
                    form.evidence(token);
                }
            }
        }
        for audience in &ask.audiences {
            form.push("audience", audience.as_str());
        }
        let scopes: Vec<_> = ask.scopes.iter().map(Scope::as_str).collect();
        if !scopes.is_empty() {
            form.push("scope", &scopes.join(" "));
        }
        form
    }

    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0
            .extend(form_urlencoded::byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0
            .extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }

    fn evidence(&mut self, token: &Secret) {
        self.push("subject_token", token.expose_str().unwrap_or_default());
        self.push("subject_token_type", ID_TOKEN);
    }

    pub(super) fn body(self) -> Bytes {
        Bytes::from_owner(Zeroizing::new(self.0.as_bytes().to_vec()))
    }
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
