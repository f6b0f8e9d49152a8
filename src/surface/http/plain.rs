//! What everybody reads the same: a path, and whom a request is for. What is judged here and served by another
//! program has to be one thing for both.

use std::net::Ipv6Addr;

/// Whether everybody who reads the path reads the same: no way up, nothing doubled, no parameters of segments,
/// and nothing encoded that could stand for a part of its structure or for itself.
pub(super) fn is_plain_path(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let plain = |segment: &str| {
        !matches!(segment, "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@%".contains(&b))
            && segment.split('%').skip(1).all(encodes_text)
    };
    // A path may end in a slash; inside, a segment has a name.
    let (inner, last) = below.rsplit_once('/').unwrap_or(("", below));
    let mut inner = inner.split('/').filter(|_| below.contains('/'));
    plain(last) && inner.all(|segment| !segment.is_empty() && plain(segment))
}

/// Whether this is a host, perhaps with a port, and nothing else: no user before it, no path behind it, nothing
/// encoded (RFC 3986 §3.2).
pub(super) fn is_plain_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let named = match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| plain(b) || b == b'-' || b == b'_'),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(plain))
}

/// Whether what follows a percent sign encodes a byte that has no other meaning in a path.
fn encodes_text(after: &str) -> bool {
    let digits = after.get(..2).filter(|digits| {
        let mut bytes = digits.bytes();
        bytes.all(|b| b.is_ascii_hexdigit())
    });
    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_some_and(|byte| {
        let itself = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !itself && !byte.is_ascii_control() && !b"/\\%;?#".contains(&byte)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_plain_authority, is_plain_path};

    #[test]
    fn a_path_with_one_reading_is_taken() {
        for path in [
            "/",
            "/accounts/AC-9/invoices/7",
            "/a/",
            "/a%20b/%C3%A9",
            "/a.b/..c/~x",
            "/q=1,2:3@4",
        ] {
            assert!(is_plain_path(path), "{path}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_not() {
        for path in [
            "",
            "a",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/..",
            "/a%2fb",
            "/a%2Fb",
            "/%2e%2e/b",
            "/a%5cb",
            "/a\\b",
            "/a;x=1/b",
            "/a/..;/b",
            "/a%3bx",
            "/a%00",
            "/a%0d",
            "/a%25b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%41",
            "/a b",
            "/a#b",
            "/\u{e9}",
            "/a%3fb",
        ] {
            assert!(!is_plain_path(path), "{path}");
        }
    }

    #[test]
    fn a_host_is_taken_and_nothing_around_it() {
        for authority in [
            "billing.example",
            "Billing.Example:8443",
            "a_b-c",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::7]:443",
        ] {
            assert!(is_plain_authority(authority), "{authority}");
        }
        for authority in [
            "",
            ":80",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]80",
            "[billing.example]",
            "billing.example:+80",
            "billing.example:70000",
            "[::1]:x",
            "::1",
            "user@billing.example",
            "billing.example@evil",
            "billing.example/a",
            "billing.example#",
            "billing.example?",
            "billing.example\\",
            "billing.example:80:80",
            "billing.example:",
            "%62illing.example",
            "b\u{ef}lling.example",
            "billing.example, other.example",
            "billing.example ",
        ] {
            assert!(!is_plain_authority(authority), "{authority}");
        }
    }
}
