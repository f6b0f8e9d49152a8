//! JSON objects as security tokens need them: a member that comes twice is refused, at any depth,
//! because two readers might each take another one of them.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

/// A JSON object without duplicate members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object(Map<String, Value>);

/// A member is missing or has another type than it must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMember {
    #[error("not a JSON object, or a member comes twice")]
    Object,
    #[error("`{0}` is missing or not text")]
    Text(&'static str),
    #[error("`{0}` is missing or not a time in whole seconds")]
    Time(&'static str),
}

impl Object {
    pub fn parse(bytes: &[u8]) -> Result<Self, BadMember> {
        match serde_json::from_slice::<Strict>(bytes) {
            Ok(Strict(Value::Object(map))) => Ok(Self(map)),
            Ok(Strict(_)) | Err(_) => Err(BadMember::Object),
        }
    }

    /// The object as a plain value, once its members are known to be unique.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// A member that must be there and be text.
    pub fn text(&self, name: &'static str) -> Result<&str, BadMember> {
        self.0
            .get(name)
            .and_then(Value::as_str)
            .ok_or(BadMember::Text(name))
    }

    /// A member that may be absent, but is text when it is there.
    pub fn optional_text(&self, name: &'static str) -> Result<Option<&str>, BadMember> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(BadMember::Text(name)),
        }
    }

    /// A `NumericDate` (RFC 7519 §2) that must be there. Whole seconds only: a fraction or an
    /// exponent has no use here and more than one reading.
    pub fn seconds(&self, name: &'static str) -> Result<i64, BadMember> {
        self.optional_seconds(name)?.ok_or(BadMember::Time(name))
    }

    /// As [`Object::seconds`], for a member that may be absent.
    pub fn optional_seconds(&self, name: &'static str) -> Result<Option<i64>, BadMember> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => Ok(Some(seconds)),
            Some(_) | None => Err(BadMember::Time(name)),
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(Self)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member comes twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// The end of the year 9999: no honest token names a later time.
const LAST_SECOND: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_refused_at_any_depth() {
        for twice in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(
                Object::parse(twice.as_bytes()),
                Err(BadMember::Object),
                "{twice}"
            );
        }
        Object::parse(br#"{"a":{"b":1},"b":1}"#).unwrap();
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [
            "[]",
            "1",
            "null",
            "{} {}",
            "{",
            "",
            deep.as_str(),
            "{\"a\":\"\u{0}\"}",
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(
                Object::parse(bad.as_bytes()),
                Err(BadMember::Object),
                "{bad:.20}"
            );
        }
    }

    /// A7: times of every wrong shape.
    #[test]
    fn a7_a_time_is_whole_seconds_and_nothing_else() {
        for bad in [
            r#""1""#,
            "1e308",
            "1.5",
            "-1",
            "null",
            "[1]",
            "{}",
            "true",
            "99999999999999999999",
            "253402300800",
        ] {
            let object = Object::parse(format!(r#"{{"exp":{bad}}}"#).as_bytes()).unwrap();
            assert_eq!(object.seconds("exp"), Err(BadMember::Time("exp")), "{bad}");
        }
        assert_eq!(
            Object::parse(b"{}").unwrap().seconds("exp"),
            Err(BadMember::Time("exp"))
        );
        assert_eq!(
            Object::parse(br#"{"exp":17}"#).unwrap().seconds("exp"),
            Ok(17)
        );
    }
}
