//! Every test that goes through a surface: one binary, a folder per capability.

mod dpop;
mod evidence;
mod exchange;
mod story;
mod support;
