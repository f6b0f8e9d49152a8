//! An API that is asked: where it is, and with which token.

use std::ops::Range;

use super::check::Scene;
use super::files;
use super::findings::Findings;
use super::problem::Rule;
use super::raw::Text;
use super::source;
use crate::attest::settings::PeerRules;
use crate::context::settings::{ApiSettings, ApiToken};
use crate::domain::grant::SecretPath;

/// What a section says of an API.
pub(super) struct Named<'a> {
    pub(super) section: Range<usize>,
    pub(super) url: &'a Text,
    pub(super) token_file: Option<&'a Text>,
    pub(super) token_secret: Option<&'a Text>,
}

pub(super) fn check(
    named: &Named<'_>,
    peer: PeerRules,
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<ApiSettings> {
    let url = source::url(named.url, scene, findings);
    let token = token(named, findings);
    Some(ApiSettings {
        url: url?,
        token: token?,
        peer,
    })
}

fn token(named: &Named<'_>, findings: &mut Findings<'_>) -> Option<ApiToken> {
    match (named.token_file, named.token_secret) {
        (Some(file), None) => files::secret(findings, file).map(ApiToken::Given),
        (None, Some(path)) => {
            let stored: SecretPath = findings.parsed(path, Rule::Value)?;
            if !stored.is_own() {
                let what = "a profile could grant a workload the token that the broker asks with";
                findings.refuse(path.span(), Rule::TokenSecretPlace, what);
            }
            Some(ApiToken::Stored(stored))
        }
        (Some(_), Some(path)) => {
            let what = "both `token_file` and `token_secret` are given";
            findings.refuse(path.span(), Rule::Contradiction, what);
            None
        }
        (None, None) => {
            let what = "the API is asked without a token";
            findings.warn(named.section.clone(), Rule::ApiWithoutToken, what);
            Some(ApiToken::Nothing)
        }
    }
}
