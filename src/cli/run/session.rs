//! One session at the broker, from its first token to its revocation. What it holds is this job's
//! own: ending it ends nothing of another job, and never the task.

use writ_keys::SessionKey;

use super::client::{Ask, Client, Grant, Token};
use super::evidence::Source;
use super::failure::Failed;
use crate::domain::grant::Audience;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::error::Code;

/// A session, open or about to be.
pub(super) struct Session {
    pub(super) client: Client,
    source: Source,
    /// What the ID tokens are asked to be for.
    audience: String,
    handle: Option<Secret>,
    /// Whether the next renewal shows fresh evidence beside the handle.
    fresh: bool,
    /// Whether every renewal does.
    always_fresh: bool,
    /// Tokens that no handle ends.
    loose: Vec<(Secret, Timestamp)>,
}

impl Session {
    pub(super) fn new(client: Client, source: Source, evidence_audience: &str) -> Self {
        let key = client.key().filter(|_| source.takes_audience());
        Self {
            audience: audience(evidence_audience, key),
            client,
            source,
            handle: None,
            fresh: false,
            always_fresh: false,
            loose: Vec::new(),
        }
    }

    /// A token for `ask`: by the handle where there is one, else by evidence.
    pub(super) async fn token(&mut self, ask: &Ask) -> Result<Token, Failed> {
        let asked = match self.handle.clone() {
            None => self.by_evidence(ask).await,
            Some(handle) => self.by_handle(&handle, ask).await,
        };
        // Nobody ended it: an outage outlasted it, and this job's evidence opens another.
        let outlasted = matches!(&asked, Err(failed) if failed.is(Code::SessionExpired));
        let asked = if outlasted && self.source.is_renewed() {
            self.handle = None;
            self.by_evidence(ask).await
        } else {
            asked
        };
        // The broker wants newer proof than it has; the next try brings it, where there is any.
        if let Err(Failed::Unknown { fresh: true, .. }) = &asked {
            self.fresh = self.source.is_renewed();
        }
        let token = asked?;
        self.fresh = false;
        match &token.handle {
            Some(handle) => self.handle = Some(handle.clone()),
            None if self.handle.is_none() => self.keep_loose(&token),
            None => {}
        }
        Ok(token)
    }

    /// A token for the broker itself, which secrets and SVIDs are taken with and which goes to nobody:
    /// a token for another service takes none. `None` where the job's own is one for the broker.
    pub(super) async fn beside(&mut self, ask: &Ask) -> Result<Option<Token>, Failed> {
        let issuer = self.client.issuer().as_str();
        if ask.audiences.is_empty() || ask.audiences.iter().any(|a| a.as_str() == issuer) {
            return Ok(None);
        }
        let own: Audience = issuer
            .parse()
            .map_err(|_| Failed::NoEvidence("the issuer is no audience".to_owned()))?;
        let ask = Ask {
            profile: ask.profile.clone(),
            case: ask.case.clone(),
            audiences: vec![own],
            scopes: Vec::new(),
        };
        self.token(&ask).await.map(Some)
    }

    /// Whether there can be another token after this one.
    pub(super) fn renews(&self) -> bool {
        self.handle.is_some() || self.source.is_renewed()
    }

    /// How it renews, for people.
    pub(super) fn told(&self) -> &'static str {
        match (&self.handle, self.source.is_renewed()) {
            (Some(_), _) => "renewed by its handle",
            (None, true) => "renewed by fresh ID tokens",
            (None, false) => "not renewed: there is no handle and no other ID token",
        }
    }

    /// What has to be revoked at the end: the handle, which ends all that came with it, or each token
    /// that still lives.
    pub(super) fn held(&self) -> Vec<Secret> {
        if let Some(handle) = &self.handle {
            return vec![handle.clone()];
        }
        let now = self.client.way.clock.now();
        let living = self.loose.iter().filter(|(_, expires)| *expires > now);
        living.map(|(token, _)| token.clone()).collect()
    }

    async fn by_evidence(&self, ask: &Ask) -> Result<Token, Failed> {
        let evidence = self.evidence().await?;
        self.client.token(&Grant::Evidence(&evidence), ask).await
    }

    async fn by_handle(&mut self, handle: &Secret, ask: &Ask) -> Result<Token, Failed> {
        if !self.fresh && !self.always_fresh {
            let grant = Grant::Handle {
                handle,
                fresh: None,
            };
            let asked = self.client.token(&grant, ask).await;
            let demanded = matches!(&asked, Err(failed) if failed.is(Code::EvidenceRequired));
            if !demanded || !self.source.is_renewed() {
                return asked;
            }
            self.always_fresh = true;
        }
        let evidence = match self.evidence().await {
            Ok(evidence) => Some(evidence),
            // Nobody demanded it: the broker judges without.
            Err(_) if !self.always_fresh => None,
            Err(failed) => return Err(failed),
        };
        let grant = Grant::Handle {
            handle,
            fresh: evidence.as_ref(),
        };
        self.client.token(&grant, ask).await
    }

    async fn evidence(&self) -> Result<Secret, Failed> {
        self.source.token(&self.audience, &self.client.way).await
    }

    fn keep_loose(&mut self, token: &Token) {
        let now = self.client.way.clock.now();
        self.loose.retain(|(_, expires)| *expires > now);
        self.loose.push((token.value.clone(), token.expires));
    }
}

/// What an ID token is asked to be for: the broker, and whoever proves this key, so that a token that
/// leaks on its way is worth nothing.
pub(super) fn audience(base: &str, key: Option<&SessionKey>) -> String {
    key.map_or_else(
        || base.to_owned(),
        |key| format!("{base}/jkt/{}", key.thumbprint()),
    )
}
