//! What custody refuses, with what mends it. No variant carries key bytes or plaintext.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::purpose::Purpose;
use crate::row::KeyId;

/// Why custody did not do what was asked. For operators: messages name paths and key ids.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The last component of the path is a symbolic link.
    #[error("key file {} is a symbolic link: give the path of the file itself", .path.display())]
    KekSymlink {
        /// The path as configured.
        path: PathBuf,
    },
    /// A directory, pipe, device or socket.
    #[error("key file {} is not a regular file: give the path of a file, or pass a descriptor", .path.display())]
    KekNotRegular {
        /// The path as configured.
        path: PathBuf,
    },
    /// Somebody else owns the file and could replace the key.
    #[error("key file {path} belongs to uid {owner}: chown {expected} {path}", path = .path.display())]
    KekOwner {
        /// The path as configured.
        path: PathBuf,
        /// The owner found.
        owner: u32,
        /// The effective uid of this process.
        expected: u32,
    },
    /// Others may read or write the file.
    #[error("key file {path} has mode {mode:04o}: chmod 600 {path}", path = .path.display())]
    KekMode {
        /// The path as configured.
        path: PathBuf,
        /// Permission bits found.
        mode: u32,
    },
    /// More bytes than any key file has.
    #[error("{origin} is longer than a key file: it must hold one line `writ-kek-1:…`")]
    KekTooLarge {
        /// Path or descriptor.
        origin: String,
    },
    /// Not `writ-kek-1:` and 32 bytes in base64url without padding.
    #[error(
        "{origin} does not hold a key: expected one line `writ-kek-1:` and 43 base64url characters"
    )]
    KekFormat {
        /// Path or descriptor.
        origin: String,
    },
    /// A key file is never overwritten.
    #[error("key file {} exists already: use it, or move it away first", .path.display())]
    KekExists {
        /// The path as configured.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {origin}")]
    KekIo {
        /// What was tried: open, read, write, sync.
        action: &'static str,
        /// Path or descriptor.
        origin: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The number names no open descriptor that this process may take.
    #[error("cannot take file descriptor {fd}: pass it open to the process, as in `3< file`")]
    KekDescriptor {
        /// The number as configured.
        fd: RawFd,
        /// The system's answer.
        source: io::Error,
    },
    /// Another key-encryption key, another row's bytes, or damage.
    #[error(
        "key {id} does not unwrap: the key-encryption key is another one, or the row was moved or damaged"
    )]
    RowDoesNotOpen {
        /// The row.
        id: KeyId,
    },
    /// The row unwrapped and is no key of its purpose.
    #[error("key {id} unwraps to something that is no {purpose} key")]
    RowMalformed {
        /// The row.
        id: KeyId,
        /// What it should have been.
        purpose: Purpose,
    },
    /// The public column is not the public half of the wrapped key.
    #[error("key {id} is stored beside a public key that is not its own")]
    RowPublicDiffers {
        /// The row.
        id: KeyId,
    },
    /// Two rows with one id.
    #[error("key {id} is listed twice")]
    DuplicateId {
        /// The id.
        id: KeyId,
    },
    /// Nothing could be signed or sealed.
    #[error("no active {purpose} key")]
    NoActiveKey {
        /// The purpose without one.
        purpose: Purpose,
    },
    /// Which one signs must not depend on the order of rows.
    #[error("more than one active {purpose} key")]
    SeveralActiveKeys {
        /// The purpose with several.
        purpose: Purpose,
    },
    /// More rows than rotation can ever need.
    #[error("{count} key rows: at most {limit} are opened; delete withdrawn and long retired ones")]
    TooManyKeys {
        /// Rows given.
        count: usize,
        /// Rows allowed.
        limit: usize,
    },
    /// The key that sealed this is unknown here, or withdrawn.
    #[error("key {id} is unknown or withdrawn")]
    UnknownKey {
        /// The id asked for.
        id: KeyId,
    },
    /// Sealed elsewhere, under another key, or changed since.
    #[error("what key {id} sealed does not open here: it was moved or damaged")]
    SealedDoesNotOpen {
        /// The sealing key named beside the data.
        id: KeyId,
    },
    /// Too much to seal as one secret.
    #[error("{bytes} bytes are too many for one secret: at most {limit}")]
    SecretTooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// ring could not make a key or a ciphertext.
    #[error("could not make a {purpose} key or seal with it")]
    Generation {
        /// What it was for.
        purpose: Purpose,
    },
    /// The token could not be encoded or signed.
    #[error("could not sign")]
    Signing(#[source] jsonwebtoken::errors::Error),
    /// An authority's certificate could not be made, or cannot be signed with.
    #[error("could not make a certificate or a revocation list")]
    Certificate(#[source] rcgen::Error),
    /// Nobody could verify what it signs.
    #[error(
        "authority {id} was signed by a root that is unknown or withdrawn: prepare and activate another ca_intermediate first"
    )]
    Orphan {
        /// The intermediate.
        id: KeyId,
    },
    /// An authority was to be signed, or a certificate that outlives the authority.
    #[error("an intermediate signs certificates of workloads only, and none that outlives it")]
    NotALeaf,
    /// The signature came out in an unexpected length.
    #[error("a signature of an unexpected length")]
    SignatureLength,
    /// Some other provider took the process-wide place first, so that tokens would be verified by it.
    #[error("another provider of token cryptography was installed first")]
    ForeignProvider,
}

impl CustodyError {
    /// A stable code, for metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KekSymlink { .. } => "kek_symlink",
            Self::KekNotRegular { .. } => "kek_not_regular",
            Self::KekOwner { .. } => "kek_owner",
            Self::KekMode { .. } => "kek_mode",
            Self::KekTooLarge { .. } => "kek_too_large",
            Self::KekFormat { .. } => "kek_format",
            Self::KekExists { .. } => "kek_exists",
            Self::KekIo { .. } => "kek_io",
            Self::KekDescriptor { .. } => "kek_descriptor",
            Self::RowDoesNotOpen { .. } => "key_does_not_open",
            Self::RowMalformed { .. } => "key_malformed",
            Self::RowPublicDiffers { .. } => "key_public_differs",
            Self::DuplicateId { .. } => "key_duplicate",
            Self::NoActiveKey { .. } => "key_none_active",
            Self::SeveralActiveKeys { .. } => "key_several_active",
            Self::TooManyKeys { .. } => "key_too_many",
            Self::UnknownKey { .. } => "key_unknown",
            Self::SealedDoesNotOpen { .. } => "sealed_does_not_open",
            Self::SecretTooLarge { .. } => "secret_too_large",
            Self::Generation { .. } => "key_generation",
            Self::Signing(_) => "signing_failed",
            Self::Certificate(_) => "certificate",
            Self::Orphan { .. } => "key_orphan",
            Self::NotALeaf => "not_a_leaf",
            Self::SignatureLength => "signature_length",
            Self::ForeignProvider => "foreign_provider",
        }
    }
}
