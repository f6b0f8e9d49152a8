//! Every test that goes through a surface: one binary, a folder per capability.

#![expect(
    unreachable_pub,
    reason = "the harness and its tests are one crate that nobody imports"
)]

mod binary;
mod rules;
mod story;
mod support;
