//! What signatures of messages cover.

use std::fmt;
use std::str::FromStr;

use super::http::is_token;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Components that are not fields and that requests have (RFC 9421 section 2.2).
const DERIVED: [&str; 7] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];

/// A component that a signature covers (RFC 9421 section 2): `@method` and its like, or the name of a field in lower
/// case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ComponentName(Box<str>);

impl ComponentName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What says which request it is: its method and its URL.
    pub(crate) fn usual() -> Vec<crate::Located<Self>> {
        ["@method", "@target-uri"].map(|name| crate::Located::nowhere(Self(name.into()))).into()
    }
}

impl FromStr for ComponentName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| {
            Err(ValueError::mend(format!("`{}` is no component of a request", text.escape_debug()), mend))
        };
        if text.starts_with('@') {
            let known = DERIVED.map(|name| format!("`{name}`")).join(", ");
            return match DERIVED.contains(&text) {
                true => Ok(Self(text.into())),
                false => wrong(format!("write the name of a field, or one of {known}")),
            };
        }
        if !is_token(text) || text.len() > 256 {
            return wrong("write `@method`, `@target-uri` or the name of a field".to_owned());
        }
        let lower = text.to_ascii_lowercase();
        if lower != text {
            return wrong(format!("names of fields are in lower case there: `{lower}`"));
        }
        if matches!(text, "signature" | "signature-input") {
            return wrong("a signature cannot cover itself".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(
    ComponentName,
    "a component of a request",
    Shape::pattern("component", r"^(@[a-z-]+|[!#$%&'*+.^_`|~0-9a-z-]{1,256})$")
);

#[cfg(test)]
mod tests {
    use super::ComponentName;

    #[test]
    fn components_are_derived_ones_or_fields() {
        for text in ["@method", "@target-uri", "content-digest", "x-request-id"] {
            assert!(text.parse::<ComponentName>().is_ok(), "{text}");
        }
        for (text, part) in [
            ("@status", "one of `@method`"),
            ("Content-Digest", "`content-digest`"),
            ("signature", "cover itself"),
            ("", "name of a field"),
            ("a b", "name of a field"),
        ] {
            let error = text.parse::<ComponentName>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
