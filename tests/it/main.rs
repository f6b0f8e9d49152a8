//! Every test that goes through a surface: one binary, a folder per capability.

mod audit;
mod context;
mod renewal;
mod revocation;
mod secrets;
mod story;
mod support;
