//! The binary as it is shipped: what a kill, a stop, a wrong start and a rude network do to it.

mod connections;
mod crash;
pub mod drain;
mod handshake;
mod init;
mod lines;
mod orders;
mod redaction;
mod refusals;
mod reload;
mod restart;
mod strangers;
mod told;
mod watch;
mod wire;
