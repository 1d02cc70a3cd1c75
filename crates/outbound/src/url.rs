//! Addresses of what is called: `http` and `https` URLs (RFC 9110 section 4.2), checked once.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Bytes of the longest URL that is taken.
const LENGTH_MAX: usize = 8 * 1024;

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// The port that need not be named.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An `http` or `https` URL without credentials and without fragment. Two that are equal lead to the same place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    /// In lower case; an address of IPv6 without its brackets.
    host: Box<str>,
    port: u16,
    /// Path and query; begins with a slash.
    target: Box<str>,
}

/// Why a text is no URL that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlError(&'static str);

impl UrlError {
    /// Others could change what is said there.
    pub(crate) fn insecure() -> Self {
        Self("https:// is needed, but for loopback addresses")
    }

    pub(crate) fn query() -> Self {
        Self("an issuer has no query")
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UrlError {}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > LENGTH_MAX {
            return Err(UrlError("the URL is longer than 8 KiB"));
        }
        let (scheme, rest) =
            text.split_once("://").ok_or(UrlError("a URL begins with http:// or https://"))?;
        let scheme = match scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            scheme if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(UrlError("only http:// and https:// can be called")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = authority_of(authority)?;
        let port = port.unwrap_or(scheme.default_port());
        Ok(Self { scheme, host, port, target: target_of(target)? })
    }
}

fn authority_of(text: &str) -> Result<(Box<str>, Option<u16>), UrlError> {
    if text.contains('@') {
        return Err(UrlError("credentials do not belong into a URL"));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or(UrlError("the `]` of the host is missing"))?;
            let address: Ipv6Addr =
                address.parse().map_err(|_| UrlError("there is no IPv6 address in the brackets"))?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(UrlError("only a port may follow the host"))?),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            if host.is_empty() || host.len() > 255 || !host.bytes().all(fits) {
                return Err(UrlError("the host is neither a name nor an address"));
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let port = match port {
        // An empty port means the scheme's (RFC 3986 section 3.2.3).
        None | Some("") => None,
        Some(port) => Some(port_of(port).ok_or(UrlError("the port is not one of 1 to 65535"))?),
    };
    Ok((host.into(), port))
}

fn port_of(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

fn target_of(text: &str) -> Result<Box<str>, UrlError> {
    if text.contains('#') {
        return Err(UrlError("a fragment (`#…`) is not sent to a server"));
    }
    let bad = |b: u8| {
        !b.is_ascii_graphic() || matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if text.bytes().any(bad) {
        return Err(UrlError("the path or the query has characters that must be percent-encoded"));
    }
    Ok(match text.starts_with('/') {
        true => text.into(),
        false => format!("/{text}").into(),
    })
}

impl Url {
    /// How its host is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the scheme's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path with the query; begins with a slash.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }

    /// Host and port as a request names them: in brackets where it must be, without a port that goes without saying.
    pub fn authority(&self) -> String {
        let host: &dyn fmt::Display = &self.host;
        match (self.host.contains(':'), self.port == self.scheme.default_port()) {
            (false, true) => host.to_string(),
            (false, false) => format!("{host}:{}", self.port),
            (true, true) => format!("[{host}]"),
            (true, false) => format!("[{host}]:{}", self.port),
        }
    }

    /// Whether its host is this machine by any resolver's answer: a loopback address or `localhost` (RFC 6761
    /// section 6.3).
    pub fn is_loopback(&self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        let is_local_name = name == "localhost" || name.ends_with(".localhost");
        is_local_name || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Whether both are of the same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, self.port, &self.host) == (other.scheme, other.port, &other.host)
    }

    /// The same place with another path and query.
    ///
    /// # Errors
    /// They have characters that must be encoded, or a fragment.
    pub fn with_target(&self, target: &str) -> Result<Self, UrlError> {
        Ok(Self { target: target_of(target)?, ..self.clone() })
    }

    /// The URL that a reference found at this one means (RFC 3986 section 5.2); its fragment is left out.
    ///
    /// # Errors
    /// It is no URL that can be called.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let reference = reference.split('#').next().unwrap_or_default();
        let scheme_end = reference.find(':').filter(|end| !reference[..*end].contains(['/', '?']));
        if scheme_end.is_some() {
            return reference.parse();
        }
        if reference.starts_with("//") {
            return format!("{}:{reference}", self.scheme.as_str()).parse();
        }
        match reference.bytes().next() {
            None => Ok(self.clone()),
            Some(b'/') => self.with_target(&without_dots(reference)),
            Some(b'?') => self.with_target(&format!("{}{reference}", self.path())),
            Some(_) => {
                let directory = self.path().rfind('/').map_or("/", |slash| &self.path()[..=slash]);
                self.with_target(&without_dots(&format!("{directory}{reference}")))
            }
        }
    }
}

/// Takes `.` and `..` out of a path (RFC 3986 section 5.2.4).
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Scheme, Url};

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parts_are_found() {
        let parts = |text: &str| {
            let url = url(text);
            (url.scheme(), url.host().to_owned(), url.port(), url.target().to_owned(), url.authority())
        };
        let is = |scheme, host: &str, port, target: &str, authority: &str| {
            (scheme, host.to_owned(), port, target.to_owned(), authority.to_owned())
        };
        assert_eq!(parts("http://A.Example"), is(Scheme::Http, "a.example", 80, "/", "a.example"));
        assert_eq!(parts("HTTPS://a:8443/x?y=/z"), is(Scheme::Https, "a", 8443, "/x?y=/z", "a:8443"));
        assert_eq!(parts("https://[::1]:443?q"), is(Scheme::Https, "::1", 443, "/?q", "[::1]"));
        assert_eq!(
            parts("http://[2001:DB8::0:1]:1/"),
            is(Scheme::Http, "2001:db8::1", 1, "/", "[2001:db8::1]:1")
        );
        assert_eq!(parts("http://127.0.0.1:/%20"), is(Scheme::Http, "127.0.0.1", 80, "/%20", "127.0.0.1"));
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        let long = format!("http://a/{}", "x".repeat(9000));
        for text in [
            "",
            "a",
            "/a",
            "ftp://a/",
            "http:/a",
            "http://",
            "http:///a",
            "http://a b/",
            "http://ü/",
            "http://a:0/",
            "http://a:65536",
            "http://a:+1",
            "http://u@a/",
            "http://u:p@a/",
            "http://[::1/",
            "http://[::1]x",
            "http://[a]",
            "http://::1/",
            "http://a/ ",
            "http://a/\r\nX: y",
            "http://a/ü",
            "http://a/#x",
            "http://a/{x}",
            "http://a\\b/",
            &long,
        ] {
            assert!(text.parse::<Url>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn references_lead_where_the_standard_says() {
        let base = url("http://a:81/b/c/d?q");
        let join = |reference: &str| base.join(reference).map(|url| url.to_string()).unwrap_or_default();
        for (reference, want) in [
            ("g", "http://a:81/b/c/g"),
            ("./g", "http://a:81/b/c/g"),
            ("g/", "http://a:81/b/c/g/"),
            ("/g", "http://a:81/g"),
            ("//g", "http://g/"),
            ("?y", "http://a:81/b/c/d?y"),
            ("g?y#s", "http://a:81/b/c/g?y"),
            ("", "http://a:81/b/c/d?q"),
            (".", "http://a:81/b/c/"),
            ("..", "http://a:81/b/"),
            ("../g", "http://a:81/b/g"),
            ("../../../g", "http://a:81/g"),
            ("/a/./b/../c", "http://a:81/a/c"),
            ("g?x=../y", "http://a:81/b/c/g?x=../y"),
            ("https://x/y:z", "https://x/y:z"),
            ("javascript:alert(1)", ""),
            ("mailto:a@b", ""),
        ] {
            assert_eq!(join(reference), want, "{reference}");
        }
    }

    #[test]
    fn loopback_is_known() {
        for text in ["http://localhost", "http://a.LocalHost./", "http://127.8.9.1:1", "http://[::1]/"] {
            assert!(url(text).is_loopback(), "{text}");
        }
        for text in [
            "http://notlocalhost",
            "http://localhost.example",
            "http://128.0.0.1",
            "http://127.0.0.1.nip.example",
        ] {
            assert!(!url(text).is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(text in "(http|https)://[a-z0-9.\\[\\]:]{1,20}(/[a-z.?&=%/]{0,20})?") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(url.to_string().parse::<Url>(), Ok(url));
            }
        }

        #[test]
        fn nothing_panics(base in "https?://[a-z]{1,5}(/[a-z/.?]{0,9})?", text in "\\PC{0,30}|[/.?#a:]{0,20}") {
            let _ = text.parse::<Url>();
            if let Ok(base) = base.parse::<Url>()
                && let Ok(joined) = base.join(&text)
            {
                prop_assert_eq!(joined.to_string().parse::<Url>(), Ok(joined));
            }
        }
    }
}
