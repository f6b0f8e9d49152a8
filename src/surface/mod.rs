//! Where others reach Writ: decode, one call, encode. Nothing is decided here.

pub mod grpc;
pub mod http;
pub mod settings;
pub mod socket;
