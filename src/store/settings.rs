//! Where the store lives.

use std::path::PathBuf;

/// The place of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// One SQLite file; its directory must exist.
    pub sqlite: PathBuf,
}
