//! The OAuth endpoints: RFC 8693 token exchange and RFC 6749 refresh, RFC 7662 introspection, RFC 7009
//! revocation, RFC 8414 metadata.

mod details;
pub mod error;
pub mod introspect;
pub mod metadata;
pub mod revoke;
pub mod token;

use crate::surface::http::route::Route;

pub fn routes() -> [Route; 5] {
    [
        token::route(),
        introspect::route(),
        revoke::route(),
        metadata::keys(),
        metadata::route(),
    ]
}

pub const TOKEN: &str = "/oauth2/token";
pub const INTROSPECT: &str = "/oauth2/introspect";
pub const REVOKE: &str = "/oauth2/revoke";
pub const JWKS: &str = "/oauth2/jwks";
pub const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The identifiers of RFC 8693 §2.1 and §3.
pub const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const REFRESH_GRANT: &str = "refresh_token";
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The parameter and member of RFC 9396.
const DETAILS: &str = "authorization_details";
