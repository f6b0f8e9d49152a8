//! The token of an API that is kept in the ledger: how it is shown, and which version of it is held.

use crate::domain::grant::SecretPath;
use crate::domain::name::SourceName;
use crate::domain::secret::Secret;
use crate::outbound::{Form, Slot};

/// A stored token, and the slot from which the API is shown it.
pub struct StoredToken {
    of: SourceName,
    path: SecretPath,
    form: Form,
    slot: Slot,
    /// The version in the slot.
    held: Option<u32>,
}

impl StoredToken {
    pub fn new(of: SourceName, path: SecretPath, form: Form) -> Self {
        Self {
            of,
            path,
            form,
            slot: Slot::default(),
            held: None,
        }
    }

    /// The source or desk whose API it is for.
    pub const fn of(&self) -> &SourceName {
        &self.of
    }

    pub const fn path(&self) -> &SecretPath {
        &self.path
    }

    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Holds what is stored now. A token that cannot be sent is none.
    pub fn hold(&mut self, stored: Option<(u32, Secret)>) {
        let version = stored.as_ref().map(|(version, _)| *version);
        if version == self.held {
            return;
        }
        let credential = stored.map(|(_, secret)| self.form.of(&secret)).transpose();
        let (source, path) = (&self.of, &self.path);
        match &credential {
            Ok(_) => tracing::info!(%source, %path, version, "the API's token was replaced"),
            Err(why) => tracing::warn!(%source, %path, version, %why, "the API cannot be asked"),
        }
        self.slot.hold(credential.ok().flatten());
        self.held = version;
    }
}
