//! What is known of a certificate beside its bytes: its serial number, the authority that signs it, and
//! the key that it is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use writ_keys::KeyId;

use crate::domain::key::Thumbprint;
use crate::domain::time::Timestamp;
use crate::seams::Entropy;

/// The serial number of a certificate (RFC 5280 §4.1.2.2): 126 random bits, positive, and of one length,
/// so that its text has one spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; Self::LEN]);

impl Serial {
    const LEN: usize = 16;

    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; Self::LEN];
        entropy.fill(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x3f) | 0x40;
        }
        Self(bytes)
    }

    /// Big-endian.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for Serial {
    /// In hexadecimal, as `openssl x509 -serial` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

/// The text is no serial number of this broker's certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is 32 hexadecimal digits, the first of them 4, 5, 6 or 7")]
pub struct BadSerial;

impl FromStr for Serial {
    type Err = BadSerial;

    /// As certificate tools show it: in either case, with or without colons, or as `serial=…`.
    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let digits = text
            .strip_prefix("serial=")
            .unwrap_or(text)
            .replace(':', "");
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(&digits, &mut bytes).map_err(|_| BadSerial)?;
        match bytes.first() {
            Some(0x40..=0x7f) => Ok(Self(bytes)),
            _ => Err(BadSerial),
        }
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(&text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// The authority that is to sign, and the end of its own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    pub authority: KeyId,
    pub ends: Timestamp,
}

/// A public key that its holder signed a request with.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectKey {
    info: Vec<u8>,
    bits: Vec<u8>,
    thumbprint: Thumbprint,
}

impl SubjectKey {
    /// For whoever verified the request.
    pub(crate) const fn proven(info: Vec<u8>, bits: Vec<u8>, thumbprint: Thumbprint) -> Self {
        Self {
            info,
            bits,
            thumbprint,
        }
    }

    /// The `SubjectPublicKeyInfo` in DER, as the request had it.
    pub fn info(&self) -> &[u8] {
        &self.info
    }

    /// The key alone: the bit string of the `SubjectPublicKeyInfo`.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// RFC 7638, the same as that of a DPoP proof by this key.
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({})", self.thumbprint)
    }
}

/// A certificate that is revoked although it has not expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub authority: KeyId,
    pub at: Timestamp,
    /// Its own end.
    pub until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Same(u8);

    impl Entropy for Same {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn a_serial_is_positive_and_of_one_length_whatever_was_drawn() {
        for drawn in [0, 0x7f, 0x80, 0xff] {
            let serial = Serial::new(&Same(drawn));
            assert!(matches!(serial.as_bytes()[0], 0x40..=0x7f), "{serial}");
            let text = serde_json::to_string(&serial).unwrap();
            assert_eq!(text.len(), 34);
            assert_eq!(serde_json::from_str::<Serial>(&text).unwrap(), serial);
        }
    }

    #[test]
    fn a_serial_is_read_as_tools_show_it() {
        let serial = Serial::new(&Same(0xab));
        let plain = serial.to_string();
        let pairs: Vec<_> = plain
            .as_bytes()
            .chunks(2)
            .map(String::from_utf8_lossy)
            .collect();
        for text in [
            plain.clone(),
            plain.to_lowercase(),
            pairs.join(":"),
            format!("serial={plain}"),
        ] {
            assert_eq!(text.parse(), Ok(serial), "{text}");
        }
        for text in [
            "",
            "serial=",
            &plain[2..],
            &format!("{plain}00"),
            &format!("EB{}", &plain[2..]),
        ] {
            assert_eq!(text.parse::<Serial>(), Err(BadSerial), "{text}");
        }
    }
}
