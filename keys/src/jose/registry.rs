//! Parsed signing keys, reached through an `EncodingKey` that holds a handle in place of key bytes.
//!
//! The signer factory is a plain function, called for every token with nothing but the `EncodingKey`, so
//! the way from a handle to its key has to be process-wide. A handle is random, lives as long as its
//! [`Registered`], and is nothing that a parsed key could be mistaken for: DER begins with another byte.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::EncodingKey;
use ring::signature::EcdsaKeyPair;

use crate::entropy::{Entropy as _, SystemEntropy};

/// A registered key. Dropping it takes the key out of the registry.
pub(crate) struct Registered {
    handle: Handle,
    encoding_key: EncodingKey,
}

impl Registered {
    /// What `jsonwebtoken::encode` takes.
    pub(crate) fn encoding_key(&self) -> &EncodingKey {
        &self.encoding_key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        REGISTRY
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.handle);
    }
}

/// Registers a P-256 key for ES256.
pub(crate) fn register(pair: Arc<EcdsaKeyPair>) -> Registered {
    let mut handle = [0; HANDLE_LEN];
    SystemEntropy.fill(&mut handle);
    let encoding_key = EncodingKey::from_ec_der(&[HANDLE_PREFIX, &handle].concat());
    REGISTRY
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(handle, pair);
    Registered {
        handle,
        encoding_key,
    }
}

/// The handle inside the bytes of an `EncodingKey`, if they are one.
pub(crate) fn handle_in(bytes: &[u8]) -> Option<Handle> {
    bytes.strip_prefix(HANDLE_PREFIX)?.try_into().ok()
}

/// The key behind a handle, as long as it is registered.
pub(crate) fn find(handle: &Handle) -> Option<Arc<EcdsaKeyPair>> {
    REGISTRY
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(handle)
        .map(Arc::clone)
}

pub(crate) type Handle = [u8; HANDLE_LEN];

// A map is whole between calls, so a poisoned lock protects nothing that could be broken.
static REGISTRY: RwLock<BTreeMap<Handle, Arc<EcdsaKeyPair>>> = RwLock::new(BTreeMap::new());

const HANDLE_LEN: usize = 16;
const HANDLE_PREFIX: &[u8] = b"writ-handle:";
