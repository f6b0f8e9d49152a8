//! SVIDs by access tokens, and certificates by the certificates before them.

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::client::{Identity, Target};
use crate::drive::{Driven, Load};
use crate::fault::Fault;
use crate::paths::{Broker, Token, issued, row};
use crate::plan::CONNECTIONS;
use crate::report::{Path, Report};

/// A key with its signing request, which is made beforehand.
struct Holder {
    key: KeyPair,
    csr: String,
}

/// The part of an answer that is shown again.
#[derive(Deserialize)]
struct Certified {
    certificate: String,
}

/// Every kind, for the holders of these tokens in turn.
pub(crate) fn all(broker: &Broker<'_>, report: &mut Report, tokens: &[Token]) -> Result<(), Fault> {
    let jwts = tokens.iter().cycle().take(broker.writes());
    let jwts = jwts.map(|token| broker.requests.jwt_svid(&token.access_token));
    let jwts = broker.ask(&broker.windows(jwts.collect()), issued, None)?;
    report.row(row(Path::JwtSvid, broker.live_rows, &jwts));

    let holders: Result<Vec<_>, Fault> = tokens.iter().map(|_| Holder::new()).collect();
    let holders = holders?;
    let asked = holders.iter().zip(tokens).map(|(holder, token)| {
        let token = Some(token.access_token.as_str());
        broker.requests.x509(&holder.csr, token)
    });
    let asked: Vec<_> = asked.collect();
    let asked = asked.iter().cycle().take(broker.writes()).cloned();
    let made = broker.drive(&broker.windows(asked.collect()), issued)?;
    report.row(row(Path::X509, broker.live_rows, &made));

    let renewals = holders.iter().cycle().take(broker.writes());
    let renewals = renewals.map(|holder| broker.requests.x509(&holder.csr, None));
    let load = Load {
        targets: &showing(broker, &made, &holders)?,
        ..broker.load(issued, None)?
    };
    let renewed = load.run(&broker.windows(renewals.collect()))?;
    report.row(row(Path::RenewMtls, broker.live_rows, &renewed));
    Ok(())
}

/// A certificate for each connection, of a job of its own.
fn showing(broker: &Broker<'_>, made: &Driven, holders: &[Holder]) -> Result<Vec<Target>, Fault> {
    let shown = made.kept.iter().take(CONNECTIONS);
    let targets = shown.map(|(at, body)| {
        let holder = holders.get(broker.number(*at) % holders.len());
        let holder = holder.ok_or_else(|| Fault::of("nobody asked for a certificate"))?;
        let made: Certified = serde_json::from_slice(body).map_err(Fault::of)?;
        let chain = CertificateDer::pem_slice_iter(made.certificate.as_bytes());
        broker.target.showing(Identity {
            chain: chain.collect::<Result<_, _>>().map_err(Fault::of)?,
            key: PrivateKeyDer::try_from(holder.key.serialize_der()).map_err(Fault::of)?,
        })
    });
    targets.collect()
}

impl Holder {
    fn new() -> Result<Self, Fault> {
        let key = KeyPair::generate().map_err(Fault::of)?;
        let request = CertificateParams::default().serialize_request(&key);
        let csr = request.and_then(|request| request.pem());
        Ok(Self {
            csr: csr.map_err(Fault::of)?,
            key,
        })
    }
}
