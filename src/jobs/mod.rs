//! What runs in the background. Each job is a struct with
//! `async fn run(&self, now: Timestamp) -> Result<Report, _>`: one bounded piece of work that may be
//! stopped at any point and run again. Whoever wires the server decides how often.

pub mod follower;
pub mod loops;
pub mod own_certificate;
pub mod patrol;
pub mod revocations;
pub mod rotation;
pub mod sequencer;
pub mod traces;
