//! What a running broker tells of itself, beside its answers: log lines, and the traces of requests.
//! Metrics are counted where they arise.
//!
//! - [`log`]: lines on standard error
//! - [`trace`]: how a request's spans come about
//! - [`span`]: all that a span can say
//! - [`traceparent`]: how a trace goes from one service to the next
//! - [`otlp`]: how spans are written down for a collector

pub mod log;
pub mod otlp;
pub mod settings;
pub mod span;
pub mod trace;
pub mod traceparent;
