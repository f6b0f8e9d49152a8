//! What operators do at three in the morning, through the admin socket and the real binary.

mod find;
mod freeze;
mod lists;
mod repeat;
mod revoke;
mod scope;
mod why;
