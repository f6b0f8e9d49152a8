//! The harness: a broker with a real database behind its real listener, a practice world beside it,
//! and a client that behaves as an honest job does.

pub mod broker;
pub mod client;
pub mod held;
pub mod ledger;
pub mod profiles;
pub mod world;
