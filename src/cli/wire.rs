//! Where the objects of a server are made and handed to one another. Nothing else builds them, and
//! nothing here decides anything.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use url::Url;
use writ_keys::{CheckValue, CustodyError, KeyEncryptionKey, Keyring, Maker, Pki};

use crate::broker::Broker;
use crate::broker::api_tokens::ApiTokens;
use crate::broker::certified::SeenCertificates;
use crate::broker::met::Met;
use crate::broker::observe::Rereads;
use crate::broker::recent::SeenSessions;
use crate::broker::refuse::DenialMemory;
use crate::broker::repeat::Turns;
use crate::broker::rules::{InForce, Rules};
use crate::broker::settings::KeyLocation;
use crate::broker::token::SeenTokens;
use crate::cli::config::policies;
use crate::cli::wire_sources::{Tokens, attestors, hooks, outbound, sources};
use crate::config::Config;
use crate::context::cache::FactCache;
use crate::context::observe::Observer;
use crate::decide::load::PolicyError;
use crate::domain::grant::Audience;
use crate::domain::identity::TrustDomain;
use crate::domain::ids::Realm;
use crate::domain::url::BaseUrl;
use crate::jobs::revocations::Revocations;
use crate::jobs::rotation::Rotation;
use crate::jobs::sequencer::Sequencer;
use crate::ledger::checkpoint::Origin;
use crate::mint::Minter;
use crate::mint::rings::{SharedRing, first_keys};
use crate::mint::x509::board::Board;
use crate::outbound::{CredentialError, SetupError};
use crate::seams::{Clock, Entropy};
use crate::store::sqlite::{OpenError, Opened};
use crate::store::{Down, Settings, Store};
use crate::surface::http::public::Public;
use crate::surface::http::{pki, present};

/// The objects of a server.
pub struct Wired {
    pub broker: Arc<Broker>,
    pub public: Arc<Public>,
    pub rereads: Arc<Rereads>,
    pub sequencer: Sequencer<dyn Store>,
    pub rotation: Rotation,
    pub revocations: Revocations,
    /// Cancelled when the store cannot know any more what is durable.
    pub fatal: CancellationToken,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the database cannot be opened: {0}")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Down(#[from] Down),
    #[error("the keys cannot be used: {0}")]
    Keys(#[from] CustodyError),
    #[error("the key-encryption key is not the one that this database was made with")]
    OtherKey,
    #[error("there is a database but no key-encryption key at {}: restore the key, or start with an empty data directory", .0.display())]
    KeyLost(PathBuf),
    #[error("the policies do not load: {0}")]
    Policies(#[from] PolicyError),
    #[error("`{name}` cannot be reached as configured: {why}")]
    Peer { name: String, why: SetupError },
    #[error("the API token of `{name}` cannot be sent: {why}")]
    Token { name: String, why: CredentialError },
    #[error("the tokens that APIs are asked with cannot be read: {0}")]
    ApiTokens(crate::error::Error),
    #[error("`{0}` is not an address that can be used here")]
    Address(String),
    #[error("{0}: {1}")]
    Listen(String, std::io::Error),
    #[error(transparent)]
    Socket(#[from] crate::surface::socket::SocketError),
    #[error(transparent)]
    Tls(#[from] crate::surface::http::tls::files::TlsError),
    #[error("handshakes cannot be served: {0}")]
    Handshakes(rustls::Error),
    #[error("the broker's own certificate cannot be made: {0}")]
    OwnCertificate(crate::error::Error),
    #[error("metrics cannot be counted: {0}")]
    Metrics(String),
}

/// Makes the objects of a server from its checked configuration.
pub async fn wire(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Wired, StartError> {
    writ_keys::jose::install();
    let opened = Opened::open(&config.store.sqlite).await?;
    let pki = pki(config)?;
    let kek = key_encryption(&config.keys, &opened, entropy.as_ref()).await?;
    complete(&opened, &kek, &pki, entropy.as_ref(), clock.as_ref()).await?;
    let ring = Arc::new(ArcSwap::from_pointee(Keyring::open(
        &kek,
        &opened.keys().await?,
    )?));
    let rules = rules(config)?;
    let policy_set = Arc::new(ArcSwap::from_pointee(rules.digest()));
    let shared = Arc::new(SharedRing(Arc::clone(&ring)));
    let settings = Settings {
        view_capacity: VIEW_CAPACITY,
        ..Settings::default()
    };
    let store = opened
        .start(
            Arc::clone(&shared) as _,
            Arc::clone(&clock),
            Arc::clone(&policy_set),
            settings,
        )
        .await?;
    let fatal = store.fatal();
    let store: Arc<dyn Store> = Arc::new(store);

    let core = Core {
        store: Arc::clone(&store),
        ring,
        rules: InForce::new(rules, policy_set),
        pki,
        kek,
        clock,
        entropy,
    };
    let broker = Arc::new(broker(config, core)?);
    let tokens = broker.take_api_tokens();
    tokens.await.map_err(StartError::ApiTokens)?;
    let rereads = Arc::new(Rereads::new(REREAD_ROOM));
    let public = Arc::new(Public {
        broker: Arc::clone(&broker),
        servers: config.resource_servers.clone(),
        hooks: hooks(config),
        rereads: Arc::clone(&rereads),
    });
    let sequencer = Sequencer::new(store, shared, origin(&config.broker.trust_domain)?);
    let rotation = Rotation::new(Arc::clone(&broker), config.rotate_after);
    let revocations = Revocations::new(Arc::clone(&broker));
    Ok(Wired {
        broker,
        public,
        rereads,
        sequencer,
        rotation,
        revocations,
        fatal,
    })
}

/// What the verbs rest on.
struct Core {
    store: Arc<dyn Store>,
    ring: Arc<ArcSwap<Keyring>>,
    rules: InForce,
    pki: Pki,
    kek: KeyEncryptionKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

fn broker(config: &Config, core: Core) -> Result<Broker, StartError> {
    let Core {
        store,
        ring,
        rules,
        pki,
        kek,
        clock,
        entropy,
    } = core;
    let settings = &config.broker;
    let outbound = outbound(config, Arc::clone(&clock));
    let mut tokens = Tokens::default();
    let attestors = attestors(config, &outbound, &clock, &ring, &mut tokens)?;
    let sources = sources(config, &outbound, &mut tokens)?;
    let own: Audience = parsed(&settings.issuer)?;
    let issuer = settings.issuer.as_str().to_owned();
    let mut online = settings.online.clone();
    online.insert(own.clone());
    Ok(Broker {
        realm: Realm::DEFAULT,
        issuer: Url::parse(&issuer).map_err(|_| StartError::Address(issuer.clone()))?,
        own_audience: own,
        online,
        staleness: settings.limits.staleness,
        attestors,
        observer: Observer {
            cache: FactCache::new(FACT_CAPACITY, Arc::clone(&clock)),
            sources,
            clock: Arc::clone(&clock),
        },
        api_tokens: ApiTokens::new(tokens.0),
        rules,
        minter: Minter {
            keys: ring,
            issuer,
            realm: Realm::DEFAULT,
            pki,
            svids: settings.svids.clone(),
        },
        key_encryption: kek,
        store,
        tokens: SeenTokens::new(TOKEN_CAPACITY),
        certificates: SeenCertificates::new(CERTIFICATE_CAPACITY),
        sessions: SeenSessions::new(SESSION_CAPACITY),
        denials: DenialMemory::default(),
        met: Met::default(),
        revocations: Board::default(),
        turns: Turns::default(),
        clock,
        entropy,
    })
}

/// The key-encryption key, checked against the database. It is made only together with a new
/// database: a key that appears beside an old one would be a mistake or an attack.
async fn key_encryption(
    location: &KeyLocation,
    opened: &Opened,
    entropy: &dyn Entropy,
) -> Result<KeyEncryptionKey, StartError> {
    let known = opened.check_value().await?;
    let kek = match (location, &known) {
        (KeyLocation::Descriptor(number), _) => KeyEncryptionKey::read_fd_number(*number)?,
        (KeyLocation::File(path), _) if path.exists() => KeyEncryptionKey::read_file(path)?,
        (KeyLocation::File(path), Some(_)) => return Err(StartError::KeyLost(path.clone())),
        (KeyLocation::File(path), None) => {
            let kek = KeyEncryptionKey::generate(entropy);
            kek.write_new(path)?;
            kek
        }
    };
    let Some(bytes) = known else { return Ok(kek) };
    let value = <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| StartError::OtherKey)?;
    if CheckValue::from_bytes(value) == kek.check_value() {
        return Ok(kek);
    }
    Err(StartError::OtherKey)
}

/// Makes the keys that the database has none of: all of them where it is new.
async fn complete(
    opened: &Opened,
    kek: &KeyEncryptionKey,
    pki: &Pki,
    entropy: &dyn Entropy,
    clock: &dyn Clock,
) -> Result<(), StartError> {
    let maker = Maker { kek, pki, entropy };
    let known = opened.keys().await?;
    let missing = first_keys(&known, maker, clock.now())?;
    if opened.check_value().await?.is_none() {
        let check = kek.check_value();
        opened.install_keys(&missing, check.as_bytes()).await?;
    } else {
        opened.add_keys(&missing).await?;
    }
    Ok(())
}

/// What the authorities are called, and where whoever verifies finds their lists.
fn pki(config: &Config) -> Result<Pki, StartError> {
    let issuer = config.broker.issuer.as_str();
    let base = Url::parse(issuer).map_err(|_| StartError::Address(issuer.to_owned()))?;
    Ok(Pki {
        trust_domain: config.broker.trust_domain.as_str().to_owned(),
        lists: present::at(&base, pki::LISTS).to_string(),
    })
}

/// The profiles and policies of a configuration.
pub(super) fn rules(config: &Config) -> Result<Rules, StartError> {
    let own = parsed(&config.broker.issuer)?;
    let profiles = config.broker.profiles.clone();
    let marks = config.marks.profiles.clone();
    Ok(Rules::new(profiles, marks, policies(config)?, &own))
}

fn parsed(url: &BaseUrl) -> Result<Audience, StartError> {
    url.as_str()
        .parse()
        .map_err(|_| StartError::Address(url.as_str().to_owned()))
}

/// The log's name in its checkpoints.
fn origin(trust_domain: &TrustDomain) -> Result<Origin, StartError> {
    let name = format!("{trust_domain}/writ");
    name.parse().map_err(|_| StartError::Address(name))
}

/// Live rows of each kind that are kept in memory.
const VIEW_CAPACITY: usize = 400_000;

/// Records whose newest fact is kept in memory.
const FACT_CAPACITY: usize = 100_000;

/// Tokens whose signature is remembered to be good.
const TOKEN_CAPACITY: usize = 50_000;

/// Certificates of callers whose record is remembered.
const CERTIFICATE_CAPACITY: usize = 10_000;

/// Sessions whose rows are kept for checks.
const SESSION_CAPACITY: usize = 200_000;

/// Hinted records that may wait to be read.
const REREAD_ROOM: usize = 10_000;
