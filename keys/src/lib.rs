//! Key custody for Writ.

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    fn fill(&self, out: &mut [u8]);
}

/// The system's own.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        #[expect(
            clippy::disallowed_methods,
            clippy::expect_used,
            reason = "the seam itself"
        )]
        ring::rand::SystemRandom::new()
            .fill(out)
            .expect("system randomness");
    }
}

/// A key as the store keeps it.
#[derive(Debug, Clone)]
pub struct KeyRow;
