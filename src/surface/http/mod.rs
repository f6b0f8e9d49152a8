//! HTTP: how connections are taken, bounded and ended.

mod activity;
pub mod admin;
mod connection;
mod guard;
pub mod peer;
pub mod problem;
pub mod serve;
pub mod tls;
mod wire;
