//! `writ policy`: what an author of policies is told before a broker is.

mod check;
mod files;
mod test;
