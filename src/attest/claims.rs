//! What every preset asks of claims.

use std::collections::BTreeMap;

use crate::domain::profile::Claims;

/// A claim that must be there.
pub(super) fn text<'a>(claims: &'a Claims, name: &str) -> Result<&'a str, String> {
    claims
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| format!("`{name}` is missing"))
}

/// A claim that must be there and be an id: digits only, so that it is one segment of a name.
pub(super) fn number<'a>(claims: &'a Claims, name: &str) -> Result<&'a str, String> {
    let value = text(claims, name)?;
    let plain = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    if plain {
        Ok(value)
    } else {
        Err(format!("`{name}` is not a number"))
    }
}

/// Those of the named claims that are there.
pub(super) fn fixed(claims: &Claims, names: &[&str]) -> BTreeMap<String, String> {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), claims.get(*name)?.clone())))
        .collect()
}
