//! The harness: a broker with a real database behind its real listener, a practice world beside it,
//! and a client that behaves as an honest job does.

pub mod broker;
pub mod client;
pub mod desk;
pub mod foreign;
pub mod forge;
pub mod held;
pub mod issuer;
pub mod ledger;
pub mod process;
pub mod profiles;
pub mod raw;
pub mod token;
pub mod trap;
pub mod world;
