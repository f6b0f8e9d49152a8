//! The project's own rules, each checked against its source: which way imports run, what may be
//! built in, and which status an outcome has.

mod dependencies;
mod layering;
mod outcomes;
mod proto;
mod security;
mod source;
