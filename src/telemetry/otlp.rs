//! Spans as the OpenTelemetry protocol writes them (OTLP 1.x, `opentelemetry/proto/trace/v1`), in the binary
//! encoding of Protocol Buffers that every receiver takes. Only the fields that a span of ours has.

use super::span::{Mark, Role, Span, Value};

/// Who the spans are from.
#[derive(Debug, Clone)]
pub struct Resource {
    pub version: &'static str,
    /// Tells the replicas of a service apart.
    pub instance: String,
}

pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// An `ExportTraceServiceRequest`. Without spans it asks for nothing, and shows whether any would be taken.
pub fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |message| {
            for (key, text) in [
                ("service.name", "writ"),
                ("service.version", resource.version),
                ("service.instance.id", &resource.instance),
            ] {
                message.message(1, |pair| attribute(pair, key, Value::Text(text)));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.text(1, "writ");
                scope.text(2, resource.version);
            });
            for one in spans {
                scope_spans.message(2, |message| span(message, one));
            }
        });
    });
    request.0
}

/// How many spans an `ExportTraceServiceResponse` says were not taken; none for what cannot be read.
pub fn rejected(response: &[u8]) -> u64 {
    let partial = fields(response).find_map(|field| match field {
        Field::Bytes(1, partial) => Some(partial),
        Field::Bytes(..) | Field::Number(..) => None,
    });
    let mut told = fields(partial.unwrap_or_default());
    let count = told.find_map(|field| match field {
        Field::Number(1, count) => Some(count),
        Field::Bytes(..) | Field::Number(..) => None,
    });
    count.unwrap_or(0)
}

fn span(message: &mut Message, span: &Span) {
    message.bytes(1, span.trace.bytes());
    message.bytes(2, span.id.bytes());
    if let Some(parent) = span.parent {
        message.bytes(4, parent.bytes());
    }
    message.text(5, &span.name);
    message.number(
        6,
        match span.role {
            Role::Internal => 1,
            Role::Server => 2,
            Role::Client => 3,
        },
    );
    message.fixed(7, span.began);
    message.fixed(8, span.ended);
    for (at, mark) in span.marks.iter().enumerate() {
        // Of two marks with one key the later one holds: keys are unique (`KeyValue`).
        let later = span.marks.iter().skip(at + 1).map(Mark::key);
        if !later.clone().any(|key| key == mark.key()) {
            message.message(9, |pair| attribute(pair, mark.key(), mark.value()));
        }
    }
    if span.failed() {
        message.message(15, |status| status.number(3, STATUS_ERROR));
    }
}

fn attribute(pair: &mut Message, key: &str, value: Value<'_>) {
    pair.text(1, key);
    pair.message(2, |any| match value {
        Value::Text(text) => any.text(1, text),
        Value::Bool(yes) => any.number(2, u64::from(yes)),
        Value::Number(number) => any.number(3, u64::from(number)),
    });
}

/// A message under way. Field numbers are those of the protocol's definitions.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(number);
    }

    fn fixed(&mut self, field: u64, number: u64) {
        self.varint(field << 3 | FIXED);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(low_bits(number) | 0x80);
            number >>= 7;
        }
        self.0.push(low_bits(number));
    }
}

fn low_bits(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 0x7f
}

/// A field as it stands in a message, of the kinds that are looked for.
enum Field<'a> {
    Bytes(u64, &'a [u8]),
    Number(u64, u64),
}

/// The fields of a message, up to the first that cannot be read.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        match key & 7 {
            VARINT => Some(Field::Number(key >> 3, varint(&mut rest)?)),
            DELIMITED => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(Field::Bytes(key >> 3, bytes))
            }
            _ => None,
        }
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

const VARINT: u64 = 0;
const FIXED: u64 = 1;
const DELIMITED: u64 = 2;

/// `STATUS_CODE_ERROR`
const STATUS_ERROR: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_did_not_take_is_read_and_garbage_is_nothing() {
        // partial_success { rejected_spans: 300, error_message: "no" }
        let partial = [0x08, 0xac, 0x02, 0x12, 0x02, b'n', b'o'];
        let mut response = vec![0x0a, 0x07];
        response.extend(partial);
        assert_eq!(rejected(&response), 300);
        for garbage in [
            &b""[..],
            b"\x0a",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0a\x05\x08",
            b"<html>not found</html>",
            &response[..8],
        ] {
            assert_eq!(rejected(garbage), 0, "{garbage:?}");
        }
        for end in 0..response.len() {
            rejected(&response[..end]);
        }
    }

    #[test]
    fn numbers_of_every_length_survive() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut message = Message::default();
            message.varint(number);
            let mut rest = message.0.as_slice();
            assert_eq!(varint(&mut rest), Some(number));
            assert!(rest.is_empty());
        }
    }
}
