//! Every test that goes through a surface: one binary, a folder per capability.

mod binary;
mod rules;
mod story;
mod support;
