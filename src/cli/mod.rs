//! cli
pub mod server;
pub mod wire;
