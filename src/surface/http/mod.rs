//! HTTP: how connections are taken, bounded and ended, and what each route decodes and encodes.

mod activity;
pub mod admin;
pub mod answer;
pub mod clients;
mod connection;
pub mod form;
mod guard;
pub mod hooks;
pub mod oauth;
pub mod openapi;
pub mod peer;
pub mod pki;
pub mod platform;
pub mod present;
pub mod preview;
pub mod problem;
pub mod public;
pub mod route;
pub mod secret;
mod segment;
pub mod serve;
pub mod svid;
pub mod tls;
pub mod traced;
mod wire;
