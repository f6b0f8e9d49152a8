//! The practice world's own time and randomness. It plays the outside, so both come from the
//! system; nothing else in this crate reads either. The clock can be set ahead or back by a
//! control call, so that a test under a simulated clock can move both sides together.

use std::sync::atomic::{AtomicI64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use time::{Duration, OffsetDateTime};

use crate::error::WorldError;

/// The system's clock plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_secs: AtomicI64,
}

impl Clock {
    pub(crate) fn now(&self) -> OffsetDateTime {
        let system = system_now();
        let offset = Duration::seconds(self.offset_secs.load(Ordering::Relaxed));
        system.checked_add(offset).unwrap_or(system)
    }

    /// Sets how many seconds this clock is ahead of the system's (negative: behind).
    pub(crate) fn set_offset(&self, seconds: i64) {
        self.offset_secs.store(seconds, Ordering::Relaxed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the practice world is the outside: its clock is the system's"
)]
fn system_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the practice world is the outside: its randomness is the system's"
)]
pub(crate) fn system_random() -> SystemRandom {
    SystemRandom::new()
}

/// `N` random bytes in hexadecimal.
pub(crate) fn random_hex<const N: usize>() -> Result<String, WorldError> {
    let mut bytes = [0_u8; N];
    system_random()
        .fill(&mut bytes)
        .map_err(|_| WorldError::Random)?;
    Ok(hex::encode(bytes))
}

/// A random UUID (RFC 9562 version 4) as text.
pub(crate) fn random_uuid() -> Result<String, WorldError> {
    let mut bytes = [0_u8; 16];
    system_random()
        .fill(&mut bytes)
        .map_err(|_| WorldError::Random)?;
    let mut value = u128::from_be_bytes(bytes);
    value = (value & !(0xf_u128 << 76)) | (0x4_u128 << 76);
    value = (value & !(0x3_u128 << 62)) | (0x2_u128 << 62);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        value >> 96,
        (value >> 80) & 0xffff,
        (value >> 64) & 0xffff,
        (value >> 48) & 0xffff,
        value & 0xffff_ffff_ffff,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_carry_version_and_variant_and_differ() {
        let first = random_uuid().unwrap();
        let second = random_uuid().unwrap();
        assert_ne!(first, second);
        assert_eq!(first.len(), 36);
        assert_eq!(first.as_bytes()[14], b'4');
        assert!(matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn an_offset_moves_the_clock() {
        let clock = Clock::default();
        let before = clock.now();
        clock.set_offset(3600);
        assert!(clock.now() - before >= Duration::minutes(59));
    }
}
