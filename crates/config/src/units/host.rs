//! Host names and the patterns that routes match them by.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;

/// A host that a route is for: a name, or `*.` and a name for all names below it, at any depth (Gateway
/// API). In lower case, since host names have none (RFC 9110 section 4.2.3); never with a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(Box<str>);

impl HostPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows `*`, with its dot, if the pattern has one.
    pub fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }
}

impl FromStr for HostPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| Err(ValueError::mend(format!("`{text}` is not a host"), mend));
        if text == "*" {
            return wrong("leave `hosts` out to match all hosts".to_owned());
        }
        if let Some((_, rest)) = text.split_once("://") {
            return wrong(format!("remove the scheme: `{rest}`"));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if is_name(name) {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        if let Some((host, _)) = name.split_once(':').filter(|(host, _)| is_name(host)) {
            let star = if name.len() < text.len() { "*." } else { "" };
            return wrong(format!("remove the port: `{star}{host}`; the listener decides about ports"));
        }
        if name.contains('*') {
            return wrong("a `*` can only be the whole first label: `*.example.com`".to_owned());
        }
        if !name.is_ascii() {
            return wrong("write international names in their ASCII form, `xn--…`".to_owned());
        }
        wrong("write a name like `shop.example.com` or `*.example.com`".to_owned())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for HostPattern {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Named for HostPattern {
    const WORD: &'static str = "host";
}

text_setting!(
    HostPattern,
    "a host",
    Shape::pattern("host", r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$")
);

/// Whether this is a host name: labels of letters, digits, `-` and `_` (which container networks
/// use), at most 63 each and 253 in all (RFC 1035 section 2.3.4).
pub(super) fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn hosts_are_read_or_refused_with_the_mend() {
        for text in
            ["shop.example.com", "*.Example.com", "localhost", "a_b.c", "10.0.0.1", "xn--bcher-kva.example"]
        {
            assert_eq!(text.parse::<HostPattern>().unwrap().as_str(), text.to_ascii_lowercase());
        }
        assert_eq!("*.example.com".parse::<HostPattern>().unwrap().suffix(), Some(".example.com"));
        for (text, part) in [
            ("*", "leave `hosts` out"),
            ("shop.example.com:8080", "remove the port: `shop.example.com`"),
            ("*.example.com:80", "remove the port: `*.example.com`"),
            ("https://shop.example.com", "remove the scheme: `shop.example.com`"),
            ("a.*.com", "whole first label"),
            ("*shop.com", "whole first label"),
            ("bücher.example", "xn--"),
            ("a..b", "write a name"),
            ("a.b.", "write a name"),
            ("-a.b", "write a name"),
            ("", "write a name"),
        ] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
