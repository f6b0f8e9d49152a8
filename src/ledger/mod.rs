//! The one log. A verb returns a [`change::Change`]: what it expects, what it writes and the entry
//! that says so. The store admits it whole or not at all, by the pure fold of [`rows`], which is
//! also what replay and simulation use. Values only; no SQL, no I/O.

mod after;
pub mod bar;
pub mod change;
pub mod entry;
pub mod rows;
