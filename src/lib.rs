//! Writ: a short-lived credential broker. It attests workloads, ties what it hands out to one task,
//! and keeps it alive only while the context that justified the task still holds.
//!
//! The way through is one line, and the modules below stand in its order:
//!
//! ```text
//! bytes ─ decode ─► Request + Evidence ─ attest ─► Attested ─ observe ─► Facts ─ decide ─► Permit
//!       ─ open ─► Intent ─ mint ─► Minted ─ settle ─► Issued ─ encode ─► bytes
//! ```

pub mod cli;
pub mod config;

pub mod broker;
pub mod jobs;
pub mod surface;

pub mod attest;
pub mod context;
pub mod decide;
pub mod ledger;
pub mod mint;
pub mod store;

pub mod domain;
pub mod error;
pub mod outbound;
pub mod seams;
pub mod telemetry;
