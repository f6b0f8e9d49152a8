//! Writ: a short-lived credential broker.

pub mod decide;
pub mod domain;
pub mod error;
pub mod ledger;
pub mod seams;
pub mod store;
