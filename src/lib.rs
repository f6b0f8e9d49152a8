//! Writ: a short-lived credential broker.

pub mod attest;
pub mod broker;
pub mod config;
pub mod context;
pub mod domain;
pub mod error;
pub mod ledger;
pub mod seams;
pub mod store;
pub mod surface;
