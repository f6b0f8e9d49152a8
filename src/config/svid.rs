//! How JWT-SVIDs are made: whoever verifies them finds their keys at their issuer, which may be a public
//! bucket where the broker itself is not public.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use writ_keys::ImportedRsa;

use super::check::{self, Scene};
use super::files;
use super::findings::{Bounds, Findings};
use super::problem::Rule;
use super::raw::{RawSvid, Text};
use crate::domain::grant::Audience;
use crate::domain::url::BaseUrl;
use crate::mint::settings::SvidSettings;

pub(super) fn check(
    section: Option<&Spanned<RawSvid>>,
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<SvidSettings> {
    let own = format!("{}/svid", scene.issuer.as_ref()?.as_str());
    let Some(raw) = section.map(Spanned::get_ref) else {
        return Some(SvidSettings {
            issuer: own.parse().ok()?,
            rsa: Vec::new(),
            rs256: BTreeSet::new(),
            publish_ahead: Duration::ZERO,
        });
    };
    let issuer = match &raw.issuer {
        Some(text) => elsewhere(text, scene, findings),
        None => own.parse().ok(),
    };
    let bounds = Bounds {
        default: if raw.issuer.is_some() {
            COPIED
        } else {
            PUBLISH_AHEAD.least
        },
        ..PUBLISH_AHEAD
    };
    let publish_ahead = findings.duration(raw.publish_ahead.as_ref(), &bounds);
    let keys = raw.rsa_key_files.iter();
    let rsa: Vec<_> = keys.filter_map(|name| key(name, findings)).collect();
    let rs256: BTreeSet<Audience> = check::set(&raw.rs256_audiences, Rule::Value, findings);
    if let (Some(first), []) = (raw.rs256_audiences.first(), raw.rsa_key_files.as_slice()) {
        let what = "there is no RSA key that could sign for it";
        findings.refuse(first.span(), Rule::RsaWithoutKey, what);
    }
    Some(SvidSettings {
        issuer: issuer?,
        rsa,
        rs256,
        publish_ahead: publish_ahead?,
    })
}

/// An issuer of SVIDs that is not below the broker's own.
fn elsewhere(text: &Text, scene: &Scene, findings: &mut Findings<'_>) -> Option<BaseUrl> {
    let issuer: BaseUrl = findings.parsed(text, Rule::Url)?;
    if !(issuer.is_https() || scene.private && issuer.is_loopback()) {
        findings.refuse(text.span(), Rule::IssuerScheme, "the issuer is not https");
    }
    if scene.issuer.as_ref() == Some(&issuer) {
        let what = "SVIDs would have the issuer of access tokens, and be taken for them";
        findings.refuse(text.span(), Rule::SvidIssuerShared, what);
    }
    Some(issuer)
}

fn key(name: &Text, findings: &mut Findings<'_>) -> Option<Arc<ImportedRsa>> {
    let pem = files::secret(findings, name)?;
    match ImportedRsa::from_pem(pem.expose()) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            findings.refuse(name.span(), Rule::RsaKey, error.to_string());
            None
        }
    }
}

const PUBLISH_AHEAD: Bounds = Bounds {
    key: "publish_ahead",
    least: Duration::from_mins(1),
    most: Duration::from_hours(24 * 7),
    default: Duration::from_mins(1),
    rule: Rule::OutOfRange,
};

/// Where keys are copied to, they are old twice: until they are copied, and in the verifier's cache.
const COPIED: Duration = Duration::from_hours(24);
