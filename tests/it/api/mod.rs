//! The public routes as one table: what is published of them, and what each of them refuses.

mod document;
mod fuzz;
mod refusals;
