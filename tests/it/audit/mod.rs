//! The audit log after a busy day: it is whole, it replays, and it holds no secret.

mod busy;
mod export;
mod whole;
