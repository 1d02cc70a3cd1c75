//! What ACME needs to know: where the server is, and whom it may write to.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// The URL of an ACME server's directory, as its operator names it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DirectoryUrl(Box<str>);

impl DirectoryUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Let's Encrypt.
    pub(crate) fn usual() -> Self {
        Self("https://acme-v02.api.letsencrypt.org/directory".into())
    }
}

impl FromStr for DirectoryUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| {
            Err(ValueError::mend(format!("`{text}` is not the URL of an ACME directory"), mend))
        };
        let Some(rest) = text.strip_prefix("https://") else {
            // RFC 8555 section 6.1: over HTTPS only.
            let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
            return wrong(format!("write `https://{rest}`: ACME is spoken over HTTPS only"));
        };
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        if host.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['@', '#']) {
            return wrong("write it like `https://acme-v02.api.letsencrypt.org/directory`".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    DirectoryUrl,
    "the URL of an ACME directory",
    Shape::pattern("directory URL", r"^https://[^@#\s]+$")
);

/// An e-mail address, as far as a program can tell: something on both sides of one `@`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(Box<str>);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let address = text.strip_prefix("mailto:").unwrap_or(text);
        let sides = address.split_once('@');
        let sound = |side: &str| {
            !side.is_empty()
                && side.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"@,?&".contains(c))
        };
        match sides {
            Some((user, host)) if sound(user) && sound(host) => Ok(Self(address.into())),
            _ => Err(ValueError::mend(
                format!("`{text}` is not an e-mail address"),
                "write one like `ops@example.com`",
            )),
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(Email, "an e-mail address", Shape::pattern("e-mail address", r"^[^@\s]+@[^@\s]+$"));

#[cfg(test)]
mod tests {
    use super::{DirectoryUrl, Email};

    #[test]
    fn directories_and_contacts() {
        assert!("https://localhost:14000/dir".parse::<DirectoryUrl>().is_ok());
        for text in ["http://a/dir", "a/dir", "https://", "https://a b", "https://u@a/"] {
            assert!(text.parse::<DirectoryUrl>().is_err(), "{text}");
        }
        assert_eq!("mailto:ops@example.com".parse::<Email>().unwrap().as_str(), "ops@example.com");
        for text in ["ops", "@example.com", "a@b@c", "a b@c", ""] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }
}
