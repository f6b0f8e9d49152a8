//! What is shipped for CI systems, run as they run it.

mod action;
mod component;
mod runner;
