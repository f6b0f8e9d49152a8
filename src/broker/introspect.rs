//! Introspect (RFC 7662): whether a token still stands. It judges rows, not facts: a source's outage
//! does not make a good token look dead, and a stale view answers nothing at all.

use std::collections::BTreeSet;

use crate::broker::token::OwnToken;
use crate::broker::{Broker, unavailable};
use crate::domain::grant::Audience;
use crate::domain::secret::Secret;
use crate::error::Error;
use crate::ledger::bar::BarKey;
use crate::ledger::change::Write;
use crate::ledger::entry::{Life, touch_of};
use crate::mint::access_token::Claims;
use crate::store::view::View;

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
        if now.seconds() >= claims.exp || !for_caller || !self.stands(&token).await? {
            return Ok(Introspection::Inactive);
        }
        Ok(Introspection::Active(Box::new(claims.clone())))
    }

    /// Whether everything that the token belongs to is alive: from memory, or from the rows where
    /// memory has none.
    async fn stands(&self, token: &OwnToken) -> Result<bool, Error> {
        let view = self.store.view();
        let claims = &token.claims;
        let now = self.clock.now();
        let mut bars = vec![
            BarKey::Credential(claims.jti),
            BarKey::Workload(claims.sub.clone()),
        ];
        bars.extend(claims.cnf.map(|cnf| BarKey::SenderKey(cnf.jkt)));
        if bars.iter().any(|bar| view.is_barred(bar, now)) {
            return Ok(false);
        }
        if let Some(alive) = remembered(view, claims) {
            return Ok(alive);
        }
        let held = self
            .store
            .held(self.realm, claims.session)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(held) = held else { return Ok(false) };
        for row in [
            Write::Task(held.task),
            Write::Lineage(held.lineage),
            Write::Session(held.session),
        ] {
            if let Some(touch) = touch_of(&row) {
                view.join(&touch);
            }
        }
        Ok(remembered(view, claims).unwrap_or(false))
    }
}

/// What memory says: alive only if all three rows are known to be, dead if any is known to be over,
/// and `None` where a row has to be read.
fn remembered(view: &View, claims: &Claims) -> Option<bool> {
    let rows = [
        view.task(claims.task),
        view.lineage(claims.lineage),
        view.session(claims.session),
    ];
    if rows.iter().flatten().any(|seen| seen.life == Life::Over) {
        return Some(false);
    }
    rows.iter().all(Option::is_some).then_some(true)
}
