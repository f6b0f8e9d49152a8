//! Key custody for Writ: the only crate that sees private key bytes.
//!
//! Keys are rows ([`KeyRow`]) wrapped by one [`KeyEncryptionKey`]; the store keeps the rows and can
//! read none of them. [`Keyring::open`] turns rows into something that signs, verifies, authenticates
//! and seals. What must stay true:
//!
//! - no function returns private bytes of the broker, and no `Debug`, `Display` or error shows them
//!   (a client's [`SessionKey`] is its own, and may be given away on order);
//! - a key serves one [`Purpose`], and a wrapped row is bound to its purpose and id;
//! - a withdrawn key does nothing: it signs nothing, verifies nothing, is published nowhere.
//!
//! All cryptography is `ring`; [`jose::install`] puts it under `jsonwebtoken` as well.

mod aead;
mod authority;
mod certificate;
mod checkpoint;
mod entropy;
mod error;
mod family;
mod imported;
pub mod jose;
mod kek;
mod kek_file;
mod keyring;
mod mac;
mod purpose;
mod row;
mod seal;
mod server;
mod session;
mod tokens;

#[cfg(test)]
mod fixtures;

pub use authority::{Authority, Withdrawn};
pub use certificate::Pki;
pub use entropy::{Entropy, SystemEntropy};
pub use error::CustodyError;
pub use imported::{ImportedRsa, NoRsaKey};
pub use kek::{CheckValue, KeyEncryptionKey};
pub use keyring::Keyring;
pub use purpose::{IllegalTransition, KeyState, Purpose, UnknownWord};
pub use row::{InvalidKeyId, KeyId, KeyRow, Maker};
pub use seal::{SECRET_MAX_BYTES, Sealed};
pub use server::{ServerKey, ServerKeyError};
pub use session::{SessionKey, SessionKeyError};
