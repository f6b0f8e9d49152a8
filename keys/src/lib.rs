//! Key custody for Writ: the only crate that sees private key bytes.
//!
//! Keys are rows ([`KeyRow`]) wrapped by one [`KeyEncryptionKey`]; the store keeps the rows and can
//! read none of them. What must stay true:
//!
//! - no function returns private bytes, and no `Debug`, `Display` or error shows them;
//! - a key serves one [`Purpose`], and a wrapped row is bound to its purpose and id;
//! - a withdrawn key does nothing: it signs nothing, verifies nothing, is published nowhere.
//!
//! All cryptography is `ring`; [`jose::install`] puts it under `jsonwebtoken` as well.

mod aead;
mod entropy;
mod error;
pub mod jose;
mod kek;
mod kek_file;
mod purpose;
mod row;

#[cfg(test)]
mod fixtures;

pub use entropy::{Entropy, SystemEntropy};
pub use error::CustodyError;
pub use kek::{CheckValue, KeyEncryptionKey};
pub use purpose::{IllegalTransition, KeyState, Purpose, UnknownWord};
pub use row::{InvalidKeyId, KeyId, KeyRow, generate};
