//! W3C Trace Context: how a trace goes from one service to the next, in the header `traceparent`.
//! `tracestate` and baggage are neither read nor sent: they are text of whoever called.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::span::{SpanId, TraceId};

/// The caller's span, which a request may continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether the caller records its part. It is only ever heard as a "no".
    pub recorded: bool,
}

pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

impl Parent {
    /// The parent that a request names. Anything that is not exactly one well-formed header is none
    /// (Trace Context §3.2: such a header starts a new trace).
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(HEADER).iter();
        let (first, None) = (given.next()?, given.next()) else {
            return None;
        };
        Self::parse(first.as_bytes())
    }

    /// `00-` trace id `-` span id `-` flags. A later version may append to that (§4).
    fn parse(text: &[u8]) -> Option<Self> {
        let version = text.get(..2)?;
        if !version.iter().all(|byte| is_digit(*byte)) || version == b"ff" {
            return None;
        }
        match text.get(LENGTH) {
            None => {}
            Some(b'-') if version != b"00" && text.len() <= LONGEST => {}
            Some(_) => return None,
        }
        let dashes = [2, 35, 52].map(|at| text.get(at) == Some(&b'-'));
        if dashes != [true; 3] {
            return None;
        }
        let trace: [u8; 16] = id(text.get(3..35)?)?;
        let span: [u8; 8] = id(text.get(36..52)?)?;
        let [flags] = octets(text.get(53..LENGTH)?)?;
        Some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            recorded: flags & RECORDED != 0,
        })
    }

    /// The header of a call that this span makes.
    pub fn header(&self) -> Option<HeaderValue> {
        let flags = if self.recorded { RECORDED } else { 0 };
        let text = format!("00-{}-{}-{flags:02x}", self.trace, self.span);
        HeaderValue::from_str(&text).ok()
    }
}

/// Octets of which one at least is not zero (§3.2.2.3, §3.2.2.4).
fn id<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    octets(text).filter(|octets| octets.iter().any(|octet| *octet != 0))
}

fn octets<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut octets = [0; N];
    let lower = text.iter().all(|byte| is_digit(*byte));
    hex::decode_to_slice(text, &mut octets).ok()?;
    lower.then_some(octets)
}

/// Upper case is malformed (§3.2.2).
const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The flag `sampled`.
const RECORDED: u8 = 1;
/// Of version 00.
const LENGTH: usize = 55;
/// Of a version that does not exist yet.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> Option<Parent> {
        let values = values.iter();
        Parent::of(
            &values
                .map(|v| (HEADER, HeaderValue::from_str(v).unwrap()))
                .collect(),
        )
    }

    #[test]
    fn a_parent_survives_its_header() {
        let parent = of(&[GOOD]).unwrap();
        assert!(parent.recorded);
        assert_eq!(parent.header().unwrap(), GOOD);
        let quiet = of(&[&GOOD.replace("-01", "-00")]).unwrap();
        assert!(!quiet.recorded);
        let later = format!("{}-more", GOOD.replacen("00", "cc", 1));
        assert_eq!(of(&[&later]).unwrap().trace, parent.trace);
    }

    #[test]
    fn what_is_not_exactly_one_parent_is_none() {
        let long = format!("{}-{}", GOOD.replacen("00", "01", 1), "x".repeat(8_000));
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0G", 1),
            &GOOD.replace("4bf9", "4BF9"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace('-', "_"),
            &GOOD.replace("-01", "-zz"),
            &long,
        ] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[GOOD, GOOD]), None);
        assert_eq!(of(&[]), None);
    }
}
