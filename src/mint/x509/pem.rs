//! PEM (RFC 7468): lines of 64 characters between two labels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A certificate.
pub fn certificate(der: &[u8]) -> String {
    encode("CERTIFICATE", der)
}

/// A revocation list.
pub fn revocation_list(der: &[u8]) -> String {
    encode("X509 CRL", der)
}

fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut lines = Vec::new();
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        lines.push(line);
        rest = more;
    }
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_its_length() {
        for length in [1, 47, 48, 49, 96, 1000] {
            let der = vec![0xa5; length];
            let text = certificate(&der);
            assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), der);
        }
    }
}
