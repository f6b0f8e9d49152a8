//! Introspect (RFC 7662): whether a token still stands. It judges rows, not facts: a source's outage
//! does not make a good token look dead, and a stale view answers nothing at all.

use std::collections::BTreeSet;

use crate::broker::Broker;
use crate::domain::grant::Audience;
use crate::domain::secret::Secret;
use crate::error::Error;
use crate::mint::access_token::Claims;

/// The answer. Everything that is not a standing token for this caller is the same `Inactive`.
#[derive(Debug)]
pub enum Introspection {
    Active(Box<Claims>),
    Inactive,
}

impl Broker {
    /// Whether the token stands, for a resource server of these audiences.
    ///
    /// # Errors
    /// Undetermined only: `view_stale` and `store_unavailable`. Never a false "inactive".
    pub async fn introspect(
        &self,
        token: &Secret,
        audiences: &BTreeSet<Audience>,
    ) -> Result<Introspection, Error> {
        self.fresh()?;
        let now = self.clock.now();
        let Some(Ok(token)) = token.expose_str().map(|text| self.own_token(text)) else {
            return Ok(Introspection::Inactive);
        };
        let claims = &token.claims;
        let for_caller = claims
            .aud
            .iter()
            .any(|audience| audiences.contains(audience));
        if now.seconds() >= claims.exp || !for_caller || !self.stands(&token.footing()).await? {
            return Ok(Introspection::Inactive);
        }
        Ok(Introspection::Active(Box::new(claims.clone())))
    }
}
