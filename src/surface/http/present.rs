//! What a request shows in its headers: tokens, proofs, client credentials. Each is taken in one
//! form only, and none is ever repeated in an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use url::Url;

use crate::broker::Presented;
use crate::broker::read::Scheme;
use crate::domain::secret::Secret;
use crate::error::{Code, Error};

/// The DPoP proof of a request to `path`, if it carries one. More than one header is refused
/// (RFC 9449 §4.3 check 1).
pub fn proof(
    headers: &HeaderMap,
    method: &'static str,
    base: &Url,
    path: &str,
) -> Result<Option<Presented>, Error> {
    let mut proofs = headers.get_all("dpop").iter();
    let (first, second) = (proofs.next(), proofs.next());
    let refuse = |text| Error::new(Code::ProofInvalid, text);
    if second.is_some() {
        return Err(refuse("the request carries more than one DPoP header"));
    }
    let Some(first) = first else { return Ok(None) };
    let proof = first
        .to_str()
        .map_err(|_| refuse("the DPoP header is not text"))?
        .to_owned();
    Ok(Some(Presented {
        proof,
        method,
        url: at(base, path),
    }))
}

/// The broker's own URL of a path, as callers know it: the issuer's, with the path below it.
pub fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let root = base.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{root}{path}"));
    url
}

/// The access token of a request, with the scheme that it came under (RFC 6750 §2.1, RFC 9449 §7.1).
pub fn token(headers: &HeaderMap) -> Result<(Scheme, Secret), Error> {
    let refuse = || {
        Error::new(
            Code::TokenInvalid,
            "the request needs an access token: Authorization: DPoP … or Bearer …",
        )
    };
    let (scheme, value) = credentials(headers, &header::AUTHORIZATION).ok_or_else(refuse)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "dpop" => Scheme::Dpop,
        "bearer" => Scheme::Bearer,
        _ => return Err(refuse()),
    };
    Ok((scheme, Secret::from(value.to_owned())))
}

/// The client id and secret of HTTP Basic, form-decoded as RFC 6749 §2.3.1 wants, and as they stand,
/// because clients do both.
pub fn basic(headers: &HeaderMap, name: &HeaderName) -> Option<[(String, Secret); 2]> {
    let (scheme, value) = credentials(headers, name)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some([
        (id.to_owned(), secret.to_owned().into()),
        (form_decoded(id), form_decoded(secret).into()),
    ])
}

/// A header comes more than once, or is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// A header that comes at most once, and is text.
pub fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Unfit> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unfit),
        (Some(_), Some(_)) => Err(Unfit),
    }
}

fn credentials<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<(&'a str, &'a str)> {
    let value = single(headers, name.as_str()).ok()??;
    value
        .split_once(' ')
        .map(|(scheme, value)| (scheme, value.trim()))
}

fn form_decoded(text: &str) -> String {
    let pair = format!("v={text}");
    let decoded = url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned());
    decoded.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_proofs_or_two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append("dpop", "a".parse().unwrap());
        headers.append("dpop", "b".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer a".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer b".parse().unwrap());
        let base = Url::parse("https://writ.example/").unwrap();
        assert_eq!(
            proof(&headers, "POST", &base, "/x").unwrap_err().code(),
            Code::ProofInvalid
        );
        assert_eq!(token(&headers).unwrap_err().code(), Code::TokenInvalid);
    }

    #[test]
    fn a_path_lies_below_the_issuers_own() {
        let base = Url::parse("https://writ.example/tenant").unwrap();
        assert_eq!(
            at(&base, "/oauth2/token").as_str(),
            "https://writ.example/tenant/oauth2/token"
        );
        let root = Url::parse("https://writ.example").unwrap();
        assert_eq!(
            at(&root, "/oauth2/token").as_str(),
            "https://writ.example/oauth2/token"
        );
    }

    #[test]
    fn basic_credentials_are_read_encoded_and_plain() {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode("billing:a%3Ab:c"));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        let [plain, decoded] = basic(&headers, &header::AUTHORIZATION).unwrap();
        assert_eq!(
            (plain.0.as_str(), plain.1.expose_str()),
            ("billing", Some("a%3Ab:c"))
        );
        assert_eq!(
            (decoded.0.as_str(), decoded.1.expose_str()),
            ("billing", Some("a:b:c"))
        );
    }
}
