//! Writ: a short-lived credential broker.

pub mod domain;
pub mod error;
pub mod jobs;
pub mod ledger;
pub mod seams;
pub mod store;
