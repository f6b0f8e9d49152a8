//! Every test that goes through a surface: one binary, a folder per capability.

mod story;
mod support;
