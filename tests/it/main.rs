//! What the server does, seen from outside its modules: one folder per capability.

mod store;
