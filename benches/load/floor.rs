//! What cannot be saved: the signatures of a path, on one core, and a durable commit on this disk.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use writ::seams::{Clock as _, SystemClock};

use crate::client::{Connection, request};
use crate::fault::Fault;
use crate::place::Place;
use crate::work::World;

/// Processor time of one operation in microseconds, and the disk's commits.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Floor {
    pub(crate) rs256_verify_us: f64,
    pub(crate) es256_sign_us: f64,
    pub(crate) es256_verify_us: f64,
    /// Appends of 4 KiB, each with its own fdatasync, a second.
    pub(crate) commits: f64,
}

impl Floor {
    pub(crate) fn measure(
        runtime: &Runtime,
        place: &Place,
        world: &World,
        sample: &[String],
    ) -> Result<Self, Fault> {
        let jwks = runtime.block_on(published(world))?;
        let token = sample
            .first()
            .ok_or_else(|| Fault::of("no token was minted"))?;
        let (es256_sign_us, es256_verify_us) = es256(token.as_bytes())?;
        Ok(Self {
            rs256_verify_us: rs256(token, &jwks)?,
            es256_sign_us,
            es256_verify_us,
            commits: commits(place)?,
        })
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    n: String,
    e: String,
}

/// The world's own keys, as the broker reads them.
async fn published(world: &World) -> Result<Jwks, Fault> {
    let host = world.url().trim_start_matches("http://");
    let mut line = Connection::over(TcpStream::connect(host).await?);
    let ask = request("GET /.well-known/jwks", host, &[], None);
    serde_json::from_slice(line.ask(&ask).await?.body).map_err(Fault::of)
}

fn rs256(token: &str, jwks: &Jwks) -> Result<f64, Fault> {
    let no_token = || Fault::of("the world's tokens are not JWTs");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(no_token)?;
    let signature = decoded(signature)?;
    for jwk in &jwks.keys {
        let key = RsaPublicKeyComponents {
            n: decoded(&jwk.n)?,
            e: decoded(&jwk.e)?,
        };
        let verify = || key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature);
        if verify().is_ok() {
            return spent(VERIFIES, || verify().map_err(Fault::of));
        }
    }
    Err(Fault::of("no published key verifies the world's tokens"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the floor is ring alone, with nothing of the broker's around it"
)]
fn es256(message: &[u8]) -> Result<(f64, f64), Fault> {
    let random = ring::rand::SystemRandom::new();
    let form = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(form, &random).map_err(Fault::of)?;
    let pair = EcdsaKeyPair::from_pkcs8(form, pkcs8.as_ref(), &random).map_err(Fault::of)?;
    let sign = || pair.sign(&random, message).map_err(Fault::of);
    let signature = sign()?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
    let verify = || {
        public
            .verify(message, signature.as_ref())
            .map_err(Fault::of)
    };
    Ok((spent(SIGNS, || sign().map(drop))?, spent(VERIFIES, verify)?))
}

fn decoded(text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(Fault::of)
}

/// This thread's processor time for one call, in microseconds. Others on the same core do not count.
fn spent(times: u32, mut call: impl FnMut() -> Result<(), Fault>) -> Result<f64, Fault> {
    let from = thread_time();
    for _ in 0..times {
        call()?;
    }
    let took = thread_time().saturating_sub(from);
    Ok(took.as_secs_f64() * 1e6 / f64::from(times))
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

fn commits(place: &Place) -> Result<f64, Fault> {
    let mut file = File::create(place.path("commits"))?;
    let from = SystemClock.elapsed();
    let mut done = 0_u32;
    loop {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        done += 1;
        let took = SystemClock.elapsed().saturating_sub(from);
        if took > COMMITTING || done == MOST_COMMITS {
            return Ok(f64::from(done) / took.as_secs_f64());
        }
    }
}

const SIGNS: u32 = 20_000;
const VERIFIES: u32 = 10_000;
const COMMITTING: Duration = Duration::from_secs(2);
const MOST_COMMITS: u32 = 10_000;
