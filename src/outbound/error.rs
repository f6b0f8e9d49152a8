//! How a call out can end without an answer. The caller turns each kind into "undetermined" or "absent";
//! no kind carries a URL, a header or a body, so none can leak a credential.

use std::{path::PathBuf, time::Duration};

use super::address::AddressKind;

/// Why there is no response to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// A rule of ours forbids the call; nothing was sent.
    #[error("the call out is not allowed: {0}")]
    Refused(Rule),
    /// No connection, a failed TLS handshake, or a connection that broke.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// The deadline passed.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer answered with a redirect, which is never followed.
    #[error("the peer answered with a redirect")]
    Redirect,
    /// The body is over the cap of the rules.
    #[error("the peer's answer is larger than allowed")]
    TooLarge,
    /// Success, but not with JSON: a login page, a maintenance page, an encoded body.
    #[error("the peer's answer is not JSON")]
    NotJson,
    /// Any status other than success, redirect, and `304` to a conditional request.
    #[error("the peer answered with status {0}")]
    Status(u16),
    /// The peer failed too often; ask again after this time.
    #[error("the peer failed repeatedly and is not being asked for now")]
    Open(Duration),
}

/// The rule that forbade a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("https is required")]
    PlainHttp,
    #[error("the address is {0}")]
    Address(AddressKind),
    #[error("the URL belongs to another origin")]
    OtherOrigin,
    #[error("the path is not in its normal form")]
    Path,
    #[error("a header may not be chosen by the caller")]
    Header,
    #[error("there is no token to ask with: none is stored, or it cannot be sent")]
    NoCredential,
}

/// Why no peer could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the origin may not be spoken to: {0}")]
    Refused(Rule),
    #[error("the certificate authorities in {path} cannot be read: {source}")]
    Roots {
        path: PathBuf,
        source: rustls_pki_types::pem::Error,
    },
    #[error("{path} holds no usable certificate authority")]
    NoRoots { path: PathBuf },
    #[error("the configured certificate authority is not a PEM certificate")]
    ExtraRoot,
    #[error("the client certificate and its key cannot be used: {0}")]
    ClientCertificate(rustls::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}
