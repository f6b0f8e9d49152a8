//! Publishing what is revoked: the lists of certificates, signed by whoever issued them.

use std::collections::BTreeMap;

use writ_keys::{CustodyError, Keyring};

use crate::broker::Broker;
use crate::domain::time::Timestamp;
use crate::domain::x509::{Revoked, Serial};
use crate::mint::x509::board::Hindrance;
use crate::mint::x509::revocations::Lists;
use crate::store::Down;

/// Why the lists stay as old as they are.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    #[error(transparent)]
    Down(#[from] Down),
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error("this replica is behind the log")]
    Stale,
}

impl Unpublished {
    /// What the board says of it.
    pub const fn hindrance(&self) -> Hindrance {
        match self {
            Self::Down(_) => Hindrance::Store,
            Self::Custody(_) => Hindrance::Signing,
            Self::Stale => Hindrance::Behind,
        }
    }
}

impl Broker {
    /// Signs the lists anew and publishes them. A replica that is behind the log vouches for none.
    pub fn publish_revoked(
        &self,
        keys: &Keyring,
        revoked: &BTreeMap<Serial, Revoked>,
        now: Timestamp,
    ) -> Result<(), Unpublished> {
        self.fresh().map_err(|_| Unpublished::Stale)?;
        let lists = Lists::sign(keys, revoked, now)?;
        self.revocations.publish(lists);
        Ok(())
    }
}
