//! The URL of a collector of traces.

use std::fmt;
use std::str::FromStr;

use super::address::EndpointAddress;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Where OTLP receivers take traces, below the address they are configured with (OTLP, section "OTLP/HTTP").
const USUAL_PATH: &str = "/v1/traces";

/// Where spans are posted to: `http://host:port`, with a path or without.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CollectorUrl {
    address: EndpointAddress,
    /// As written; empty for the usual one.
    path: Box<str>,
}

impl CollectorUrl {
    /// The host: a name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        self.address.host()
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The path to post to.
    pub fn path(&self) -> &str {
        if self.path.is_empty() { USUAL_PATH } else { &self.path }
    }
}

impl FromStr for CollectorUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(match text.split_once("://") {
                Some(("https", rest)) => ValueError::mend(
                    "`https://` is not available for a collector",
                    format!("write `http://{rest}`, or send to a collector on this machine that does TLS"),
                ),
                Some((scheme, rest)) => ValueError::mend(
                    format!("`{scheme}://` is not available for a collector"),
                    format!("write `http://{rest}`, the port for OTLP over HTTP is usually 4318"),
                ),
                None => ValueError::mend(
                    format!("`{text}` is not the URL of a collector"),
                    format!("write `http://{text}`"),
                ),
            });
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains(['?', '#', '@']) {
            let message = format!("`{text}` has more than a host, a port and a path");
            return Err(ValueError::mend(message, "remove the rest; `headers` beside it are for keys"));
        }
        let sound = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
        if !path.bytes().all(sound) {
            let message = format!("`{path}` is not the path of a collector");
            return Err(ValueError::mend(message, "write a path without `?`, `#` and spaces"));
        }
        let address = format!("http://{authority}").parse()?;
        let path = if path == "/" { "" } else { path };
        Ok(Self { address, path: path.into() })
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.address, self.path)
    }
}

impl fmt::Debug for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    CollectorUrl,
    "the URL of a collector",
    Shape::pattern("collector URL", r"^http://[^/?#@\s]+(/[^?#\s]*)?$")
);

#[cfg(test)]
mod tests {
    use super::CollectorUrl;

    #[test]
    fn urls_are_read_or_refused_with_the_mend() {
        for (text, shown, path) in [
            ("http://collector:4318", "http://collector:4318", "/v1/traces"),
            ("http://Collector:4318/", "http://collector:4318", "/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318", "/v1/traces"),
            ("http://10.0.0.1", "http://10.0.0.1:80", "/v1/traces"),
            ("http://a:1/otlp/v1/traces", "http://a:1/otlp/v1/traces", "/otlp/v1/traces"),
        ] {
            let url: CollectorUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.to_string().as_str(), url.path()), (shown, path));
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        for (text, part) in [
            ("collector:4318", "write `http://collector:4318`"),
            ("https://collector:4318", "`https://` is not available for a collector"),
            ("grpc://collector:4317", "usually 4318"),
            ("http://collector:4318?key=1", "more than a host, a port and a path"),
            ("http://collector:4318/v1?key=1", "without `?`"),
            ("http://collector:4318/a b", "without `?`"),
            ("http://user@collector:4318", "`headers` beside it are for keys"),
            ("http://collector:0", "port 0"),
            ("http://", "neither a host name"),
        ] {
            let error = text.parse::<CollectorUrl>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
