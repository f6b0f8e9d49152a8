//! `writ policy`: what an author of policies is told before a broker is.

mod check;
mod cookbook;
mod diff;
mod files;
mod simulate;
mod test;
