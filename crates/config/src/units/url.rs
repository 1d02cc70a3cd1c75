//! URLs that Tollgate calls on its own account, and those of made-up requests.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::address::EndpointAddress;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Bytes of a URL, at most.
const LONGEST: usize = 4096;

/// An `http://` or `https://` URL without user and fragment. Shown and compared as it was written: issuers are
/// compared sign by sign (RFC 7519 section 4.1.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    written: Box<str>,
    address: EndpointAddress,
}

impl HttpUrl {
    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.written.starts_with("https://")
    }

    /// The host: a name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        self.address.host()
    }

    /// The port, never 0; the scheme's own if none is written.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Path and query as they are sent (RFC 9112 section 3.2.1); at least `/`.
    pub fn target(&self) -> String {
        match behind_authority(&self.written) {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        }
    }

    /// Host and port as in a `Host` field, the scheme's own port left out (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        let all = self.address.authority();
        let usual = if self.is_https() { ":443" } else { ":80" };
        all.strip_suffix(usual).map(str::to_owned).unwrap_or(all)
    }

    /// Whether what is sent there can be read by others on the way: plain http to another machine.
    pub fn is_open_to_others(&self) -> bool {
        let ip = self.host().parse::<IpAddr>();
        let here = self.host() == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback());
        !self.is_https() && !here
    }
}

/// What stands behind host and port.
fn behind_authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
}

impl FromStr for HttpUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| Err(ValueError::mend(format!("`{text}` is not a URL to call"), mend));
        let host = &text[..text.len() - behind_authority(text).len()];
        if host.contains('@') {
            // What stands before the `@` may be a password.
            let mend = "remove it; credentials have keys of their own";
            return Err(ValueError::mend("a URL here has no user and no password", mend));
        }
        let scheme = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), _)) => scheme,
            Some((_, rest)) => return wrong(format!("write `https://{rest}`")),
            None if text.starts_with('/') => {
                return wrong(format!("write it with its host: `https://host{text}`"));
            }
            None => return wrong(format!("write `https://{text}`")),
        };
        let target = behind_authority(text);
        let authority = &text[scheme.len() + 3..text.len() - target.len()];
        if authority.contains('#') || target.contains('#') {
            return wrong("remove the `#` and what follows it, which is never sent".to_owned());
        }
        let sound = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if !target.bytes().all(sound) {
            return wrong("write spaces and other signs of their own meaning as `%20` and so on".to_owned());
        }
        if text.len() > LONGEST {
            return Err(ValueError::new(format!("a URL has at most {LONGEST} bytes")));
        }
        let address = format!("{scheme}://{authority}").parse()?;
        Ok(Self { written: text.into(), address })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

text_setting!(
    HttpUrl,
    "a URL",
    Shape::pattern("URL", r"^https?://[^/?#@\s]+([/?][^#\s]*)?$"),
    suspect | text | text.contains('@')
);

#[cfg(test)]
mod tests {
    use super::HttpUrl;

    #[test]
    fn urls_are_read_or_refused_with_the_mend() {
        for (text, authority, target) in [
            ("https://iss.example", "iss.example", "/"),
            ("https://iss.example/", "iss.example", "/"),
            ("https://Iss.example:443/a?b=c/d", "iss.example", "/a?b=c/d"),
            ("http://127.0.0.1:8711/jwks.json", "127.0.0.1:8711", "/jwks.json"),
            ("http://[::1]:81?x", "[::1]:81", "/?x"),
            ("http://a:80", "a", "/"),
        ] {
            let url: HttpUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.authority().as_str(), url.target().as_str()), (authority, target), "{text}");
            assert_eq!(url.to_string(), text);
        }
        for (text, part) in [
            ("iss.example", "write `https://iss.example`"),
            ("grpc://a:1", "write `https://a:1`"),
            ("https://u:hunter2@a", "no user"),
            ("grpc://u:hunter2@a", "no user"),
            ("u:hunter2@a", "no user"),
            ("https://a/#x", "remove the `#`"),
            ("https://a/b c", "%20"),
            ("http://a/\r\nX: y", "%20"),
            ("http://a:0", "port 0"),
            ("https://", "neither a host name"),
        ] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn plain_http_to_others_is_seen() {
        for (text, open) in [
            ("http://10.0.0.1", true),
            ("http://auth.example", true),
            ("http://127.0.0.2:9000", false),
            ("http://[::1]:9000", false),
            ("http://localhost:9000", false),
            ("https://auth.example", false),
        ] {
            assert_eq!(text.parse::<HttpUrl>().unwrap().is_open_to_others(), open, "{text}");
        }
    }
}
