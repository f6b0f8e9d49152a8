//! What is known about the world outside: records, where they are read, and how fresh they are.

pub mod settings;
