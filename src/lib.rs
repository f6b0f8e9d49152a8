//! Writ.
