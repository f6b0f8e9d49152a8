//! The desks: where cases are read, and what their documents mean. What nobody has said of a field, who
//! can write it above all, is not guessed.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::check::{Scene, distinct};
use super::findings::Findings;
use super::problem::Rule;
use super::raw::{RawCase, RawDesk, RawDeskApi, RawDeskWebhook, RawField, RawSource, Text};
use super::{api, files, source};
use crate::attest::settings::PeerRules;
use crate::context::desk::{
    CaseMapping, DeskHookSettings, DeskSettings, FieldMapping, StatusMapping, TokenScheme, Writer,
};
use crate::context::settings::{ApiSettings, HookSecret};
use crate::domain::case::CaseStatus;

pub(super) fn check(
    raw: &[Spanned<RawDesk>],
    sources: &[Spanned<RawSource>],
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Vec<DeskSettings> {
    // Both lead the names of tasks.
    let issuers = sources.iter().map(|source| &source.get_ref().name);
    let desks = raw.iter().map(|desk| &desk.get_ref().name);
    let names: BTreeSet<_> = issuers.map(Spanned::get_ref).collect();
    for desk in desks.clone().filter(|desk| names.contains(desk.get_ref())) {
        let what = format!("a source has the name `{desk}`");
        findings.refuse(desk.span(), Rule::Duplicate, what);
    }
    distinct(desks, "desk", findings);
    let checked = raw.iter();
    checked
        .filter_map(|desk| one(desk.get_ref(), sources, scene, findings))
        .collect()
}

fn one(
    raw: &RawDesk,
    sources: &[Spanned<RawSource>],
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<DeskSettings> {
    let name = findings.parsed(&raw.name, Rule::Name);
    let peer = source::peer_rules(&raw.allowed_networks, raw.ca_file.as_ref(), findings);
    let scheme = scheme(raw.api.get_ref(), findings);
    let api = api(&raw.api, peer, scene, findings);
    let case = case(&raw.case, sources, findings);
    let hook = raw.webhook.as_ref().map(|raw| hook(raw, findings));
    Some(DeskSettings {
        name: name?,
        api: api?,
        scheme: scheme?,
        case: case?,
        hook: match hook {
            Some(checked) => Some(checked?),
            None => None,
        },
    })
}

fn api(
    section: &Spanned<RawDeskApi>,
    peer: PeerRules,
    scene: &Scene,
    findings: &mut Findings<'_>,
) -> Option<ApiSettings> {
    let raw = section.get_ref();
    let named = api::Named {
        section: section.span(),
        url: &raw.url,
        token_file: raw.token_file.as_ref(),
        token_secret: raw.token_secret.as_ref(),
    };
    api::check(&named, peer, scene, findings)
}

fn scheme(raw: &RawDeskApi, findings: &mut Findings<'_>) -> Option<TokenScheme> {
    let Some(text) = &raw.token_scheme else {
        return Some(TokenScheme::Word("Bearer".to_owned()));
    };
    let word = text.get_ref();
    if word.eq_ignore_ascii_case("basic") {
        return Some(TokenScheme::Basic);
    }
    let plain = (1..=32).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        let what = "a scheme is one word, as in Bearer, Basic or Token";
        findings.refuse(text.span(), Rule::Value, what);
        return None;
    }
    Some(TokenScheme::Word(word.clone()))
}

fn case(
    raw: &RawCase,
    sources: &[Spanned<RawSource>],
    findings: &mut Findings<'_>,
) -> Option<CaseMapping> {
    let path = findings.parsed(&raw.path, Rule::Template);
    let id = findings.parsed(&raw.id, Rule::Value);
    let version = raw.version.as_ref();
    let version = version.map(|pointer| findings.parsed(pointer, Rule::Value));
    let status = status(raw, findings);
    let mut fields = BTreeMap::new();
    for (name, field) in &raw.field {
        if let Some(mapping) = self::field(name, field, sources, findings) {
            fields.insert(name.get_ref().clone(), mapping);
        }
    }
    for prefix in &raw.id_prefixes {
        let text = prefix.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(plain) {
            let what = "no id of a case begins like this: ids are made of A-Z a-z 0-9 . _ -";
            findings.refuse(prefix.span(), Rule::Value, what);
        }
    }
    let prefixes = raw.id_prefixes.iter();
    Some(CaseMapping {
        path: path?,
        id_prefixes: prefixes.map(|prefix| prefix.get_ref().clone()).collect(),
        id: id?,
        version: match version {
            Some(checked) => Some(checked?),
            None => None,
        },
        status: status?,
        fields,
    })
}

/// The desk's words, each with one meaning.
fn status(raw: &RawCase, findings: &mut Findings<'_>) -> Option<StatusMapping> {
    let section = raw.status.get_ref();
    let at = findings.parsed(&section.at, Rule::Value);
    if section.open.is_empty() {
        let what = "no word means that a case is open";
        findings.refuse(raw.status.span(), Rule::EmptyList, what);
    }
    let mut words = BTreeMap::new();
    for (status, texts) in [
        (CaseStatus::Open, &section.open),
        (CaseStatus::Pending, &section.pending),
        (CaseStatus::Closed, &section.closed),
        (CaseStatus::Final, &section.last),
    ] {
        for text in texts {
            if words.insert(text.get_ref().clone(), status).is_some() {
                let what = format!("{:?} has two meanings", text.get_ref());
                findings.refuse(text.span(), Rule::Duplicate, what);
            }
        }
    }
    Some(StatusMapping { at: at?, words })
}

fn field(
    name: &Text,
    raw: &RawField,
    sources: &[Spanned<RawSource>],
    findings: &mut Findings<'_>,
) -> Option<FieldMapping> {
    let text = name.get_ref();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(plain);
    if !fits || TAKEN.contains(&text.as_str()) {
        let what = "a field is named by small letters, digits and `_`, and not `status`";
        findings.refuse(name.span(), Rule::Value, what);
    }
    let at = findings.parsed(&raw.at, Rule::Value);
    let writers = raw.writable_by.as_ref();
    let writable_by = writers.map(|texts| writers_of(texts, sources, findings));
    Some(FieldMapping {
        at: at?,
        writable_by,
    })
}

/// A writer is the name of a source, or the audience of a token: a name has no colon, and a service that
/// an audience names has one, or is called like no source.
fn writers_of(
    texts: &[Text],
    sources: &[Spanned<RawSource>],
    findings: &mut Findings<'_>,
) -> BTreeSet<Writer> {
    let is_source = |text: &Text| {
        let mut names = sources.iter().map(|source| source.get_ref().name.get_ref());
        names.any(|name| name == text.get_ref())
    };
    let mut all = BTreeSet::new();
    for text in texts {
        if is_source(text) {
            all.extend(findings.parsed(text, Rule::Name).map(Writer::Source));
        } else {
            all.extend(findings.parsed(text, Rule::Value).map(Writer::Token));
        }
    }
    all
}

fn hook(raw: &RawDeskWebhook, findings: &mut Findings<'_>) -> Option<DeskHookSettings> {
    let case = findings.parsed(&raw.case, Rule::Value);
    if raw.secret_files.get_ref().is_empty() {
        let what = "no secret is named that a webhook could be signed with";
        findings.refuse(raw.secret_files.span(), Rule::EmptyList, what);
    }
    let mut secrets = Vec::new();
    for file in raw.secret_files.get_ref() {
        let Some(secret) = files::secret(findings, file) else {
            continue;
        };
        match HookSecret::either(secret) {
            Ok(secret) => secrets.push(secret),
            Err(bad) => findings.refuse(file.span(), Rule::Value, bad.to_string()),
        }
    }
    Some(DeskHookSettings {
        secrets,
        case: case?,
    })
}

/// What a case has beside its fields.
const TAKEN: [&str; 1] = ["status"];
