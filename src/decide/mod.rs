//! Whether what was asked is permitted.

#[cfg(test)]
mod cases;
pub mod engine;
mod entities;
pub mod load;
mod mention;
mod select;
