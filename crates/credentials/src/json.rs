//! JSON objects without two members of one name, at any depth.
//!
//! Most parsers keep the last of two members, some the first: where the signer's and the verifier's differ, a token
//! means two things. RFC 7515 section 4 and RFC 7519 section 4 allow to refuse them, and so it is done here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why something is not an object that means one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Two members of one name.
    Duplicate,
    /// Not JSON, not an object, nested too deep (serde_json stops at 128 levels), a number out of range.
    Malformed,
}

const DUPLICATE: &str = "duplicate member";

/// Reads one object; nothing may follow it. Work and memory are bounded by the length of `bytes`, which the caller
/// bounds.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) => Err(Fault::Malformed),
        Err(error) if error.to_string().starts_with(DUPLICATE) => Err(Fault::Duplicate),
        Err(_) => Err(Fault::Malformed),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = members.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            let Strict(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, object};

    #[test]
    fn members_of_one_name_are_refused_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            r#"{"x":[[{"a":1,"a":3}]]}"#,
        ] {
            assert_eq!(object(text.as_bytes()), Err(Fault::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_malformed() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        for text in ["", "1", "[]", "null", "{} {}", "{}x", "{\"a\":1e999}", "{\"a\":01}", "{'a':1}", &deep] {
            assert_eq!(object(text.as_bytes()), Err(Fault::Malformed), "{:.40}", text);
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(Fault::Malformed));
        assert_eq!(object(b" {\"a\": [null, true, -1, 1.5, \"x\"]} ").map(|map| map.len()), Ok(1));
    }
}
