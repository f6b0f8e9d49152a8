//! What the server does, seen from outside its modules: one binary, a folder per capability.

mod store;
mod story;
mod support;
