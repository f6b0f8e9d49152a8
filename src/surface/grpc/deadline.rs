//! How long a caller waits for its answer: `grpc-timeout` (gRPC over HTTP/2, "Requests").

use std::time::Duration;

use http::HeaderMap;

/// The time that the caller gives; without one that can be read, the listener's own limit is all there is.
pub(super) fn given(metadata: &HeaderMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (value, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let digits = (1..=8).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let value: u64 = value.parse().ok().filter(|_| digits)?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_digits_and_a_unit() {
        let read = |text: &str| {
            let mut metadata = HeaderMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            given(&metadata)
        };
        assert_eq!(read("5000m"), Some(Duration::from_secs(5)));
        assert_eq!(read("1S"), Some(Duration::from_secs(1)));
        assert_eq!(
            read("99999999H").map(|d| d.as_secs() / 3600),
            Some(99_999_999)
        );
        assert_eq!(read("250u"), Some(Duration::from_micros(250)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "S1",
            "\u{b5}1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}
