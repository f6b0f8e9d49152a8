//! What every preset asks of claims, and makes of them.

use std::collections::BTreeMap;

use crate::attest::Related;
use crate::domain::context::{Locator, RecordKey, RecordKind};
use crate::domain::identity::{Identity, Selector, TrustDomain, escape_segment};
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;

/// A CI job as a workload: named by ids, and by its environment where it has one; tied to those of the
/// `names` that its evidence carries.
pub(super) fn workload(
    trust_domain: &TrustDomain,
    source: &SourceName,
    ids: &[&str],
    claims: &Claims,
    names: &[&str],
) -> Result<(Identity, Vec<Selector>), String> {
    let mut segments = vec![source.as_str()];
    segments.extend(ids);
    let environment = claims.get("environment").map(|name| escape_segment(name));
    if let Some(environment) = &environment {
        segments.extend(["environment", environment.as_str()]);
    }
    let id = trust_domain.id(&segments).map_err(|e| e.to_string())?;
    let identity = Identity::new(id, fixed(claims, names));
    let selectors = Selector::all(source.as_str(), identity.fixed());
    Ok((identity, selectors))
}

/// A record that the evidence names, with where to find it. It proves nothing of it yet.
pub(super) fn related(
    source: &SourceName,
    kind: RecordKind,
    id: String,
    locate: &[(&str, &str)],
) -> Related {
    let locate = locate.iter();
    Related {
        key: RecordKey {
            source: source.clone(),
            kind,
            id,
        },
        locate: Locator(
            locate
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        ),
        proven: None,
    }
}

/// The same, with what its evidence calls it besides.
pub(super) fn called(mut record: Related, claims: &Claims, names: &[&str]) -> Related {
    let known = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), claims.get(*name)?.clone())));
    record.locate.0.extend(known);
    record
}

/// The id of an environment's record: the immutable id of its repository, and its name.
pub(super) fn environment_record(repository_id: &str, environment: &str) -> String {
    format!("{repository_id}/{}", escape_segment(environment))
}

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

/// A claim that must be there and be a uid in the form of RFC 4122 §3, in lower case.
pub(super) fn uid<'a>(claims: &'a Claims, name: &str) -> Result<&'a str, String> {
    let value = text(claims, name)?;
    if is_uid(value) {
        Ok(value)
    } else {
        Err(format!("`{name}` is not a uid"))
    }
}

/// Whether a text is a uid as a cluster writes it.
pub(super) fn is_uid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

/// Those of the named claims that are there.
fn fixed(claims: &Claims, names: &[&str]) -> BTreeMap<String, String> {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), claims.get(*name)?.clone())))
        .collect()
}
