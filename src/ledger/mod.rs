//! The one log. A verb returns a [`change::Change`]: what it expects, what it writes and the entry
//! that says so. The store admits it whole or not at all, by the pure fold of [`rows`], which is
//! also what replay and simulation use. Entries become leaves of the audit [`tree`], whose signed
//! [`checkpoint`]s make any later change of them visible. Values only; no SQL, no I/O.

pub mod act;
mod after;
pub mod answered;
pub mod bar;
pub mod change;
pub mod checkpoint;
pub mod entry;
pub mod export;
pub mod intent;
pub mod replay;
pub mod reserve;
pub mod rows;
pub mod tree;
pub mod verify;
