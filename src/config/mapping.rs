//! The claims of an issuer that is known by nothing but its configuration. What a built-in preset knows
//! of a vendor is asked for here: ids, the run, the instance, and what is fixed for the job.

use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawClaim, RawSource, Text};
use crate::attest::preset::{ClaimNature, Preset};
use crate::attest::vocabulary::{Mapped, Vocabulary};

/// What the claims of a source are good for. What is wrong with them is reported by [`check`].
pub(super) fn vocabulary(raw: &RawSource, preset: Preset) -> Vocabulary {
    if preset != Preset::Oidc {
        return Vocabulary::of(preset);
    }
    let claims = raw.claims.iter();
    let mapped: Vec<Mapped> = claims
        .filter_map(|(name, claim)| one(name, claim))
        .collect();
    Vocabulary::mapped(&mapped)
}

pub(super) fn check(raw: &RawSource, preset: Preset, findings: &mut Findings<'_>) {
    if preset != Preset::Oidc {
        for name in raw.claims.keys() {
            let what = "this vendor's claims are known: only `oidc` takes a mapping";
            findings.refuse(name.span(), Rule::Contradiction, what);
        }
        return;
    }
    for (name, claim) in &raw.claims {
        claim_of(name, claim, findings);
    }
    // A run and an instance are needed where a profile names tasks by them, and looked for there.
    let words = vocabulary(raw, preset);
    if words.of_nature(ClaimNature::Id).next().is_none() {
        let what = "no claim is mapped as id";
        findings.refuse(raw.preset.span(), Rule::MappingIncomplete, what);
    }
}

fn claim_of(name: &Text, claim: &Spanned<RawClaim>, findings: &mut Findings<'_>) {
    let raw = claim.get_ref();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let fits = (1..=63).contains(&name.get_ref().len()) && name.get_ref().bytes().all(plain);
    if !fits {
        let what = "a claim is named by small letters, digits and `_`";
        findings.refuse(name.span(), Rule::Value, what);
    }
    let path = path(name, raw);
    if path.is_none() {
        let at = raw.at.as_ref().map_or_else(|| name.span(), Text::span);
        let what = "`at` is not a JSON pointer such as \"/run/id\"";
        findings.refuse(at, Rule::Value, what);
    }
    let first = path.as_ref().and_then(|path| path.first());
    for own in [Some(name.get_ref()), first].into_iter().flatten() {
        let token = Vocabulary::of(Preset::Oidc).nature(own) == Some(ClaimNature::Token);
        if !token {
            continue;
        }
        if own == "sub" {
            let what = "`sub` is made of names by its issuer's rules, and no id";
            findings.refuse(name.span(), Rule::MatchOnSubject, what);
        } else {
            let what = format!("`{own}` belongs to the token, not to the job");
            findings.refuse(name.span(), Rule::MatchOnToken, what);
        }
        break;
    }
    let words = &raw.is.get_ref().0;
    if words.is_empty() || words.iter().any(|word| nature(word).is_none()) {
        let names: Vec<_> = NATURES.iter().map(|(word, _)| *word).collect();
        let what = format!("`is` is none of: {}", names.join(", "));
        findings.refuse(raw.is.span(), Rule::Value, what);
    }
}

fn one(name: &Text, claim: &Spanned<RawClaim>) -> Option<Mapped> {
    let raw = claim.get_ref();
    let natures = raw.is.get_ref().0.iter();
    Some(Mapped {
        name: name.get_ref().clone(),
        path: path(name, raw)?,
        natures: natures.filter_map(|word| nature(word)).collect(),
    })
}

/// The members that lead to a claim (RFC 6901 §3 and §4); without `at` its own name.
fn path(name: &Text, raw: &RawClaim) -> Option<Vec<String>> {
    let Some(pointer) = &raw.at else {
        return Some(vec![name.get_ref().clone()]);
    };
    let members = pointer.get_ref().strip_prefix('/')?.split('/');
    let path: Vec<String> = members
        .map(|member| member.replace("~1", "/").replace("~0", "~"))
        .collect();
    path.iter().all(|member| !member.is_empty()).then_some(path)
}

fn nature(word: &str) -> Option<ClaimNature> {
    let found = NATURES.iter().find(|(own, _)| *own == word);
    found.map(|(_, nature)| *nature)
}

const NATURES: [(&str, ClaimNature); 6] = [
    ("id", ClaimNature::Id),
    ("run", ClaimNature::Run),
    ("instance", ClaimNature::Instance),
    ("label", ClaimNature::Label),
    ("text", ClaimNature::Text),
    ("name", ClaimNature::Name),
];
