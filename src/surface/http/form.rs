//! `application/x-www-form-urlencoded` bodies as OAuth reads them (RFC 6749 §3.1, §3.2): an empty
//! parameter is an omitted one, an unknown one is ignored, and one that comes twice is refused,
//! unless it is one of those that may.

use std::collections::BTreeMap;

use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::error::{Code, Error};

/// A parsed form.
#[derive(Debug)]
pub struct Form(BTreeMap<String, Vec<String>>);

impl Form {
    pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Error> {
        if !media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(malformed(
                "the body has to be application/x-www-form-urlencoded",
            ));
        }
        if body.len() > MAX_FORM {
            return Err(malformed("the form is too large"));
        }
        let mut form: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (count, (name, value)) in url::form_urlencoded::parse(body).enumerate() {
            if count >= MAX_PARAMETERS {
                return Err(malformed("the form has too many parameters"));
            }
            if !value.is_empty() {
                form.entry(name.into_owned())
                    .or_default()
                    .push(value.into_owned());
            }
        }
        Ok(Self(form))
    }

    /// A parameter that may come once.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Error> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some([_, ..]) => Err(malformed("a parameter comes twice").with_field(name)),
        }
    }

    /// A parameter that must come, once.
    pub fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.one(name)?
            .ok_or_else(|| malformed("a parameter is missing").with_field(name))
    }

    /// A parameter that may come any number of times.
    pub fn many(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }
}

/// A body of JSON; `None` where it is not of this form.
pub fn json_body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<T>, Error> {
    if !media_type(headers).eq_ignore_ascii_case("application/json") {
        return Err(malformed("the body has to be application/json"));
    }
    Ok(serde_json::from_slice(body).ok())
}

/// What the body is said to be, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.split(';').next().unwrap_or("").trim()
}

/// A request that cannot be read. The text never repeats a value.
pub fn malformed(text: &'static str) -> Error {
    Error::new(Code::RequestMalformed, text)
}

/// The largest honest form holds two tokens of a few kilobytes.
const MAX_FORM: usize = 64 * 1024;

const MAX_PARAMETERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Form, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8"
                .parse()
                .unwrap(),
        );
        Form::parse(&headers, body.as_bytes())
    }

    /// A34: missing, empty and repeated are told apart, and nothing of a value is repeated.
    #[test]
    fn a34_a_parameter_that_comes_twice_is_refused_and_an_empty_one_is_omitted() {
        let form =
            parse("subject_token=canary-1&subject_token=canary-2&scope=&audience=a&audience=b")
                .unwrap();
        let twice = form.required("subject_token").unwrap_err();
        assert_eq!(twice.code(), Code::RequestMalformed);
        assert_eq!(twice.field(), Some("subject_token"));
        assert!(!twice.to_string().contains("canary"));
        assert_eq!(form.one("scope").unwrap(), None);
        assert_eq!(form.many("audience").count(), 2);
        form.required("scope").unwrap_err();
    }

    #[test]
    fn other_media_types_and_oversize_forms_are_refused() {
        let mut headers = HeaderMap::new();
        Form::parse(&headers, b"a=b").unwrap_err();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        Form::parse(&headers, b"a=b").unwrap_err();
        parse(&format!("a={}", "x".repeat(MAX_FORM))).unwrap_err();
        parse(&"a=1&".repeat(65)).unwrap_err();
    }
}
