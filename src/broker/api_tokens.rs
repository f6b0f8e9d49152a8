//! The tokens that APIs are asked with, where they are kept as secrets of the broker: one that an operator
//! puts is sent from then on, and one that was deleted is not.

use tokio::sync::Mutex;

use crate::broker::{Broker, unavailable};
use crate::context::stored_token::StoredToken;
use crate::domain::grant::SecretPath;
use crate::domain::secret::Secret;
use crate::error::{Code, Error};
use crate::mint::sealed;

/// The tokens, each held for its API.
pub struct ApiTokens(Mutex<Vec<StoredToken>>);

impl ApiTokens {
    pub fn new(tokens: Vec<StoredToken>) -> Self {
        Self(Mutex::new(tokens))
    }
}

impl Broker {
    /// Holds what is stored now. What cannot be read stays as it is.
    ///
    /// # Errors
    /// The ledger cannot be read, or what it gives cannot be opened; the others were seen to.
    pub async fn take_api_tokens(&self) -> Result<(), Error> {
        let mut failed = None;
        for token in self.api_tokens.0.lock().await.iter_mut() {
            match self.own_secret(token.path()).await {
                Ok(stored) => token.hold(stored),
                Err(why) => failed = Some(why),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// A secret that the broker keeps for itself, with its version. Nobody is given it.
    async fn own_secret(&self, path: &SecretPath) -> Result<Option<(u32, Secret)>, Error> {
        let row = self
            .store
            .secret(self.realm, path)
            .await
            .map_err(|down| unavailable(&down))?;
        let Some(row) = row.filter(|_| path.is_own()) else {
            return Ok(None);
        };
        let opened = sealed::open(&self.minter.keys.load(), self.realm, &row);
        let secret = opened.map_err(|why| {
            Error::new(Code::Internal, "a secret of the broker cannot be opened").with_internal(why)
        })?;
        Ok(Some((row.version, secret)))
    }
}
