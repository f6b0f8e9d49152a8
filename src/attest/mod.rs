//! Proving who is asking.

pub mod preset;
pub mod settings;
