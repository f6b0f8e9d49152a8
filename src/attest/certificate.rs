//! A certificate of ours, shown in a TLS handshake. The handshake has proven the key, the chain to one of
//! our own roots and the time; here it is read whose it is, so that its record can be looked up. Nothing
//! that it says counts before the record says the same.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::attest::csr;
use crate::domain::credential::X509Svid;
use crate::domain::identity::SpiffeId;
use crate::domain::key::Thumbprint;
use crate::domain::standing::Shown;
use crate::domain::time::Timestamp;
use crate::error::{Code, Error};

/// What an X.509-SVID says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The record that it names.
    pub record: Shown,
    pub id: SpiffeId,
    pub key: Thumbprint,
    serial: Vec<u8>,
}

/// Reads the end entity's certificate, in DER.
///
/// # Errors
/// `evidence_invalid` for what is no X.509-SVID of this broker.
pub fn read(der: &[u8]) -> Result<ShownCertificate, Error> {
    parse(der).ok_or_else(|| {
        let text = "the client certificate is no X.509-SVID of this broker";
        Error::new(Code::EvidenceInvalid, text)
    })
}

/// When a certificate ends, whosever it is.
pub fn ends(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Timestamp::from_seconds(certificate.validity().not_after.timestamp())
}

impl ShownCertificate {
    /// Whether the record is of this very certificate.
    pub fn is(&self, record: &X509Svid) -> bool {
        self.serial == record.serial.as_bytes() && self.key == record.key
    }
}

fn parse(der: &[u8]) -> Option<ShownCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let [GeneralName::URI(id)] = names.value.general_names.as_slice() else {
        return None;
    };
    let subject = certificate.subject();
    let lineage = subject.iter_organizational_unit().next()?;
    let credential = subject.iter_common_name().next()?;
    Some(ShownCertificate {
        record: Shown {
            lineage: lineage.as_str().ok()?.parse().ok()?,
            credential: credential.as_str().ok()?.parse().ok()?,
        },
        id: id.parse().ok()?,
        key: csr::strong(certificate.public_key()).ok()?,
        serial: certificate.raw_serial().to_vec(),
    })
}
