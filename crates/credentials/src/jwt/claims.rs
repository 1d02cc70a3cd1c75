//! What a token claims.

use serde_json::{Map, Value};

use super::rejection::{Claim, Rejection};
use crate::{Unusable, json};

/// Beyond this, in seconds, a number with a fraction is not exact (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The claims of a token, or of an answer that has the same members (RFC 7662 section 2.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    map: Map<String, Value>,
}

impl Claims {
    /// Of an object that was read already.
    pub fn new(map: Map<String, Value>) -> Self {
        Self { map }
    }

    /// Of an answer in JSON, whose length the caller has bounded.
    ///
    /// # Errors
    /// It is not one object, or has two members of one name.
    pub fn from_json(text: &[u8]) -> Result<Self, Unusable> {
        json::object(text).map(Self::new).map_err(|fault| match fault {
            json::Fault::Duplicate => Unusable("it has two members of one name"),
            json::Fault::Malformed => Unusable("it is not a JSON object"),
        })
    }

    /// All members, to keep.
    pub fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// All members.
    pub fn map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// A claim by name, or, if there is none of that name, by a path of names with dots between them
    /// (`realm_access.roles`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.map.get(name) {
            return Some(value);
        }
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(self.map.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// A claim that is a text.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The texts of a claim that is a text or a list of them; other members of the list are passed over.
    pub fn strings<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        texts(self.get(name))
    }

    /// The scopes: words of the text `scope` (RFC 8693 section 4.2) or members of a list of that name; if there is no
    /// `scope`, the same of `scp`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let value = self.map.get("scope").or_else(|| self.map.get("scp"));
        texts(value).flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty())
    }

    /// When the token expires, in seconds since 1970. `None` if it does not say so.
    pub fn expiry(&self) -> Option<u64> {
        self.time(Claim::Expiry).ok().flatten()
    }

    /// A time, in whole seconds since 1970 (RFC 7519 section 2, NumericDate).
    pub(super) fn time(&self, claim: Claim) -> Result<Option<u64>, Rejection> {
        let Some(value) = self.map.get(claim.name()) else { return Ok(None) };
        if let Some(whole) = value.as_u64() {
            return Ok(Some(whole));
        }
        match value.as_f64() {
            Some(seconds) if (0.0..EXACT).contains(&seconds) => Ok(Some(seconds as u64)),
            _ => Err(Rejection::BadClaim(claim)),
        }
    }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(other) => std::slice::from_ref(other),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::json;

    fn claims(text: &str) -> Claims {
        Claims::new(json::object(text.as_bytes()).unwrap())
    }

    #[test]
    fn scopes_are_found_in_all_their_spellings() {
        for text in [
            r#"{"scope":"a b"}"#,
            r#"{"scope":["a","b"]}"#,
            r#"{"scp":"a  b"}"#,
            r#"{"scp":["a","b",7]}"#,
            r#"{"scope":"a b","scp":"admin"}"#,
        ] {
            assert_eq!(claims(text).scopes().collect::<Vec<_>>(), ["a", "b"], "{text}");
        }
        assert_eq!(claims(r#"{"scope":7}"#).scopes().count(), 0);
    }

    #[test]
    fn a_claim_with_a_dot_in_its_name_goes_before_a_path() {
        let nested = claims(r#"{"a":{"b":{"c":["x","y"]}}}"#);
        assert_eq!(nested.strings("a.b.c").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(nested.get("a.c"), None);
        assert_eq!(nested.get("a.b.c.d"), None);
        assert_eq!(claims(r#"{"a.b":"flat","a":{"b":"deep"}}"#).string("a.b"), Some("flat"));
        assert_eq!(claims(r#"{"https://x.example/team":"t"}"#).string("https://x.example/team"), Some("t"));
    }
}
