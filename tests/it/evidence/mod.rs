//! Evidence: what does not verify, and whose keys say so.

mod bodies;
mod claims;
mod forged;
mod held;
mod identity;
mod keys;
mod silence;
mod times;
