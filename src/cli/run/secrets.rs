//! Secrets for the command: which, where to, and which member of them.

use std::str::FromStr;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::domain::grant::SecretPath;
use crate::domain::secret::Secret;

/// `NAME=path#field`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretArg {
    pub(super) name: String,
    pub(super) path: SecretPath,
    /// A member of the value, which has to be a JSON object then.
    pub(super) field: Option<String>,
}

/// Why an argument names no secret. The argument is repeated by the caller: it holds a name and a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSecretArg {
    #[error("write NAME=path, or NAME=path#field")]
    Form,
    #[error("{0}")]
    Name(#[from] BadVariable),
    #[error("the path is not one of a secret")]
    Path,
    #[error("the field behind # is empty")]
    Field,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a variable's name is of A-Z a-z 0-9 _ and begins with no digit")]
pub(super) struct BadVariable;

/// Why a secret has no such field. Nothing of its value is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoField {
    #[error("its value is not a JSON object, so it has no fields")]
    NotObject,
    #[error("its value has no such field")]
    Absent,
}

impl SecretArg {
    /// The part of the secret's value that was asked for: a text as it is, any other JSON as JSON.
    pub(super) fn pick(&self, value: Secret) -> Result<Secret, NoField> {
        let Some(field) = &self.field else {
            return Ok(value);
        };
        let parsed: Value =
            serde_json::from_slice(value.expose()).map_err(|_| NoField::NotObject)?;
        let Value::Object(mut members) = parsed else {
            return Err(NoField::NotObject);
        };
        match members.remove(field) {
            None | Some(Value::Null) => Err(NoField::Absent),
            Some(Value::String(text)) => Ok(Secret::from(text)),
            Some(
                other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)),
            ) => Ok(Secret::from(Zeroizing::new(other.to_string().into_bytes()))),
        }
    }
}

impl FromStr for SecretArg {
    type Err = BadSecretArg;

    fn from_str(text: &str) -> Result<Self, BadSecretArg> {
        let (name, source) = text.split_once('=').ok_or(BadSecretArg::Form)?;
        let (path, field) = match source.split_once('#') {
            Some((_, "")) => return Err(BadSecretArg::Field),
            Some((path, field)) => (path, Some(field.to_owned())),
            None => (source, None),
        };
        Ok(Self {
            name: variable(name)?,
            path: path.parse().map_err(|_| BadSecretArg::Path)?,
            field,
        })
    }
}

/// The name of an environment variable, in the portable form (POSIX.1-2017, Base Definitions 3.235).
pub(super) fn variable(text: &str) -> Result<String, BadVariable> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit_first = text.starts_with(|c: char| c.is_ascii_digit());
    if text.is_empty() || digit_first || !text.chars().all(plain) {
        return Err(BadVariable);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(text: &str) -> SecretArg {
        text.parse().unwrap()
    }

    fn picked(text: &str, value: &str) -> Result<String, NoField> {
        let picked = arg(text).pick(Secret::from(value.to_owned()))?;
        Ok(picked.expose_str().unwrap().to_owned())
    }

    #[test]
    fn a_name_a_path_and_a_field_are_told_apart() {
        let whole = arg("DB=ci/prod/db");
        assert_eq!(
            (whole.name.as_str(), whole.path.as_str()),
            ("DB", "ci/prod/db")
        );
        assert_eq!(whole.field, None);
        assert_eq!(arg("_a1=x#user=name").field.as_deref(), Some("user=name"));
    }

    #[test]
    fn what_names_no_secret_is_refused() {
        for (text, why) in [
            ("ci/prod/db", BadSecretArg::Form),
            ("=ci/prod/db", BadSecretArg::Name(BadVariable)),
            ("1A=ci/prod/db", BadSecretArg::Name(BadVariable)),
            ("A-B=ci/prod/db", BadSecretArg::Name(BadVariable)),
            ("A=", BadSecretArg::Path),
            ("A=../x", BadSecretArg::Path),
            ("A=ci/prod/db#", BadSecretArg::Field),
        ] {
            assert_eq!(text.parse::<SecretArg>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_field_is_taken_out_of_an_object() {
        let value = r#"{"password":"p\"w","port":5432,"tags":["a"],"none":null}"#;
        assert_eq!(picked("A=x#password", value).unwrap(), "p\"w");
        assert_eq!(picked("A=x#port", value).unwrap(), "5432");
        assert_eq!(picked("A=x#tags", value).unwrap(), r#"["a"]"#);
        assert_eq!(picked("A=x", value).unwrap(), value);
        assert_eq!(picked("A=x#none", value), Err(NoField::Absent));
        assert_eq!(picked("A=x#other", value), Err(NoField::Absent));
    }

    #[test]
    fn a_value_without_fields_is_not_repeated_in_the_complaint() {
        for value in ["canary", "\"canary\"", "[\"canary\"]"] {
            let error = picked("A=x#f", value).unwrap_err();
            assert_eq!(error, NoField::NotObject);
            assert!(!error.to_string().contains("canary"));
        }
    }
}
