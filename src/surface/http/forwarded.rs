//! Whom a request was forwarded for, in the headers that proxies write: `Forwarded` (RFC 7239) and the older
//! `X-Forwarded-For`. Each proxy adds whom it was asked by, at the end. What stands before that anybody may
//! have written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

/// The hops, nearest first; `None` for one that is hidden, unknown or cannot be read.
pub(super) fn hops(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<IpAddr>> {
    let standard = *name == header::FORWARDED;
    let mut hops = Vec::new();
    for value in headers.get_all(name) {
        // A value that is no text is one hop that cannot be read.
        let Ok(text) = value.to_str() else {
            hops.push(None);
            continue;
        };
        if standard {
            hops.extend(elements(text));
        } else {
            hops.extend(text.split(',').map(|hop| node(hop.trim_matches(BLANK))));
        }
    }
    hops.into_iter().rev()
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Each element's `for` (RFC 7239 §4). Behind a quote that never ends nothing is where it seems to be.
fn elements(text: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = split(text, ',') else {
        return vec![None];
    };
    elements.into_iter().map(element).collect()
}

fn element(text: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(text, ';')? {
        let (name, value) = pair.split_once('=')?;
        if !name.trim_matches(BLANK).eq_ignore_ascii_case("for") {
            continue;
        }
        // A name must not come twice in one element.
        if found.is_some() {
            return None;
        }
        let value = value.trim_matches(BLANK);
        let bare = match value.strip_prefix('"') {
            // No node has anything in it that needs a backslash.
            Some(quoted) => quoted
                .strip_suffix('"')
                .filter(|s| !s.contains(['"', '\\']))?,
            None => value,
        };
        found = Some(node(bare)?);
    }
    found
}

/// The parts between the separators that stand in no quoted string.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text.get(start..at)?);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!quoted).then_some(parts)
}

/// An address, with a port or without; IPv6 in brackets or bare. Not a name, `unknown` or `_hidden`.
fn node(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let address = plain.or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

const BLANK: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(name: &HeaderName, values: &[&str]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                name,
                http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        hops(&headers, name)
            .map(|hop| hop.map(|it| it.to_string()))
            .collect()
    }

    fn expected(hops: &[&str]) -> Vec<Option<String>> {
        let one = |hop: &&str| (*hop != "?").then(|| (*hop).to_owned());
        hops.iter().map(one).collect()
    }

    #[test]
    fn the_nearest_hop_comes_first_over_all_lines_of_the_header() {
        for (values, hops) in [
            (&["203.0.113.7"][..], &["203.0.113.7"][..]),
            (&["1.2.3.4, 203.0.113.7"], &["203.0.113.7", "1.2.3.4"]),
            (
                &["1.2.3.4", "203.0.113.7,10.0.0.1"],
                &["10.0.0.1", "203.0.113.7", "1.2.3.4"],
            ),
            (
                &["203.0.113.7:4711", "[2001:db8::1]:443"],
                &["2001:db8::1", "203.0.113.7"],
            ),
            (
                &["2001:db8::1", "[2001:db8::2]", "::ffff:10.0.0.1"],
                &["10.0.0.1", "2001:db8::2", "2001:db8::1"],
            ),
            (
                &["unknown, , 203.0.113.7,"],
                &["?", "203.0.113.7", "?", "?"],
            ),
            (
                &["10.0.0.1.example", "010.0.0.1", "fe80::1%eth0"],
                &["?", "?", "?"],
            ),
            (&["203.0.113.7\u{e9}"], &["?"]),
        ] {
            assert_eq!(told(&X_FORWARDED_FOR, values), expected(hops), "{values:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_by_its_grammar() {
        for (value, hops) in [
            ("for=203.0.113.7", &["203.0.113.7"][..]),
            (
                "For=\"203.0.113.7:4711\";proto=https;by=10.0.0.1",
                &["203.0.113.7"],
            ),
            (
                "for=\"[2001:db8::1]:4711\", for=10.0.0.1",
                &["10.0.0.1", "2001:db8::1"],
            ),
            ("proto=https; for = 203.0.113.7 ", &["203.0.113.7"]),
            ("for=unknown, for=_hidden, for=\"_x:1\"", &["?", "?", "?"]),
            ("proto=https", &["?"]),
            ("for=1.2.3.4;for=203.0.113.7", &["?"]),
            ("for=203.0.113.7;x", &["?"]),
            // A quote hides the separators in it, and one without an end everything.
            ("host=\"a, for=1.2.3.4\";for=203.0.113.7", &["203.0.113.7"]),
            (
                "host=\"a\\\", for=1.2.3.4\";for=203.0.113.7",
                &["203.0.113.7"],
            ),
            ("host=\"a, for=1.2.3.4", &["?"]),
            ("for=\"1.2.3.4\\\"\"", &["?"]),
            ("for=", &["?"]),
            ("", &["?"]),
        ] {
            assert_eq!(
                told(&header::FORWARDED, &[value]),
                expected(hops),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_the_nearest_proxy_adds_stands_first_whatever_was_before_it(
            before in "[ -~]{0,60}",
            client in any::<[u8; 4]>(),
        ) {
            let client = IpAddr::from(client);
            let first = |name: &HeaderName, added: String| {
                let mut headers = HeaderMap::new();
                headers.append(name, before.parse().unwrap());
                headers.append(name, added.parse().unwrap());
                hops(&headers, name).next()
            };
            prop_assert_eq!(first(&X_FORWARDED_FOR, client.to_string()), Some(Some(client)));
            prop_assert_eq!(first(&header::FORWARDED, format!("for={client}")), Some(Some(client)));
        }
    }
}
