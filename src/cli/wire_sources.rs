//! Where the objects of the configured sources are made: who attests, who is asked, who is heard. What a
//! source needs of its vendor is chosen here, once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use writ_keys::Keyring;

use crate::attest::Attestors;
use crate::attest::generic::Generic;
use crate::attest::github::GithubActions;
use crate::attest::gitlab::GitlabCi;
use crate::attest::id_token::{IdTokens, IssuerKeys};
use crate::attest::jwks::Jwks;
use crate::attest::kubernetes::Kubernetes;
use crate::attest::oidc::OidcIssuer;
use crate::attest::operator::OperatorIssuer;
use crate::attest::preset::Preset;
use crate::attest::settings::{IssuerSettings, OperatorSettings, PeerRules};
use crate::attest::svid::{self, OwnSvid};
use crate::attest::token_review::TokenReview;
use crate::cli::wire::StartError;
use crate::config::Config;
use crate::context::desk::{DeskSettings, TokenScheme};
use crate::context::github::GithubApi;
use crate::context::gitlab::GitlabApi;
use crate::context::hook::{self, Hook};
use crate::context::json::JsonDesk;
use crate::context::json_hook::DeskHook;
use crate::context::kubernetes::KubernetesApi;
use crate::context::rest::RestApi;
use crate::context::settings::{ApiSettings, ApiToken, SourceSettings};
use crate::context::stored_token::StoredToken;
use crate::context::{ContextSource, Sources};
use crate::domain::grant::SecretPath;
use crate::domain::name::SourceName;
use crate::domain::url::BaseUrl;
use crate::outbound::{
    Form, Origin as Peerage, Outbound, OutboundSettings, Rules, Shown, Slot, Trust,
};
use crate::seams::Clock;

pub(super) fn outbound(config: &Config, clock: Arc<dyn Clock>) -> Outbound {
    // The lint has bounded plain HTTP to loopback already.
    let plain = config
        .issuers
        .iter()
        .any(|issuer| !issuer.issuer.is_https())
        || config
            .sources
            .iter()
            .any(|source| source.api.as_ref().is_some_and(|api| !api.url.is_https()))
        || config.desks.iter().any(|desk| !desk.api.url.is_https())
        || config
            .operators
            .iter()
            .any(|(_, operators)| !operators.issuer.is_https());
    Outbound::new(
        OutboundSettings {
            plain_http_on_loopback: plain,
            ..OutboundSettings::default()
        },
        clock,
    )
}

pub(super) fn attestors(
    config: &Config,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
    ring: &Arc<ArcSwap<Keyring>>,
    tokens: &mut Tokens,
) -> Result<Attestors, StartError> {
    let mut attestors = Attestors::default();
    for settings in &config.issuers {
        let issuer = settings.issuer.as_str().to_owned();
        attestors.register(
            issuer,
            &settings.vocabulary,
            Arc::new(attestor(settings, config, (outbound, clock), ring, tokens)?),
        );
    }
    Ok(attestors)
}

fn attestor(
    settings: &IssuerSettings,
    config: &Config,
    (outbound, clock): (&Outbound, &Arc<dyn Clock>),
    ring: &Arc<ArcSwap<Keyring>>,
    tokens: &mut Tokens,
) -> Result<OidcIssuer, StartError> {
    let trust_domain = config.broker.trust_domain.clone();
    let words = &settings.vocabulary;
    let preset: Box<dyn crate::attest::oidc::Preset> = match words.preset {
        Preset::GithubActions => Box::new(GithubActions { trust_domain }),
        Preset::GitlabCi => Box::new(GitlabCi { trust_domain }),
        Preset::Kubernetes => Box::new(Kubernetes { trust_domain }),
        Preset::JwtSvid => Box::new(OwnSvid { trust_domain }),
        Preset::Oidc => Box::new(Generic::new(trust_domain, words)),
    };
    let issuer = settings.issuer.as_str();
    let (keys, paths) = match words.preset {
        Preset::JwtSvid => (IssuerKeys::Own(Arc::clone(ring)), svid::paths(issuer)),
        Preset::GithubActions | Preset::GitlabCi | Preset::Kubernetes | Preset::Oidc => {
            let keys = keys(settings, outbound, clock)?;
            (IssuerKeys::Published(Arc::new(keys)), words.paths.clone())
        }
    };
    Ok(OidcIssuer {
        source: settings.name.clone(),
        tokens: IdTokens {
            issuer: settings.issuer.as_str().to_owned(),
            algorithms: settings.algorithms.clone(),
            max_age: settings.max_token_age,
            // Where a job has one token for as long as it runs, that may be longer than tokens are taken.
            may_outlive: !words.preset.mints_again(),
            keys,
        },
        audience: settings.audience.as_str().to_owned(),
        preset,
        paths,
        review: review(settings, config, outbound, tokens)?,
    })
}

/// The keys of an issuer of evidence.
pub(super) fn keys(
    settings: &IssuerSettings,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
) -> Result<Jwks, StartError> {
    let name = settings.name.as_str();
    jwks(name, &settings.issuer, &settings.peer, outbound, clock)
}

/// Whoever says who an operator is.
pub(super) fn operators(
    settings: &OperatorSettings,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<OperatorIssuer, StartError> {
    let outbound = outbound(config, Arc::clone(clock));
    let (issuer, peer) = (&settings.issuer, &settings.peer);
    let keys = jwks("operators", issuer, peer, &outbound, clock)?;
    Ok(OperatorIssuer {
        tokens: IdTokens {
            issuer: settings.issuer.as_str().to_owned(),
            algorithms: settings.algorithms.clone(),
            max_age: settings.max_token_age,
            may_outlive: true,
            keys: IssuerKeys::Published(Arc::new(keys)),
        },
        client_id: settings.client_id.clone(),
        scopes: settings.scopes.clone(),
        groups_claim: settings.groups_claim.clone(),
        rules: settings.roles.clone(),
    })
}

/// The keys of an issuer, found by its discovery document.
fn jwks(
    name: &str,
    issuer: &BaseUrl,
    peer: &PeerRules,
    outbound: &Outbound,
    clock: &Arc<dyn Clock>,
) -> Result<Jwks, StartError> {
    let issuer = issuer.as_str();
    let discovery = format!("{issuer}/.well-known/openid-configuration");
    let (origin, path) =
        Peerage::split(&discovery).map_err(|_| StartError::Address(issuer.to_owned()))?;
    let peer = outbound
        .client_for(origin, rules(peer, Shown::Nothing))
        .map_err(|why| StartError::Peer {
            name: name.to_owned(),
            why,
        })?;
    Ok(Jwks::new(issuer.to_owned(), path, peer, Arc::clone(clock)))
}

/// A cluster whose API is configured is asked about each of its tokens.
fn review(
    settings: &IssuerSettings,
    config: &Config,
    outbound: &Outbound,
    tokens: &mut Tokens,
) -> Result<Option<TokenReview>, StartError> {
    let own = |source: &&SourceSettings| source.name == settings.name;
    match (settings.vocabulary.preset, config.sources.iter().find(own)) {
        (Preset::Kubernetes, Some(source)) => {
            let api = api(source, outbound, tokens)?;
            Ok(api.map(|RestApi { peer, root }| TokenReview { peer, root }))
        }
        (
            Preset::GithubActions
            | Preset::GitlabCi
            | Preset::Kubernetes
            | Preset::JwtSvid
            | Preset::Oidc,
            _,
        ) => Ok(None),
    }
}

/// The API of a source, if it has one that is asked.
pub(super) fn api(
    source: &SourceSettings,
    outbound: &Outbound,
    tokens: &mut Tokens,
) -> Result<Option<RestApi>, StartError> {
    let Some(api) = &source.api else {
        return Ok(None);
    };
    rest(&source.name, api, form(source.preset), (outbound, tokens)).map(Some)
}

/// The API of a desk.
pub(super) fn desk_api(
    desk: &DeskSettings,
    outbound: &Outbound,
    tokens: &mut Tokens,
) -> Result<RestApi, StartError> {
    let form = form_of(&desk.scheme);
    rest(&desk.name, &desk.api, form, (outbound, tokens))
}

fn rest(
    name: &SourceName,
    api: &ApiSettings,
    form: Form,
    (outbound, tokens): (&Outbound, &mut Tokens),
) -> Result<RestApi, StartError> {
    let shown = match &api.token {
        ApiToken::Nothing => Shown::Nothing,
        ApiToken::Given(token) => Shown::This(form.of(token).map_err(|why| {
            let name = name.to_string();
            StartError::Token { name, why }
        })?),
        ApiToken::Stored(path) => Shown::Held(tokens.slot(name, path, form)),
    };
    let name = name.to_string();
    let (origin, root) = Peerage::split(api.url.as_str())
        .map_err(|_| StartError::Address(api.url.as_str().to_owned()))?;
    let peer = outbound
        .client_for(origin, rules(&api.peer, shown))
        .map_err(|why| StartError::Peer { name, why })?;
    let root = root.trim_end_matches('/').to_owned();
    Ok(RestApi { peer, root })
}

pub(super) fn sources(
    config: &Config,
    outbound: &Outbound,
    tokens: &mut Tokens,
) -> Result<Sources, StartError> {
    let mut sources: Sources = HashMap::new();
    for desk in &config.desks {
        let asked = JsonDesk::new(desk_api(desk, outbound, tokens)?, desk.case.clone());
        sources.insert(desk.name.clone(), Arc::new(asked));
    }
    for source in &config.sources {
        let Some(rest) = api(source, outbound, tokens)? else {
            continue;
        };
        let source_of: Arc<dyn ContextSource> = match source.preset {
            Preset::GithubActions => Arc::new(GithubApi(rest)),
            Preset::GitlabCi => Arc::new(GitlabApi(rest)),
            Preset::Kubernetes => Arc::new(KubernetesApi(rest)),
            // The lint takes no API for it: nothing says what could be read there.
            Preset::JwtSvid | Preset::Oidc => continue,
        };
        sources.insert(source.name.clone(), source_of);
    }
    Ok(sources)
}

/// How an API is shown its token.
fn form(preset: Preset) -> Form {
    match preset {
        Preset::GithubActions | Preset::Kubernetes | Preset::JwtSvid | Preset::Oidc => Form::Bearer,
        Preset::GitlabCi => Form::Header(http::HeaderName::from_static("private-token")),
    }
}

fn form_of(scheme: &TokenScheme) -> Form {
    match scheme {
        TokenScheme::Basic => Form::Basic,
        TokenScheme::Word(word) => Form::Word(word.clone()),
    }
}

/// The tokens that are stored in the ledger, one slot for each source and desk.
#[derive(Default)]
pub(super) struct Tokens(pub(super) Vec<StoredToken>);

impl Tokens {
    fn slot(&mut self, of: &SourceName, path: &SecretPath, form: Form) -> Slot {
        if let Some(known) = self.0.iter().find(|token| token.of() == of) {
            return known.slot();
        }
        let token = StoredToken::new(of.clone(), path.clone(), form);
        let slot = token.slot();
        self.0.push(token);
        slot
    }
}

fn rules(peer: &PeerRules, shown: Shown) -> Rules {
    let trust = peer
        .roots
        .clone()
        .map_or(Trust::Platform, Trust::PlatformAnd);
    Rules {
        networks: peer.networks.clone(),
        trust,
        shown,
        ..Rules::json()
    }
}

pub(super) fn hooks(config: &Config) -> BTreeMap<SourceName, Box<dyn Hook>> {
    let desks = config.desks.iter().filter_map(|desk| {
        let hook = DeskHook::new(desk.name.clone(), desk.hook.as_ref()?, desk.case.clone());
        let hook: Box<dyn Hook> = Box::new(hook);
        Some((desk.name.clone(), hook))
    });
    let with_secrets = config
        .sources
        .iter()
        .filter(|source| !source.webhook_secrets.is_empty());
    with_secrets
        .filter_map(|source| {
            let name = source.name.clone();
            let hook = hook::of(source.preset, name.clone(), &source.webhook_secrets)?;
            Some((name, hook))
        })
        .chain(desks)
        .collect()
}
