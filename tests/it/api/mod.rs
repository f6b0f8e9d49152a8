//! The routes of each listener as one table: what is published of them, and what each of them refuses.

mod document;
pub mod fuzz;
mod operators;
mod refusals;
