//! What is in a token, and in the key that it is bound to.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use writ_practice::client::SessionKey;

/// The claims of a compact JWS, believed by nobody.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A key of PKCS#8 in PEM.
pub fn key_of_pem(pem: &str) -> SessionKey {
    let body: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    SessionKey::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap()
}
