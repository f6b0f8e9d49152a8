//! Revocation: by token, handle and task, acknowledged only when it holds, and covering what is in
//! flight.

mod introspection;
mod keys;
mod races;
mod task;
mod token;
