//! Lists of certificates that are revoked before their end (RFC 5280 §5): one by each authority that is
//! trusted, so that whatever it signed can be checked as long as it may live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::OffsetDateTime;
use writ_keys::{CustodyError, Keyring};

use super::pem;
use crate::domain::time::Timestamp;
use crate::domain::x509::{Revoked, Serial};

/// How long a list is good for after it was made: whoever keeps a copy asks again within that.
pub const LIFE: Duration = Duration::from_mins(5);

/// How many revoked certificates the lists hold before nothing more is certified. Each of them leaves
/// when it would have expired.
pub const ROOM: usize = 50_000;

/// Every authority's list, all made at one moment.
#[derive(Debug)]
pub struct Lists {
    pub at: Timestamp,
    by_authority: BTreeMap<String, Bytes>,
    active: String,
    pem: Bytes,
    revoked: BTreeSet<Serial>,
}

impl Lists {
    /// Signs every authority's list as of `now`.
    pub fn sign(
        keys: &Keyring,
        revoked: &BTreeMap<Serial, Revoked>,
        now: Timestamp,
    ) -> Result<Self, CustodyError> {
        let mut by_authority = BTreeMap::new();
        for id in keys.intermediates() {
            let of_authority = revoked.iter().filter(|(_, one)| one.authority == *id);
            let entries = of_authority.map(|(serial, one)| entry(serial.as_bytes(), one.at));
            let list = list(entries.collect(), now);
            by_authority.insert(id.to_string(), keys.sign_revocations(id, &list)?.into());
        }
        for (id, _) in keys.roots() {
            let withdrawn = keys.withdrawn_below(id);
            let withdrawn = withdrawn.filter(|one| one.ends > now.seconds());
            let entries = withdrawn.map(|one| entry(&one.serial, Timestamp::from_micros(one.at)));
            let list = list(entries.collect(), now);
            by_authority.insert(id.to_string(), keys.sign_revocations(id, &list)?.into());
        }
        let all: Vec<_> = by_authority
            .values()
            .map(|der: &Bytes| pem::revocation_list(der))
            .collect();
        Ok(Self {
            at: now,
            active: keys.authority().id.to_string(),
            pem: all.concat().into(),
            by_authority,
            revoked: revoked.keys().copied().collect(),
        })
    }

    /// Whether a certificate is on them.
    pub fn has(&self, serial: &Serial) -> bool {
        self.revoked.contains(serial)
    }

    /// How many certificates are on them.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// The list of one authority, in DER.
    pub fn of(&self, authority: &str) -> Option<Bytes> {
        self.by_authority.get(authority).cloned()
    }

    /// The list of the authority that certifies now, in DER.
    pub fn active(&self) -> Option<Bytes> {
        self.of(&self.active)
    }

    /// Every list, in PEM.
    pub fn pem(&self) -> Bytes {
        self.pem.clone()
    }
}

fn list(revoked_certs: Vec<RevokedCertParams>, now: Timestamp) -> CertificateRevocationListParams {
    CertificateRevocationListParams {
        this_update: date(now),
        next_update: date(now.plus(LIFE)),
        // It has to grow with every list, also over restarts and on every replica: time does.
        crl_number: SerialNumber::from_slice(&number(now)),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn entry(serial: &[u8], at: Timestamp) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date(at),
        reason_code: None,
        invalidity_date: None,
    }
}

fn number(now: Timestamp) -> [u8; 8] {
    now.micros().max(0).to_be_bytes()
}

fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
