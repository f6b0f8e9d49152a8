//! RSA keys that are too short, made wrongly, or of a generator that is known to be broken.

/// Why a key is not certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Weak {
    #[error("has {0} bits: 2048 to 4096 are needed")]
    Length(usize),
    #[error("has a public exponent other than 65537")]
    Exponent,
    #[error("has a modulus that a small number divides")]
    Factor,
    #[error("was made by a generator whose keys can be factored (CVE-2017-15361)")]
    Roca,
}

/// Judges a modulus and an exponent, both big-endian without leading zeros.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), Weak> {
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(zeros as usize);
    if !(2048..=4096).contains(&bits) {
        return Err(Weak::Length(bits));
    }
    if exponent != EXPONENT {
        return Err(Weak::Exponent);
    }
    if primes(MOST_FACTOR).any(|prime| remainder(modulus, prime) == 0) {
        return Err(Weak::Factor);
    }
    if primes(MOST_ROCA)
        .skip(1)
        .all(|prime| is_power(modulus, prime))
    {
        return Err(Weak::Roca);
    }
    Ok(())
}

/// Whether the modulus is a power of 65537 as far as this prime can tell. All moduli of the broken
/// generator are; of others one in 2^27 is, for every prime up to [`MOST_ROCA`].
fn is_power(modulus: &[u8], prime: u32) -> bool {
    let (wanted, base) = (remainder(modulus, prime), 65_537 % prime);
    let powers = std::iter::successors(Some(1), |power| Some(power * base % prime));
    let order = usize::try_from(prime).unwrap_or(usize::MAX);
    powers.take(order).any(|power| power == wanted)
}

fn remainder(number: &[u8], by: u32) -> u32 {
    let fold = |rest: u32, byte: &u8| ((rest << 8) | u32::from(*byte)) % by;
    number.iter().fold(0, fold)
}

fn primes(most: u32) -> impl Iterator<Item = u32> {
    (2..=most).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// 65537, which nearly every key has.
const EXPONENT: &[u8] = &[1, 0, 1];
/// Key generators test their primes by all smaller ones (NIST SP 800-89 §5.3.3).
const MOST_FACTOR: u32 = 751;
/// The primes of the published fingerprint.
const MOST_ROCA: u32 = 167;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2048 bits that no small number divides and that are no power of 65537.
    fn modulus() -> Vec<u8> {
        let mut modulus = vec![0xab; 256];
        for last in (1..=u16::MAX).step_by(2) {
            modulus[254..].copy_from_slice(&last.to_be_bytes());
            if primes(MOST_FACTOR).all(|prime| remainder(&modulus, prime) != 0) {
                return modulus;
            }
        }
        panic!("there is one");
    }

    /// 65537 to this power.
    fn power(times: usize) -> Vec<u8> {
        (0..times).fold(vec![1], |number, _| {
            let mut shifted = number.clone();
            shifted.extend([0, 0]);
            let mut carry = 0;
            for (at, byte) in number.iter().rev().enumerate() {
                let place = shifted.len() - 1 - at;
                let sum = u16::from(shifted[place]) + u16::from(*byte) + carry;
                shifted[place] = sum.to_be_bytes()[1];
                carry = sum >> 8;
            }
            shifted
        })
    }

    #[test]
    fn a_usual_key_passes() {
        assert_eq!(check(&modulus(), EXPONENT), Ok(()));
    }

    #[test]
    fn a51_short_long_and_wrongly_made_keys_are_refused() {
        let good = modulus();
        assert_eq!(check(&good[1..], EXPONENT), Err(Weak::Length(2040)));
        let mut half = good.clone();
        half[0] = 0x7b;
        assert_eq!(check(&half, EXPONENT), Err(Weak::Length(2047)));
        assert_eq!(check(&[0xab; 513], EXPONENT), Err(Weak::Length(4104)));
        assert_eq!(check(&[], EXPONENT), Err(Weak::Length(0)));
        assert_eq!(check(&good, &[3]), Err(Weak::Exponent));
        assert_eq!(check(&good, &[]), Err(Weak::Exponent));
        let mut even = good;
        *even.last_mut().unwrap() &= 0xfe;
        assert_eq!(check(&even, EXPONENT), Err(Weak::Factor));
    }

    #[test]
    fn a51_a_modulus_of_the_broken_generator_is_known() {
        assert_eq!(check(&power(128), EXPONENT), Err(Weak::Roca));
    }
}
