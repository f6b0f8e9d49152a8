//! Secrets, as operators keep them: put, deleted and listed. No verb here gives a value back.

use writ_keys::Purpose;

use crate::broker::revoke::{Order, unsettled};
use crate::broker::settle::{Unsettled, overloaded};
use crate::broker::{ATTEMPTS, Broker, RETRY, unavailable};
use crate::domain::grant::SecretPath;
use crate::domain::secret::Secret;
use crate::error::{Code, Error};
use crate::ledger::answered::Answer;
use crate::ledger::change::{SealedVersion, Write};
use crate::ledger::entry::{Event, Subject};
use crate::mint::sealed::{Place, open, seal};
use crate::store::SecretListing;

/// What an order to store a value came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The newest version, which holds the value.
    pub version: u32,
    /// It held the value already: nothing was written.
    pub unchanged: bool,
}

impl Broker {
    /// Seals a new version of a secret, and says which.
    ///
    /// A value that is the newest version already is left as it stands: an order whose answer was lost
    /// can be given again, and a version that is newer than one that was read has another value.
    pub async fn put_secret(
        &self,
        path: &SecretPath,
        value: &Secret,
        order: &Order,
    ) -> Result<Stored, Error> {
        for _ in 0..ATTEMPTS {
            if let Some(version) = self.held_by(path, value).await {
                return Ok(Stored {
                    version,
                    unchanged: true,
                });
            }
            let sealed = self.next_version(path, value).await?;
            let version = sealed.version;
            let event = Event::SecretStored {
                path: path.clone(),
                version,
                by: order.by.clone(),
            };
            let writes = vec![Write::Secret(sealed)];
            match self.order(writes, Subject::default(), event).await {
                Ok(()) => {
                    return Ok(Stored {
                        version,
                        unchanged: false,
                    });
                }
                Err(Unsettled::Again) => {}
                Err(other) => return Err(unsettled(other)),
            }
        }
        Err(overloaded(RETRY))
    }

    /// Deletes a secret with every version. Its version numbers are not used again.
    pub async fn delete_secret(&self, path: &SecretPath, order: &Order) -> Result<(), Error> {
        let turn = self.begin(order).await?;
        if let Some(Answer::SecretDeleted) = turn.given {
            return Ok(());
        }
        if self.newest(path).await?.is_none() {
            return Err(
                Error::new(Code::NotFound, "there is no secret at this path").with_field("path"),
            );
        }
        let event = Event::SecretDeleted {
            path: path.clone(),
            by: order.by.clone(),
        };
        let mut writes = vec![Write::SecretDeleted { path: path.clone() }];
        writes.extend(order.note(Answer::SecretDeleted, self.clock.now()));
        self.order(writes, Subject::default(), event)
            .await
            .map_err(unsettled)
    }

    /// The secrets behind a path, without their values.
    pub async fn secrets(
        &self,
        after: Option<&SecretPath>,
        limit: u32,
    ) -> Result<Vec<SecretListing>, Error> {
        self.store
            .secrets(self.realm, after, limit)
            .await
            .map_err(|down| unavailable(&down))
    }

    /// The newest version, if it holds this very value. One that cannot be read or opened, or is sealed
    /// by a key that is no longer the active one, is to be sealed anew whatever it holds.
    async fn held_by(&self, path: &SecretPath, value: &Secret) -> Option<u32> {
        let keys = self.minter.keys.load();
        let active = keys.active_id(Purpose::Secret).as_str();
        let row = self.newest(path).await.ok().flatten()?;
        let same =
            row.key_id == active && open(&keys, self.realm, &row).is_ok_and(|held| held == *value);
        same.then_some(row.version)
    }

    async fn next_version(
        &self,
        path: &SecretPath,
        value: &Secret,
    ) -> Result<SealedVersion, Error> {
        let latest = self.store.latest_version(self.realm, path).await;
        let latest = latest.map_err(|down| unavailable(&down))?;
        let place = Place {
            realm: self.realm,
            path,
            version: latest.saturating_add(1),
        };
        let keys = self.minter.keys.load();
        seal(&keys, place, value, self.clock.now(), self.entropy.as_ref())
            .map_err(|e| Error::new(Code::RequestMalformed, e.to_string()))
    }

    async fn newest(&self, path: &SecretPath) -> Result<Option<SealedVersion>, Error> {
        let row = self.store.secret(self.realm, path).await;
        row.map_err(|down| unavailable(&down))
    }
}
