//! Names that the document gives to its parts.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;

/// A name of an upstream, a route or a listener: 1 to 128 letters, digits, `-`, `_` and `.`, not
/// starting with `-` or `.`. It appears in logs, metrics and paths of the admin API, hence no more signs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['-', '.']) {
            return Ok(Self(text.into()));
        }
        let mend = "use 1 to 128 letters, digits, `-`, `_` and `.`, beginning with a letter, digit or `_`";
        Err(ValueError::mend(format!("`{text}` is not a name"), mend))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Named for Name {
    const WORD: &'static str = "name";
}

text_setting!(Name, "a name", Shape::pattern("name", r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"));

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_read_or_refused() {
        for text in ["a", "products-next", "v1.orders", "_x", &"a".repeat(128)] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
        for text in ["", "-a", ".a", "a b", "a/b", "a:b", "é", &"a".repeat(129)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }
}
