//! Where randomness comes from.
//!
//! Nonces, data keys, symmetric keys and key ids take it from the caller's [`Entropy`], so that a
//! simulation can repeat them. ring accepts only its own source for key pairs and ECDSA nonces, so
//! that source is built here and nowhere else.

use ring::rand::{SecureRandom as _, SystemRandom};

/// A source of cryptographically strong bytes.
pub trait Entropy: Send + Sync {
    /// Overwrites all of `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system has no randomness to give: what was asked for must not be made at all.
    fn fill(&self, out: &mut [u8]) {
        let filled = ring_random().fill(out).is_ok();
        assert!(filled, "the operating system gave no randomness");
    }
}

/// The only source that ring's key generation and signing accept.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the system's source is built"
)]
pub(crate) fn ring_random() -> SystemRandom {
    SystemRandom::new()
}
