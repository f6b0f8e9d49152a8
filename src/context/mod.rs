//! Context: what is known of the world outside, how it came to be known, and how old it is.
//!
//! Hints expire facts, reads decide: no webhook says that a run is over, it only makes the next
//! decision wait for a read. What cannot be read is unavailable, which is neither yes nor no.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::domain::context::{Locator, Record, RecordKey};
use crate::domain::name::SourceName;
use crate::domain::time::Timestamp;

pub mod cache;
pub mod desk;
pub mod fact;
pub mod github;
pub mod github_hook;
pub mod gitlab;
pub mod gitlab_hook;
pub mod hook;
pub mod json;
pub mod json_hook;
pub mod kubernetes;
pub mod observe;
pub mod rest;
pub mod settings;
pub mod stored_token;

/// Something that can be asked for records.
pub trait ContextSource: Send + Sync {
    /// Reads one record, now.
    ///
    /// # Errors
    /// The source cannot be asked, or its answer cannot be understood. That it has no such record
    /// is an answer, not an error.
    fn read<'a>(
        &'a self,
        record: &'a RecordKey,
        locate: &'a Locator,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reading, Unreadable>>;
}

/// What a source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// `None` when the source has no such record.
    pub record: Option<Record>,
    /// The record's version at the source, where it has one that only grows as text.
    pub version: Option<String>,
}

/// Why nothing is known. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// The configured sources, by name. A source that is not here can only be known by issuer proof.
pub type Sources = HashMap<SourceName, Arc<dyn ContextSource>>;
