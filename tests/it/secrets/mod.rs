//! Secrets: read by whoever is granted them with a token for this broker, leased no longer than that
//! token, and sealed to their place.

mod paths;
mod stored;
mod tokens;
