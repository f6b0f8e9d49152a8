//! How the broker is reached: decode, one call, encode.

pub mod settings;
