//! SVIDs: `POST /api/v1/svid/jwt` and `POST /api/v1/svid/x509` for whoever holds a token of a task that is granted one, and what
//! those need who verify them: OIDC discovery, the keys, and the trust domain's bundle.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::broker::issued::Issued;
use crate::broker::laps::verb;
use crate::broker::read::{ReadRequest, Wanted};
use crate::broker::recertify::RecertifyRequest;
use crate::domain::credential::CredentialKind;
use crate::domain::grant::Audience;
use crate::error::{Code, Error};
use crate::mint::{KEY_SET_MAX_AGE, Product};
use crate::surface::http::form::{json_body, malformed};
use crate::surface::http::peer::Peer;
use crate::surface::http::public::Public;
use crate::surface::http::route::{Caller, Content, Refuses, Route, Shape, Takes};
use crate::surface::http::{answer, present, problem};

pub const JWT: &str = "/api/v1/svid/jwt";
pub const X509: &str = "/api/v1/svid/x509";
pub const DISCOVERY: &str = "/svid/.well-known/openid-configuration";
pub const JWKS: &str = "/svid/jwks";
pub const BUNDLE: &str = "/svid/bundle";

pub fn routes() -> [Route; 5] {
    let refused = &[400, 401, 403, 503];
    [
        Route::post(JWT, "jwt_svid", jwt)
            .about("Issues a JWT-SVID for one audience.")
            .by(Caller::AccessToken)
            .takes(Takes::Json(Shape::of::<JwtSvidRequest>()))
            .with_proof()
            .answers(StatusCode::OK, Content::json::<JwtSvidResponse<'_>>())
            .refuses(Refuses::Problem, refused),
        Route::post(X509, "x509_svid", x509)
            .about("Issues an X.509-SVID for the public key of a signing request.")
            .by(Caller::AccessTokenOrCertificate)
            .takes(Takes::Json(Shape::of::<X509SvidRequest>()))
            .with_proof()
            .answers(StatusCode::OK, Content::json::<X509SvidResponse<'_>>())
            .refuses(Refuses::Problem, refused),
        Route::get(DISCOVERY, "svid_discovery", discovery)
            .about("OpenID Connect discovery of the issuer of JWT-SVIDs.")
            .answers(StatusCode::OK, Content::Object),
        Route::get(JWKS, "svid_jwks", jwks)
            .about("The keys that verify JWT-SVIDs (RFC 7517).")
            .answers(StatusCode::OK, Content::Object),
        Route::get(BUNDLE, "bundle", bundle)
            .about("The trust domain's bundle (SPIFFE).")
            .answers(StatusCode::OK, Content::Object),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JwtSvidRequest {
    audience: String,
}

#[derive(Serialize, ToSchema)]
struct JwtSvidResponse<'a> {
    svid: &'a str,
    spiffe_id: &'a str,
    id: String,
    expires_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct X509SvidRequest {
    /// In PEM; only its public key is taken.
    csr: String,
}

#[derive(Serialize, ToSchema)]
struct X509SvidResponse<'a> {
    /// The certificate and its intermediate, in PEM.
    certificate: &'a str,
    /// Every trusted root, in PEM.
    bundle: &'a str,
    spiffe_id: &'a str,
    serial: String,
    id: String,
    expires_at: String,
}

async fn jwt(State(public): State<Arc<Public>>, headers: HeaderMap, body: Bytes) -> Response {
    let wanted = |body: &[u8]| {
        let request: JwtSvidRequest = json_body(&headers, body)?
            .ok_or_else(|| malformed("the body is an object with one member, `audience`"))?;
        let audience = request.audience.parse::<Audience>();
        let audience = audience.map_err(|_| malformed("not an audience").with_field("audience"))?;
        Ok(Wanted::JwtSvid(audience))
    };
    let taken = take(&public, &headers, JWT, wanted(&body)).await;
    answered(taken.and_then(|issued| encode_jwt(&issued)))
}

/// By an access token, or by the certificate before it: a token that is shown is what counts.
async fn x509(
    State(public): State<Arc<Public>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = json_body::<X509SvidRequest>(&headers, &body).and_then(|request| {
        request.ok_or_else(|| malformed("the body is an object with one member, `csr`"))
    });
    let shown = peer.certificates().first();
    let by_certificate = shown.filter(|_| !headers.contains_key(header::AUTHORIZATION));
    let taken = if let Some(leaf) = by_certificate {
        renew(&public, leaf, request).await
    } else {
        let wanted = request.map(|request| Wanted::X509Svid(request.csr));
        take(&public, &headers, X509, wanted).await
    };
    answered(taken.and_then(|issued| encode_x509(&issued)))
}

/// One call, with the certificate that the handshake verified.
async fn renew(
    public: &Public,
    leaf: &CertificateDer<'static>,
    request: Result<X509SvidRequest, Error>,
) -> Result<Issued, Error> {
    verb(public.broker.clock.as_ref(), "recertify", async {
        let request = RecertifyRequest {
            leaf: leaf.clone(),
            csr: request?.csr,
        };
        public.broker.recertify(request).await
    })
    .await
}

/// One call, with the token, its proof and what is wanted.
async fn take(
    public: &Public,
    headers: &HeaderMap,
    path: &str,
    wanted: Result<Wanted, Error>,
) -> Result<Issued, Error> {
    verb(public.broker.clock.as_ref(), "svid", async {
        let (scheme, token) = present::token(headers)?;
        let proof = present::proof(headers, "POST", &public.broker.issuer, path)?;
        let request = ReadRequest {
            token,
            scheme,
            proof,
            wanted: wanted?,
        };
        public.broker.read(request).await
    })
    .await
}

fn answered(outcome: Result<Response, Error>) -> Response {
    outcome.unwrap_or_else(|error| problem::response(&error))
}

fn encode_x509(issued: &Issued) -> Result<Response, Error> {
    let other = || Error::new(Code::Internal, "not a certificate");
    let Product::X509Svid(made) = issued.product() else {
        return Err(other());
    };
    let CredentialKind::X509Svid(svid) = &issued.credential().kind else {
        return Err(other());
    };
    let body = X509SvidResponse {
        certificate: &made.chain,
        bundle: &made.bundle,
        spiffe_id: issued.lineage().identity.id().as_str(),
        serial: svid.serial.to_string(),
        id: issued.credential().id.to_string(),
        expires_at: issued.credential().expires_at.to_string(),
    };
    Ok(answer::unkept(body))
}

fn encode_jwt(issued: &Issued) -> Result<Response, Error> {
    let not_text = || Error::new(Code::Internal, "not an SVID");
    let Product::JwtSvid(svid) = issued.product() else {
        return Err(not_text());
    };
    let body = JwtSvidResponse {
        svid: svid.expose_str().ok_or_else(not_text)?,
        spiffe_id: issued.lineage().identity.id().as_str(),
        id: issued.credential().id.to_string(),
        expires_at: issued.credential().expires_at.to_string(),
    };
    Ok(answer::unkept(body))
}

/// OpenID Connect Discovery 1.0 §3, as far as a relying party of tokens without a login needs it.
async fn discovery(State(public): State<Arc<Public>>) -> Response {
    let svids = &public.broker.minter.svids;
    let algorithms: &[&str] = if svids.rsa.is_empty() {
        &["ES256"]
    } else {
        &["ES256", "RS256"]
    };
    answer::kept(json!({
        "issuer": svids.issuer.as_str(),
        "jwks_uri": format!("{}/jwks", svids.issuer.as_str()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "jti"],
    }))
}

async fn jwks(State(public): State<Arc<Public>>) -> Response {
    answer::kept(public.broker.minter.svid_jwks())
}

/// The trust domain's bundle (SPIFFE Trust Domain and Bundle §4), for whoever verifies by SPIFFE.
async fn bundle(State(public): State<Arc<Public>>) -> Response {
    let mut bundle = public.broker.minter.svid_bundle();
    if let Some(members) = bundle.as_object_mut() {
        members.insert(
            "spiffe_refresh_hint".to_owned(),
            KEY_SET_MAX_AGE.as_secs().into(),
        );
    }
    answer::kept(bundle)
}
