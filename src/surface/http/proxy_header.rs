//! The header of the PROXY protocol, versions 1 and 2 (haproxy.org, `proxy-protocol.txt`): before everything
//! else on a connection, TLS included, a proxy says whose connection it forwards.
//!
//! It is read to its end and not a byte further: what follows is the client's. Anything else than a whole and
//! sound header is no header. What it says beside the client's address is looked at only so far that it is
//! well-formed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The connection is this client's.
    Client(IpAddr),
    /// The proxy speaks for itself (a health check), or for a client that has no IP address.
    Nobody,
}

/// Why what came is no header.
#[derive(Debug, thiserror::Error)]
pub enum NoHeader {
    #[error("the connection ended or failed: {0}")]
    Io(#[from] io::Error),
    #[error("what the connection began with is no PROXY header")]
    Absent,
    #[error("the PROXY header {0}")]
    Unsound(&'static str),
}

/// Reads one header.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Said, NoHeader> {
    // No header of either version is shorter.
    let mut start = [0; SHORTEST];
    stream.read_exact(&mut start).await?;
    if start.starts_with(SIGNATURE) {
        return binary(stream, start).await;
    }
    if start.starts_with(b"PROXY ") {
        return line(stream, &start).await;
    }
    Err(NoHeader::Absent)
}

/// Version 1: one line of ASCII.
async fn line<S: AsyncRead + Unpin>(stream: &mut S, start: &[u8]) -> Result<Said, NoHeader> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    line.extend_from_slice(start);
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(NoHeader::Unsound("is longer than a line may be"));
        }
        // One by one: where the line ends is known only there.
        line.push(stream.read_u8().await?);
    }
    let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
    if text.iter().any(|b| !matches!(b, b' '..=b'~')) {
        return Err(NoHeader::Unsound("is not of printable ASCII"));
    }
    let text = std::str::from_utf8(text).map_err(|_| NoHeader::Absent)?;
    let said = text.strip_prefix("PROXY ").ok_or(NoHeader::Absent)?;
    if said == "UNKNOWN" || said.starts_with("UNKNOWN ") {
        return Ok(Said::Nobody);
    }
    let fields: Vec<_> = said.split(' ').collect();
    let [family, source, target, from, to] = fields.as_slice() else {
        return Err(NoHeader::Unsound("has more or less than five fields"));
    };
    let client = match *family {
        "TCP4" => both::<Ipv4Addr>(source, target).map(IpAddr::V4),
        "TCP6" => both::<Ipv6Addr>(source, target).map(IpAddr::V6),
        _ => return Err(NoHeader::Unsound("is of an unknown family")),
    };
    let client = client.ok_or(NoHeader::Unsound(
        "has an address of another family or form",
    ))?;
    if !is_port(from) || !is_port(to) {
        return Err(NoHeader::Unsound("has something else than ports"));
    }
    Ok(Said::Client(client.to_canonical()))
}

fn both<A: FromStr>(source: &str, target: &str) -> Option<A> {
    target.parse::<A>().ok()?;
    source.parse().ok()
}

/// In one spelling only: no sign, no leading zero.
fn is_port(text: &str) -> bool {
    text.parse::<u16>()
        .is_ok_and(|port| port.to_string() == text)
}

/// Version 2: sixteen bytes, then as many as they say.
async fn binary<S: AsyncRead + Unpin>(
    stream: &mut S,
    start: [u8; SHORTEST],
) -> Result<Said, NoHeader> {
    let [.., command, family, high] = start;
    let length = u16::from_be_bytes([high, stream.read_u8().await?]);
    let length = usize::from(length);
    if length > LONGEST_REST {
        return Err(NoHeader::Unsound("is longer than any that is taken"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match command {
        // Its addresses, if it has any, mean nothing (§2.2).
        0x20 => return Ok(Said::Nobody),
        0x21 => {}
        _ => return Err(NoHeader::Unsound("is of an unknown version or command")),
    }
    let (said, more) = match family {
        UNSPECIFIED => return Ok(Said::Nobody),
        TCP4 => {
            let (source, more) = address::<4, 12>(&rest)?;
            (Said::Client(Ipv4Addr::from(source).into()), more)
        }
        TCP6 => {
            let (source, more) = address::<16, 36>(&rest)?;
            let source = IpAddr::from(Ipv6Addr::from(source));
            (Said::Client(source.to_canonical()), more)
        }
        UNIX => {
            let (_, more) = address::<108, 216>(&rest)?;
            (Said::Nobody, more)
        }
        _ => return Err(NoHeader::Unsound("is of an unknown family")),
    };
    extensions(more)?;
    Ok(said)
}

/// The source at the beginning of an address block of `BLOCK` bytes, and what stands behind the block.
fn address<const SOURCE: usize, const BLOCK: usize>(
    rest: &[u8],
) -> Result<([u8; SOURCE], &[u8]), NoHeader> {
    let short = NoHeader::Unsound("is shorter than its addresses");
    let split = rest.split_at_checked(BLOCK);
    let Some((block, more)) = split else {
        return Err(short);
    };
    match block.first_chunk::<SOURCE>() {
        Some(source) => Ok((*source, more)),
        None => Err(short),
    }
}

/// What a proxy adds, each with its type and length. None of it is believed or needed.
fn extensions(mut rest: &[u8]) -> Result<(), NoHeader> {
    while let [_type, high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let after = more.get(length..);
        rest = after.ok_or(NoHeader::Unsound("ends within an extension"))?;
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(NoHeader::Unsound("ends within an extension"))
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// `PROXY UNKNOWN` with its line's end; and version 2 up to the first byte of its length.
const SHORTEST: usize = 15;

/// With its end (§2.1).
const LONGEST_LINE: usize = 107;

/// Addresses take 216 bytes at most; the rest is room for extensions, a client certificate among them.
const LONGEST_REST: usize = 4096;

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n";

    /// What is read of these bytes, and what is left for whoever reads on.
    fn reading(bytes: &[u8]) -> (Result<Said, NoHeader>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let mut stream = bytes;
        let said = runtime.block_on(read(&mut stream));
        (said, stream.to_vec())
    }

    /// A header, and behind it what must be left.
    fn said(header: &[u8]) -> Option<Said> {
        let (said, left) = reading(&[header, REQUEST].concat());
        let said = said.ok()?;
        assert_eq!(left, REQUEST);
        Some(said)
    }

    fn client(text: &str) -> Said {
        Said::Client(text.parse().unwrap())
    }

    fn v2(command: u8, family: u8, length: usize, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn v4_block() -> Vec<u8> {
        [203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x01, 0xbb].to_vec()
    }

    fn v6_block(source: &str) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().unwrap();
        [&source.octets()[..], &[0; 20]].concat()
    }

    #[test]
    fn a_line_says_whose_connection_it_is() {
        let line = |text: &str| said(format!("{text}\r\n").as_bytes());
        assert_eq!(
            line("PROXY TCP4 203.0.113.7 10.0.0.1 56324 443"),
            Some(client("203.0.113.7"))
        );
        assert_eq!(
            line("PROXY TCP6 2001:db8::1 ::1 56324 443"),
            Some(client("2001:db8::1"))
        );
        // One client, whichever socket it came by.
        assert_eq!(
            line("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2"),
            Some(client("203.0.113.7"))
        );
        assert_eq!(line("PROXY UNKNOWN"), Some(Said::Nobody));
        assert_eq!(
            line("PROXY UNKNOWN ffff:f...f ffff 65535 65535"),
            Some(Said::Nobody)
        );
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {longest} {longest} 65535 65535");
        assert_eq!(longest.len() + 2, LONGEST_LINE);
        assert_eq!(line(&longest), Some(Said::Nobody));
    }

    #[test]
    fn a_line_that_is_not_quite_one_is_none() {
        for text in [
            "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 x\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n",
            "PROXY TCP4  203.0.113.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 \r\n",
            "PROXY TCP4 203.0.113.07 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 203.0.113 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 2001:db8::1 ::1 56324 443\r\n",
            "PROXY TCP6 203.0.113.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP6 [2001:db8::1] ::1 56324 443\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 01 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\n\r\n",
            "PROXY UDP4 203.0.113.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP5 203.0.113.7 10.0.0.1 56324 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY\tTCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
            "proxy TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 203.0.113.7\0 10.0.0.1 56324 443\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(said(text.as_bytes()), None, "{text:?}");
        }
        // Not a byte more is read for a line that never ends.
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(1000));
        let (said, left) = reading(endless.as_bytes());
        assert!(matches!(said, Err(NoHeader::Unsound(_))));
        assert_eq!(endless.len() - left.len(), LONGEST_LINE);
    }

    #[test]
    fn the_binary_form_says_the_same() {
        assert_eq!(
            said(&v2(0x21, TCP4, 12, &v4_block())),
            Some(client("203.0.113.7"))
        );
        let v6 = v6_block("2001:db8::1");
        assert_eq!(said(&v2(0x21, TCP6, 36, &v6)), Some(client("2001:db8::1")));
        let mapped = v6_block("::ffff:203.0.113.7");
        assert_eq!(
            said(&v2(0x21, TCP6, 36, &mapped)),
            Some(client("203.0.113.7"))
        );
        // A health check, with and without addresses that mean nothing.
        assert_eq!(said(&v2(0x20, UNSPECIFIED, 0, &[])), Some(Said::Nobody));
        assert_eq!(said(&v2(0x20, TCP4, 12, &v4_block())), Some(Said::Nobody));
        assert_eq!(said(&v2(0x20, 0xff, 3, &[1, 2, 3])), Some(Said::Nobody));
        assert_eq!(said(&v2(0x21, UNSPECIFIED, 5, &[0; 5])), Some(Said::Nobody));
        assert_eq!(said(&v2(0x21, UNIX, 216, &[b'/'; 216])), Some(Said::Nobody));
        // Extensions: one without a value, one of an unknown type.
        let more = [v4_block(), vec![4, 0, 0], vec![0xee, 0, 2, 1, 2]].concat();
        assert_eq!(
            said(&v2(0x21, TCP4, more.len(), &more)),
            Some(client("203.0.113.7"))
        );
    }

    #[test]
    fn a_binary_form_of_the_wrong_length_version_or_family_is_none() {
        let block = v4_block();
        let broken = [block.clone(), vec![4, 0, 9, 1]].concat();
        let started = [block.clone(), vec![4, 0]].concat();
        for header in [
            v2(0x21, TCP4, 11, &block[..11]),
            v2(0x21, TCP4, 0, &[]),
            v2(0x21, TCP6, 12, &block),
            v2(0x21, UNIX, 12, &block),
            v2(0x21, TCP4, 16, &broken),
            v2(0x21, TCP4, 14, &started),
            v2(0x21, 0x12, 12, &block),
            v2(0x21, 0x22, 36, &v6_block("::1")),
            v2(0x21, 0x41, 12, &block),
            v2(0x21, 0x10, 12, &block),
            v2(0x22, TCP4, 12, &block),
            v2(0x11, TCP4, 12, &block),
            v2(0x01, TCP4, 12, &block),
            v2(0x21, TCP4, LONGEST_REST + 1, &[0; LONGEST_REST + 1]),
        ] {
            assert_eq!(said(&header), None, "{header:?}");
        }
        // More is announced than comes.
        let (said, _) = reading(&v2(0x21, TCP4, 200, &block));
        assert!(matches!(said, Err(NoHeader::Io(_))));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_within_bounds_and_without_a_panic(
            lead in prop_oneof![
                Just(Vec::new()),
                Just(SIGNATURE.to_vec()),
                Just(b"PROXY TCP4 ".to_vec()),
                Just(b"PROXY TCP6 ".to_vec()),
            ],
            rest in proptest::collection::vec(any::<u8>(), 0..6000),
        ) {
            let bytes = [lead, rest].concat();
            let (_, left) = reading(&bytes);
            prop_assert!(bytes.len() - left.len() <= SHORTEST + 1 + LONGEST_REST);
        }

        #[test]
        fn every_address_comes_back_in_both_forms(
            v4 in any::<[u8; 4]>(),
            v6 in any::<[u8; 16]>(),
            ports in any::<(u16, u16)>(),
            more in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (from, to) = ports;
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            let told = |address: IpAddr| Some(Said::Client(address.to_canonical()));
            let line = format!("PROXY TCP4 {v4} {v4} {from} {to}\r\n");
            prop_assert_eq!(said(line.as_bytes()), told(v4.into()));
            let line = format!("PROXY TCP6 {v6} {v6} {from} {to}\r\n");
            prop_assert_eq!(said(line.as_bytes()), told(v6.into()));
            let length = u16::try_from(more.len()).unwrap().to_be_bytes();
            let extension = [&[0xe0][..], &length, &more].concat();
            let rest = [&v6.octets()[..], &[0; 20], &extension].concat();
            prop_assert_eq!(said(&v2(0x21, TCP6, rest.len(), &rest)), told(v6.into()));
        }
    }
}
