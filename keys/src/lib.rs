//! Key custody for Writ.
