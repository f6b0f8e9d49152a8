//! Proof of possession: what a proof must say, and what evidence and tokens are worth without it.

mod bound;
mod proofs;
mod required;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The order of P-256's group.
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The other signature over the same message: `(r, n - s)`.
pub(crate) fn high_s(signature: &[u8]) -> Vec<u8> {
    let order = hex::decode(ORDER).unwrap();
    let mut all = signature.to_vec();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        all[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    all
}

/// Forms of an ES256 signature that must not verify, of which some did in other libraries.
pub(crate) fn bad_signatures(raw: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (r, s) = raw.split_at(32);
    let order = hex::decode(ORDER).unwrap();
    let join = |r: &[u8], s: &[u8]| [r, s].concat();
    let integer = |value: &[u8]| {
        let pad = if value[0] >= 0x80 {
            vec![0]
        } else {
            Vec::new()
        };
        let body = [pad, value.to_vec()].concat();
        [vec![2, u8::try_from(body.len()).unwrap()], body].concat()
    };
    let pair = [integer(r), integer(s)].concat();
    let der = [vec![0x30, u8::try_from(pair.len()).unwrap()], pair].concat();
    let mut flipped = raw.to_vec();
    flipped[40] ^= 1;
    vec![
        ("der", der),
        ("r is zero", join(&[0; 32], s)),
        ("s is zero", join(r, &[0; 32])),
        ("both are zero", vec![0; 64]),
        ("r is n", join(&order, s)),
        ("s is n", join(r, &order)),
        ("all ones", vec![0xff; 64]),
        ("one byte short", raw[..63].to_vec()),
        ("one byte long", join(raw, &[0])),
        ("only r", r.to_vec()),
        ("swapped", join(s, r)),
        ("one bit", flipped),
        ("empty", Vec::new()),
    ]
}
