//! Media types of bodies.

use std::fmt;
use std::str::FromStr;

use super::http::is_token;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// A media type (RFC 9110 section 8.3.1) without parameters, in lower case: `application/json`, or `image/*` for all of
/// a kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MediaType(Box<str>);

impl MediaType {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `image/` of `image/*`.
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }
}

impl FromStr for MediaType {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| {
            Err(ValueError::mend(format!("`{}` is not a media type", text.escape_debug()), mend))
        };
        if let Some((kind, _)) = text.split_once(';') {
            return wrong(format!("write `{}`; parameters do not count", kind.trim()));
        }
        match text.split_once('/') {
            Some((kind, rest))
                if is_token(kind) && is_token(rest) && !kind.contains('*') && text.len() <= 256 =>
            {
                if rest.contains('*') && rest != "*" {
                    return wrong(format!("write `{kind}/*`"));
                }
                Ok(Self(text.to_ascii_lowercase().into()))
            }
            _ => wrong("write it like `application/json` or `image/*`".to_owned()),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(
    MediaType,
    "a media type",
    Shape::pattern("media type", r"^[!#$%&'+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
);

#[cfg(test)]
mod tests {
    use super::MediaType;

    #[test]
    fn media_types_are_read_or_refused_with_the_mend() {
        assert_eq!("Application/JSON".parse::<MediaType>().unwrap().as_str(), "application/json");
        assert_eq!("image/*".parse::<MediaType>().unwrap().prefix(), Some("image/"));
        assert_eq!("text/html".parse::<MediaType>().unwrap().prefix(), None);
        for (text, part) in [
            ("text/html; charset=utf-8", "write `text/html`"),
            ("json", "like `application/json`"),
            ("*/*", "like `application/json`"),
            ("text/", "like `application/json`"),
            ("text/x*", "write `text/*`"),
        ] {
            let error = text.parse::<MediaType>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
