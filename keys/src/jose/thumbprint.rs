//! Names a session key by what it is (RFC 7638), as DPoP does in `jkt`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

/// The SHA-256 thumbprint of a P-256 key, in base64url (RFC 7638 §3). Takes the coordinates as they stand
/// in the JWK; whether they are a point of the curve is found when the key is used.
pub fn jwk_thumbprint_p256(x_b64: &str, y_b64: &str) -> String {
    // Quoted as JSON, so that no text of one coordinate can reach into the other.
    let (x, y) = (Value::from(x_b64), Value::from(y_b64));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_the_dpop_example_is_reproduced() {
        // RFC 9449 §4.2 (the key) and §6.1 (its thumbprint).
        let x = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
        let y = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";
        assert_eq!(
            jwk_thumbprint_p256(x, y),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn a_coordinate_cannot_pretend_to_be_both() {
        assert_ne!(
            jwk_thumbprint_p256(r#"a","y":"b"#, ""),
            jwk_thumbprint_p256("a", r#"b","y":""#)
        );
        assert_ne!(
            jwk_thumbprint_p256("ab", "c"),
            jwk_thumbprint_p256("a", "bc")
        );
    }
}
