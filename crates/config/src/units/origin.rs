//! Origins of web pages (RFC 6454), and patterns of them.

use std::fmt;
use std::str::FromStr;

use super::address::EndpointAddress;
use super::host::is_name;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Which origins: `https://app.example`, `https://*.example.com` for all hosts below, or `*` for all.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OriginPattern(Of);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Of {
    Any,
    Site {
        https: bool,
        /// In lower case; with a star, what follows it.
        host: Box<str>,
        below: bool,
        /// `None` for the scheme's own, which browsers leave out.
        port: Option<u16>,
    },
}

impl OriginPattern {
    /// Whether it is `*`.
    pub fn is_any(&self) -> bool {
        self.0 == Of::Any
    }

    /// An `Origin` field must begin with this, in lower case: `https://`, or `https://app.example` and no more
    /// than [`OriginPattern::end`] behind it. `None` for `*`.
    pub fn start(&self) -> Option<String> {
        let Of::Site { https, host, below, .. } = &self.0 else { return None };
        let scheme = if *https { "https" } else { "http" };
        Some(if *below { format!("{scheme}://") } else { format!("{scheme}://{host}") })
    }

    /// What an `Origin` field must end in: `.example.com` and the port where there is a star (at least one label
    /// is between start and end), else the port, or nothing. `None` for `*`.
    pub fn end(&self) -> Option<String> {
        let Of::Site { host, below, port, .. } = &self.0 else { return None };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(if *below { format!("{host}{port}") } else { port })
    }

    /// Whether something must stand between start and end: host labels.
    pub fn is_below(&self) -> bool {
        matches!(self.0, Of::Site { below: true, .. })
    }

    /// Whether its scheme is plain http.
    pub fn is_plain(&self) -> bool {
        matches!(self.0, Of::Site { https: false, .. })
    }
}

impl FromStr for OriginPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| Err(ValueError::mend(format!("`{text}` is not an origin"), mend));
        if text == "*" {
            return Ok(Self(Of::Any));
        }
        if text == "null" {
            return wrong("any page can make its origin `null`; serve it from a site of its own".to_owned());
        }
        let Some((scheme, authority)) = text.split_once("://") else {
            return wrong(format!("write `https://{text}`"));
        };
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return wrong("the scheme is `https` or `http`".to_owned()),
        };
        if let Some((origin, _)) = authority.split_once(['/', '?', '#']) {
            return wrong(format!("an origin ends with its host and port: `{scheme}://{origin}`"));
        }
        let (name, below) = match authority.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (authority, false),
        };
        if name.contains('*') {
            return wrong("a `*` can only be the whole first label: `https://*.example.com`".to_owned());
        }
        let address: EndpointAddress = format!("{scheme}://{name}").parse()?;
        if below && (!is_name(address.host()) || address.socket().is_some()) {
            return wrong("a `*` stands before the name of a host".to_owned());
        }
        let usual = if https { 443 } else { 80 };
        let host = match (below, address.host().contains(':')) {
            (true, _) => format!(".{}", address.host()),
            (false, true) => format!("[{}]", address.host()),
            (false, false) => address.host().to_owned(),
        };
        let port = Some(address.port()).filter(|port| *port != usual);
        Ok(Self(Of::Site { https, host: host.into(), below, port }))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start(), self.end()) {
            (Some(start), Some(end)) => write!(f, "{start}{}{end}", if self.is_below() { "*" } else { "" }),
            _ => f.write_str("*"),
        }
    }
}

impl fmt::Debug for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(OriginPattern, "an origin", Shape::pattern("origin", r"^(\*|https?://(\*\.)?[^/?#@\s*]+)$"));

#[cfg(test)]
mod tests {
    use super::OriginPattern;

    #[test]
    fn origins_are_read_or_refused_with_the_mend() {
        for (text, shown, start, end) in [
            ("https://App.example", "https://app.example", "https://app.example", ""),
            ("https://app.example:443", "https://app.example", "https://app.example", ""),
            ("http://localhost:3000", "http://localhost:3000", "http://localhost", ":3000"),
            ("https://*.example.com", "https://*.example.com", "https://", ".example.com"),
            ("https://*.example.com:8443", "https://*.example.com:8443", "https://", ".example.com:8443"),
            ("http://[::1]:81", "http://[::1]:81", "http://[::1]", ":81"),
        ] {
            let origin: OriginPattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(origin.to_string(), shown);
            assert_eq!((origin.start().as_deref(), origin.end().as_deref()), (Some(start), Some(end)));
            assert_eq!(shown.parse(), Ok(origin));
        }
        assert!("*".parse::<OriginPattern>().unwrap().is_any());
        for (text, part) in [
            ("app.example", "write `https://app.example`"),
            ("null", "site of its own"),
            ("https://app.example/", "`https://app.example`"),
            ("ftp://a", "`https` or `http`"),
            ("https://a.*.example", "whole first label"),
            ("https://*app.example", "whole first label"),
            ("https://*", "whole first label"),
            ("https://*.10.0.0.1", "before the name"),
            ("https://", "neither a host name"),
            ("https://a:0", "port 0"),
        ] {
            let error = text.parse::<OriginPattern>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
