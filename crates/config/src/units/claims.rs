//! What identities say: claims, scopes, and values of claims.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::setting::{Decoder, Setting, ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;
use crate::tree::Node;

/// Bytes of a path of claims, and names in it.
const LONGEST: usize = 256;
const DEEPEST: usize = 16;

/// Which claim: its name, or names joined by `.` for a claim within claims (`realm_access.roles`). A text with `://`
/// in it is one name, since claims may be called by URLs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the outermost in; at least one, none empty.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let whole = self.0.contains("://");
        self.0.split(move |sign| sign == '.' && !whole)
    }

    /// `sub`, which names the subject (RFC 7519 section 4.1.2).
    pub(crate) fn sub() -> Self {
        Self("sub".into())
    }
}

impl AsRef<str> for ClaimPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() > LONGEST {
            return Err(ValueError::new(format!("the path of a claim has at most {LONGEST} bytes")));
        }
        let path = Self(text.into());
        if text.contains(char::is_control) || path.names().any(str::is_empty) {
            let mend = "write its name, or names joined by `.`: `realm_access.roles`";
            return Err(ValueError::mend(format!("`{}` names no claim", text.escape_debug()), mend));
        }
        if path.names().count() > DEEPEST {
            return Err(ValueError::new(format!("the path of a claim has at most {DEEPEST} names")));
        }
        Ok(path)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Named for ClaimPath {
    const WORD: &'static str = "claim";
}

text_setting!(ClaimPath, "a claim", Shape::text("claim"));

/// A single value of a claim. Without quotes, `true`, `false` and whole numbers are what they look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClaimValue {
    /// A text.
    Text(Box<str>),
    /// A whole number.
    Number(i64),
    /// A boolean.
    Flag(bool),
}

impl Setting for ClaimValue {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let scalar = decoder.scalar(node, "a single value")?;
        let text = scalar.text.as_str();
        Some(match text {
            "true" | "false" if scalar.plain => Self::Flag(text == "true"),
            _ => match text.parse() {
                // Not `007`, nor `+7`: these are texts.
                Ok(number) if scalar.plain && i64::to_string(&number) == text => Self::Number(number),
                _ => Self::Text(text.into()),
            },
        })
    }
    fn shape() -> Shape {
        Shape::text("text, number or boolean")
    }
    fn encode(&self) -> Json {
        match self {
            Self::Text(text) => (**text).into(),
            Self::Number(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
        }
    }
}

/// The name of a scope (RFC 6749 section 3.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeName(Box<str>);

impl ScopeName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `openid`, which asks for an identity (OpenID Connect Core section 3.1.2.1).
    pub(crate) fn openid() -> Self {
        Self("openid".into())
    }
}

impl FromStr for ScopeName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        let mend = match text.contains(' ') {
            true => "write a list: each scope is an entry of its own",
            false => "write visible ASCII signs without `\"` and `\\`",
        };
        Err(ValueError::mend(format!("`{}` is not a scope", text.escape_debug()), mend))
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(ScopeName, "a scope", Shape::pattern("scope", r"^[!#-\[\]-~]{1,256}$"));

#[cfg(test)]
mod tests {
    use super::{ClaimPath, ScopeName};

    #[test]
    fn claims_are_paths_of_names() {
        let names = |text: &str| {
            let path: ClaimPath = text.parse().unwrap();
            path.names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("sub"), ["sub"]);
        assert_eq!(names("realm_access.roles"), ["realm_access", "roles"]);
        assert_eq!(names("https://app.example/roles"), ["https://app.example/roles"]);
        for text in ["", ".", "a.", ".a", "a..b", "a\nb", &"a".repeat(257), &["a"; 17].join(".")] {
            assert!(text.parse::<ClaimPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn scopes_are_single_words() {
        for text in ["openid", "orders:write", "https://a/b"] {
            assert!(text.parse::<ScopeName>().is_ok(), "{text}");
        }
        assert!("a b".parse::<ScopeName>().unwrap_err().to_string().contains("write a list"));
        for text in ["", "\"", "a\\b", "é"] {
            assert!(text.parse::<ScopeName>().is_err(), "{text}");
        }
    }
}
